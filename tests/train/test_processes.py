"""Several processes on this machine: what they train together is what one process trains."""

import json
import math
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from safetensors.torch import load_file
from test_trainer import Linear, ToyTask, after, assert_equal, everything, job
from tiny_run import RECIPE, settings

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.checkpoint import load_trainer
from edgevid_train.evaluate.curves import read_curves
from edgevid_train.loop import processes
from edgevid_train.loop.devices import make_accelerator
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.job import Job
from edgevid_train.loop.trainer import train
from edgevid_train.reporter import Reporter
from edgevid_train.samples.sampler import BatchPlan

# Nothing that each process draws for itself, and no statistics of a batch; 3 clips a batch make unequal shares.
SAME = (
    *("student.norm=all-frozen", "student.dropout=0", "distill.skipping=0", "distill.response=0", "distill.feature=0"),
    *("distill.own_answer=0.5", "optim.batch=3", "optim.epochs=2", "optim.ema=0.5"),
)


def _process(rank: int, count: int, port: int, work: Callable[..., Any], args: tuple[Any, ...], results: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    try:
        result = work(*args)
    except Exception as error:
        result = error
    results.put((rank, result))
    if dist.is_initialized():
        dist.destroy_process_group()


def in_processes(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What `work` returns or raises in each of so many processes that make one group."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["edgevid_train.runs.pretrain", "hypothesis", "pytest", "torch.utils.tensorboard"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = context.Queue()
    started = [
        context.Process(target=_process, args=(rank, count, port, work, args, results), daemon=True)
        for rank in range(count)
    ]
    for process in started:
        process.start()
    found = dict(results.get(timeout=120) for _ in started)
    for process in started:
        process.join(30)
    return [found[rank] for rank in range(count)]


def words(folder: Path, clips: Path, count: int) -> list[str]:
    """A training that does not depend on the number of processes."""
    (folder / "tiny.toml").write_text(RECIPE)
    given = ["--recipe", folder / "tiny.toml", "--data", clips, "--out", folder / f"by-{count}"]
    given += ["--json", folder / f"{count}.json", "--device", "cpu"]
    return ["train-distill", *map(str, given), *settings(*SAME)]


def distill(given: list[str]) -> Ran:
    return run_command(commands.register, *given)


@pytest.fixture(scope="module")
def alone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trains. Not to be written to."""
    folder = tmp_path_factory.mktemp("alone")
    ran = distill(words(folder, clips, 1))
    assert ran.status == 0, ran.err
    return folder


def test_two_processes_train_what_one_does(alone: Path, clips: Path, tmp_path: Path) -> None:
    first, second = in_processes(2, distill, words(tmp_path, clips, 2))
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert first.out.count("student 2/2") == 1
    assert second.out == ""  # one speaks
    assert_same_training(alone, tmp_path)


@pytest.mark.slow
def test_processes_are_started_by_accelerate(alone: Path, clips: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_cpu_threads_per_process", "1", "--main_process_port", "0", "-m", "edgevid"]
    ran = subprocess.run([*launch, *words(tmp_path, clips, 2)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("student 2/2") == 1
    assert_same_training(alone, tmp_path)


def assert_same_training(one_folder: Path, two_folder: Path) -> None:
    one, two = one_folder / "by-1", two_folder / "by-2"
    assert [len(load_trainer(out / "student" / "last")["random_others"]) for out in (one, two)] == [0, 1]
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    curves, theirs = (read_curves(out / "student" / "tensorboard") for out in (one, two))
    assert curves.keys() == theirs.keys()
    assert len(curves["train/loss"]) == 8
    for name in curves.keys() - {"train/waiting_for_data"}:
        assert [step for step, _ in curves[name]] == [step for step, _ in theirs[name]]
        assert [v for _, v in curves[name]] == pytest.approx([v for _, v in theirs[name]], rel=1e-4, abs=1e-6), name
    a, b = (load_file(out / "student" / "last" / "model.safetensors") for out in (one, two))
    assert a.keys() == b.keys()
    for name in a:
        # What is added to all scores of a softmax has no gradient; Adam makes steps of whatever is rounded.
        idle = 4 if name.endswith("aim.bias") else 0
        assert torch.allclose(a[name].float().flatten()[idle:], b[name].float().flatten()[idle:], atol=2e-5), name
    ours, also = (json.loads(path.read_text()) for path in (one_folder / "1.json", two_folder / "2.json"))
    assert [entry["file"] for entry in ours["predictions"]] == [entry["file"] for entry in also["predictions"]]
    for x, y in zip(ours["predictions"], also["predictions"], strict=True):
        assert x["scores"] == pytest.approx(y["scores"], abs=1e-4)


class Counting(Linear):
    """A term that is a mean over some of the clips, of which the shares have unequal numbers."""

    def counts(self, batch):
        return super().counts(batch)._replace(labels=float((batch.labels == 1).sum()))

    def forward(self, batch, shares):
        loss, terms = super().forward(batch, shares)
        bright = batch.labels == 1
        mean = self.network.weight[0].square().sum() * batch.frames[bright].float().mean() if bright.any() else 0.0
        return loss + mean * shares.labels, terms


def run_job(what: Callable[[], Job], folder: Path, *, resume: bool = False, stop_at: int = 0, stopped: int = 0) -> str:
    """Train; returns what was said. Process `stopped` is asked to stop at its step `stop_at`."""
    accelerator = make_accelerator("cpu", "no")
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    stop = after(stop_at) if stop_at and processes.rank() == stopped else lambda: False
    train(what(folder), accelerator, Reporter(console), resume=resume, stop=stop)
    return console.export_text()


def uneven(folder: Path) -> Job:
    return job(folder, Counting(), batch=5, ema=0, micro_batch=2)


def whole(folder: Path) -> Job:
    return job(folder, Counting(), batch=5, ema=0)


def lonely(folder: Path) -> Job:
    return job(folder, Linear(), batch=2, epochs=1)


def drawing(folder: Path) -> Job:
    return job(folder, ToyTask(), batch=5)


def short_of_memory(folder: Path) -> Job:
    return job(folder, ToyTask(fail_above=3 if processes.rank() == 1 else None), batch=11, epochs=1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "model.safetensors")


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    for name in a:
        assert torch.allclose(a[name], b[name], atol=1e-6), name


def test_unequal_shares_and_parts_of_them_give_the_step_of_the_whole_batch(tmp_path: Path) -> None:
    run_job(whole, tmp_path / "one")
    run_job(uneven, tmp_path / "parts")
    in_processes(2, run_job, uneven, tmp_path / "two")
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "parts"))


def test_a_process_without_a_share_goes_along(tmp_path: Path) -> None:
    run_job(lonely, tmp_path / "one")
    in_processes(3, run_job, lonely, tmp_path / "three")
    assert_close(weights(tmp_path / "one"), weights(tmp_path / "three"))


def test_all_stop_when_one_is_asked_to_and_go_on_bit_for_bit(tmp_path: Path) -> None:
    in_processes(2, run_job, drawing, tmp_path / "whole")
    for error in in_processes(2, StopSecond(), tmp_path / "parts"):
        assert isinstance(error, StoppedError)
    in_processes(2, Resume(), tmp_path / "parts")
    assert_equal(everything(tmp_path / "whole"), everything(tmp_path / "parts"))


class StopSecond:
    def __call__(self, folder: Path) -> str:
        return run_job(drawing, folder, stop_at=7, stopped=1)


class Resume:
    def __call__(self, folder: Path) -> str:
        return run_job(drawing, folder, resume=True)


def test_another_number_of_processes_is_said(tmp_path: Path) -> None:
    in_processes(2, StopSecond(), tmp_path)
    said = run_job(drawing, tmp_path, resume=True)
    assert "begun in 2 processes, resumed in 1: steps are still the whole batch's" in said


def test_too_little_memory_in_one_process_is_less_at_once_in_all(tmp_path: Path) -> None:
    said = in_processes(2, run_job, short_of_memory, tmp_path)
    assert "out of memory in another process: 3 clips at once from now on" in said[0]
    assert "3 clips at once instead of 5" in said[1]


@given(st.integers(1, 30), st.integers(1, 9))
def test_shares_of_a_batch_are_all_of_it_and_no_two_overlap(clips: int, count: int) -> None:
    plan = BatchPlan(tuple(range(10, 10 + clips)), tuple(range(clips)), 5)
    parts = [plan.part(rank, count) for rank in range(count)]
    assert processes.joined([() if part.idle else part.clips for part in parts]) == list(plan.clips)
    assert all(part.all_clips == plan.clips and part.clips for part in parts)
    assert math.ceil(clips / count) == max(len(part.clips) for part in parts)


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_speaks_for_all(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    slept: list[float] = []
    monkeypatch.setattr("edgevid_train.loop.processes.time.sleep", slept.append)
    with pytest.raises(InputError, match="^wrong$" if rank == 0 else "^process 1: wrong$"), processes.one_voice():
        raise InputError("wrong")
    assert len(slept) == rank
    with pytest.raises(StoppedError if rank == 0 else SystemExit), processes.one_voice():
        raise StoppedError("stopped")


def test_processes_that_do_not_come_together_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def left_alone(**_: object) -> None:
        raise RuntimeError("Gloo connectFullMesh failed\nand more")

    monkeypatch.setattr("edgevid_train.loop.devices.Accelerator", left_alone)
    with pytest.raises(RuntimeError, match="connectFullMesh"):
        make_accelerator("cpu", "no")
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"^the 2 processes did not come together: Gloo connectFullMesh failed$"):
        make_accelerator("cpu", "no")
