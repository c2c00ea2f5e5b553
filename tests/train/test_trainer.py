"""The loop: it learns, goes on exactly where it stopped, survives too little memory, and says when it is lost."""

import contextlib
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tiny_run import tiny_recipe, train_stream
from torch import Tensor, nn

from edgevid.errors import CheckFailedError, InputError
from edgevid_train.checkpoint import CheckpointInfo, SplitInfo, load_trainer
from edgevid_train.checkpoint.weights import load_state
from edgevid_train.evaluate.curves import read_curves
from edgevid_train.loop.devices import make_accelerator
from edgevid_train.loop.interrupt import StoppedError, interruptible
from edgevid_train.loop.job import Job
from edgevid_train.loop.optim import OptimConfig
from edgevid_train.loop.progress import Meter
from edgevid_train.loop.random_states import random_states, set_random_states
from edgevid_train.loop.scalars import check_log
from edgevid_train.loop.schedule import better
from edgevid_train.loop.trainer import train
from edgevid_train.losses.counts import Counts
from edgevid_train.reporter import LastingConsole, Reporter
from edgevid_train.samples.batch import Batch
from edgevid_train.samples.sampler import BatchPlan, ClipSampler

CLIPS = 22
LABELS = ("dark", "bright", "other")


class Toy(nn.Module):
    """Tells dark clips from bright ones; batch norm, dropout, and a draw from every generator a task might use."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, len(LABELS))
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames.float().mean((1, 2, 3)) / 255)


class ToyTask(nn.Module):
    def __init__(
        self,
        fail_above: int | None = None,
        error: RuntimeError = torch.OutOfMemoryError("CUDA out of memory, says the test"),  # noqa: B008
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.error = error
        self.network = Toy()
        self.extra = nn.Parameter(torch.zeros(()))  # trained, but not part of the network
        self.fail_above = fail_above
        self.sizes: list[int] = []
        self.failures = 0

    def counts(self, batch: Batch) -> Counts:
        return Counts(len(batch))

    def forward(self, batch: Batch, shares: Counts) -> tuple[Tensor, dict[str, Tensor]]:
        if self.fail_above is not None and len(batch) > self.fail_above:
            self.failures += 1
            raise self.error
        self.sizes.append(len(batch))
        noise = random.random() + float(np.random.rand())
        loss = nn.functional.cross_entropy(self.network(batch.frames), batch.labels)
        extra = (self.extra - 1 - 0.01 * noise) ** 2
        loss, extra = loss * shares.clips, extra * shares.clips
        return loss + extra, {"task": loss.detach(), "extra": extra.detach()}


def load(plan: BatchPlan) -> Batch:
    streams = []
    for i, turn in zip(plan.clips, plan.turns, strict=True):
        label = i % 2
        rng = np.random.default_rng([turn, i])
        pixels = rng.integers(140 * label, 115 + 140 * label, (plan.steps, 4, 4, 3)).astype(np.uint8)
        streams.append(train_stream(label, pixels))
    return Batch.stack(streams)


def job(folder: Path, task: nn.Module | None = None, *, validate=None, **optim) -> Job:
    settings = {"epochs": 3, "batch": 4, "ema": 0.9, "lr": 0.03} | optim
    split = SplitInfo(name="all", train_clips=CLIPS, val_clips=0, train_groups=(), val_groups=())
    return Job(
        task or ToyTask(),
        OptimConfig(**settings),
        tiny_recipe(),
        ClipSampler([3] * CLIPS, settings["batch"], seed=1, max_steps=9, lead_steps=3),
        load,
        validate,
        CheckpointInfo(kind="student", labels=LABELS, weights_from="none", split=split),
        folder,
    )


def run(what: Job, *, resume: bool = False, stop=lambda: False, console: Console | None = None) -> nn.Module:
    report = Reporter(console or Console(quiet=True))
    return train(what, make_accelerator("cpu", "no"), report, resume=resume, stop=stop)


def after(calls: int):
    """A `stop` that says yes when it is asked for the n-th time."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) == calls


def everything(folder: Path) -> dict[str, object]:
    """All that a checkpoint holds, in comparable form; times differ and are left out."""
    state = load_trainer(folder / "last")
    state["progress"]["meter"] = {k: v for k, v in state["progress"]["meter"].items() if k in ("sums", "clips")}
    return {"weights": load_file(folder / "last" / "model.safetensors"), **state}


def assert_equal(a: object, b: object, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{i}]")
    elif isinstance(a, Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


@pytest.mark.parametrize("step", [1, 4, 6, 7, 9, 17])
def test_an_interrupted_run_ends_as_the_uninterrupted_bit_for_bit(tmp_path: Path, step: int) -> None:
    def validate(network, stop):
        if stop():
            raise StoppedError("in validation")
        return {"top1": 0.5, "loss": float(sum(p.detach().abs().sum() for p in network.parameters()))}

    run(job(tmp_path / "whole", validate=validate))
    with pytest.raises(StoppedError):
        run(job(tmp_path / "parts", validate=validate), stop=after(step))
    random.seed(step)
    np.random.seed(step)
    torch.manual_seed(step)
    run(job(tmp_path / "parts", validate=validate), resume=True)
    whole, parts = everything(tmp_path / "whole"), everything(tmp_path / "parts")
    assert whole["progress"]["step"] == 18
    assert_equal(whole, parts)


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    run(job(tmp_path / "a"))
    run(job(tmp_path / "b", lr=0.031))
    with pytest.raises(AssertionError):
        assert_equal(everything(tmp_path / "a"), everything(tmp_path / "b"))


def test_a_run_stopped_many_times_ends_the_same(tmp_path: Path) -> None:
    run(job(tmp_path / "whole"))
    for resume in (False, True, True, True, True, True):
        with pytest.raises(StoppedError):
            run(job(tmp_path / "parts"), resume=resume, stop=after(3))
    run(job(tmp_path / "parts"), resume=True)
    assert_equal(everything(tmp_path / "whole"), everything(tmp_path / "parts"))


def test_it_learns_and_the_average_is_what_is_returned(tmp_path: Path) -> None:
    network = run(job(tmp_path, epochs=12))
    batch = load(BatchPlan(tuple(range(CLIPS)), (99,) * CLIPS, 3))
    with torch.no_grad():
        assert (network(batch.frames).argmax(-1) == batch.labels).float().mean() == 1
    saved = load_file(tmp_path / "last" / "model.safetensors")
    assert_equal(dict(network.state_dict()), saved)
    trained = load_trainer(tmp_path / "last")["task"]
    assert not torch.equal(trained["network.layers.0.weight"], saved["layers.0.weight"])
    assert float(trained["extra"]) > 0.5


def test_without_an_average_the_trained_weights_are_saved(tmp_path: Path) -> None:
    run(job(tmp_path, epochs=1, ema=0))
    saved = load_file(tmp_path / "last" / "model.safetensors")
    assert torch.equal(load_trainer(tmp_path / "last")["task"]["network.layers.0.weight"], saved["layers.0.weight"])


def test_figures_go_to_weights_and_biases_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="needs the extra edgevid[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")

    def logged(stop=lambda: False, *, resume: bool = False) -> None:
        what = job(tmp_path, validate=lambda *_: {"top1": 0.25, "loss": 1.0})
        run(replace(what, recipe=what.recipe.model_copy(update={"log": "wandb"})), stop=stop, resume=resume)

    with pytest.raises(StoppedError):
        logged(after(4))
    logged(resume=True)
    wandb.teardown()  # its own process has written everything
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))  # of one second there is one
    known = (tmp_path / "wandb-id.txt").read_text()
    assert {path.name.rpartition("-")[2] for path in runs} == {known}  # the second goes on with the first
    record = b"".join(path.read_bytes() for path in runs[-1].glob("*.wandb"))
    for name in (b"train/loss", b"train/lr", b"held-out/top1", b"train/waiting_for_data"):
        assert name in record
    assert read_curves(tmp_path / "tensorboard")["held-out/top1"] == [(6, 0.25), (12, 0.25), (18, 0.25)]


def test_without_weights_and_biases_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevid_train.loop.scalars.find_spec", lambda _: None)
    recipe = tiny_recipe()
    check_log(recipe)
    with pytest.raises(InputError, match=r"^log = wandb needs Weights & Biases: pip install 'edgevid\[wandb\]'$"):
        check_log(recipe.model_copy(update={"log": "wandb"}))


def test_nobody_logged_in_to_weights_and_biases_is_found_out_before_anything_else(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the extra edgevid[wandb]")
    script = "from edgevid_train.loop.scalars import check_log; from edgevid_train.recipe import Recipe; "
    script += "check_log(Recipe(name='x', log='wandb'))"
    stranger = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "NETRC"))} | {"HOME": str(tmp_path)}
    run = [sys.executable, "-c", script]
    refused = subprocess.run(run, env=stranger, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "InputError: log = wandb: nobody is logged in" in refused.stderr
    offline = subprocess.run(run, env=stranger | {"WANDB_MODE": "offline"}, cwd=tmp_path, timeout=120, check=False)
    assert offline.returncode == 0


def test_too_little_memory_halves_what_goes_through_at_once_and_says_so(tmp_path: Path) -> None:
    task = ToyTask(fail_above=3)
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    run(job(tmp_path, task, batch=11, epochs=2), console=console)
    assert task.failures == 2  # 11 -> 6 -> 3, and never again
    assert max(task.sizes) == 3
    assert sum(task.sizes) == 2 * CLIPS  # every clip of every epoch was learned from
    said = console.export_text()
    assert "6 clips at once instead of 11, gradients accumulated over 2 parts; a step is still 11 clips" in said
    assert "3 clips at once instead of 6, gradients accumulated over 4 parts" in said
    assert load_trainer(tmp_path / "last")["progress"]["micro_batch"] == 3


def test_too_little_memory_on_other_devices_and_other_faults(tmp_path: Path) -> None:
    for i, message in enumerate(("MPS backend out of memory (…)", "DefaultCPUAllocator: can't allocate memory: (…)")):
        task = ToyTask(fail_above=3, error=RuntimeError(message))
        run(job(tmp_path / str(i), task, epochs=1, batch=6))
        assert max(task.sizes) == 3
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(job(tmp_path / "other", ToyTask(fail_above=3, error=RuntimeError("shapes do not fit"))))


def test_too_little_memory_for_one_clip_is_the_end(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="out of memory with a single clip"):
        run(job(tmp_path, ToyTask(fail_above=0)))


class Linear(nn.Module):
    """A task without randomness or batch statistics, whose gradient does not depend on how the batch is cut."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Linear(3, len(LABELS))

    def counts(self, batch: Batch) -> Counts:
        return Counts(len(batch))

    def forward(self, batch: Batch, shares: Counts) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.network(batch.frames.float().mean((1, 2, 3)) / 255)
        loss = nn.functional.cross_entropy(logits, batch.labels) * shares.clips
        return loss, {"task": loss.detach()}


def test_accumulated_parts_give_the_step_of_the_whole_batch(tmp_path: Path) -> None:
    run(job(tmp_path / "whole", Linear(), batch=11, ema=0))
    run(job(tmp_path / "parts", Linear(), batch=11, ema=0, micro_batch=2))
    whole, parts = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("whole", "parts"))
    assert torch.allclose(whole["weight"], parts["weight"], atol=1e-6)
    assert not torch.allclose(whole["weight"], Linear().network.weight, atol=1e-3)


def test_gradients_are_no_longer_than_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def measured(self, *args, **named):
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", measured)
    run(job(tmp_path / "free", Linear(), epochs=1, clip_norm=0))
    free = norms.copy()
    norms.clear()
    run(job(tmp_path / "short", Linear(), epochs=1, clip_norm=0.05))
    assert min(free) > 0.06
    assert norms == pytest.approx([0.05] * len(free), rel=1e-3)


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path: Path) -> None:
    task = Linear()
    with torch.no_grad():
        task.network.weight.fill_(math.nan)
    with pytest.raises(CheckFailedError, match="the loss is nan at step 0"):
        run(job(tmp_path, task))


def test_best_is_the_epoch_with_the_highest_figure(tmp_path: Path) -> None:
    figures = iter([0.5, 0.9, 0.7])
    seen: list[Tensor] = []

    def validate(network, _stop):
        seen.append(network.layers[0].weight.clone())
        return {"top1": next(figures), "loss": 1.0}

    run(job(tmp_path, validate=validate))
    assert torch.equal(load_file(tmp_path / "best" / "model.safetensors")["layers.0.weight"], seen[1])
    assert torch.equal(load_file(tmp_path / "last" / "model.safetensors")["layers.0.weight"], seen[2])
    assert not (tmp_path / "best" / "trainer.pt").exists()


def test_ties_are_broken_by_the_loss() -> None:
    assert better({"top1": 0.5, "loss": 1.0}, {})
    assert better({"top1": 0.5, "loss": 0.9}, {"top1": 0.5, "loss": 1.0})
    assert not better({"top1": 0.5, "loss": 1.0}, {"top1": 0.5, "loss": 1.0})
    assert not better({"top1": 0.4, "loss": 0.1}, {"top1": 0.5, "loss": 1.0})


def test_resume_without_or_with_a_damaged_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trainer\.pt is missing: there is nothing to resume from"):
        run(job(tmp_path), resume=True)
    run(job(tmp_path, epochs=1))
    (tmp_path / "last" / "trainer.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match=r"trainer\.pt is damaged"):
        run(job(tmp_path, epochs=1), resume=True)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    run(job(tmp_path, epochs=1))
    with pytest.raises(InputError, match="does not fit its recipe"):
        run(job(tmp_path, Linear(), epochs=1), resume=True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"weight": None}, "weight is missing"),
        ({"scale": torch.ones(2)}, "scale is not of its network"),
        ({"bias": torch.ones(3)}, r"bias is of shape \(3,\), not \(2,\)"),
        ({"weight": None, "bias": None, "scale": torch.ones(2)}, "weight is missing, and 2 such faults more"),
    ],
)
def test_weights_that_do_not_fit_are_told_in_one_short_line(changed: dict[str, torch.Tensor | None], told: str) -> None:
    network = torch.nn.Linear(4, 2)
    state = {name: value for name, value in (network.state_dict() | changed).items() if value is not None}
    with pytest.raises(InputError, match=f"^a file does not fit its recipe: {told}$"):
        load_state(network, state, "a file")


def test_random_states_come_back_through_a_file(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float, float]:
        return random.random(), random.gauss(0, 1), float(np.random.normal()), float(torch.rand(()))

    draw()
    torch.save(random_states(), tmp_path / "states.pt")
    first = draw()
    assert draw() != first
    set_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert draw() == first


def test_the_meter_tells_waiting_from_working(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("edgevid_train.loop.progress.time.perf_counter", lambda: now[0])

    def slow():
        for _ in range(4):
            now[0] += 1.0
            yield "batch"

    meter = Meter()
    for _ in meter.watch(slow()):
        now[0] += 3.0
        meter.add({"loss": 2.0}, clips=8)
    assert meter.waiting_share == pytest.approx(0.25)
    assert meter.clips_per_s == pytest.approx(2.0)
    assert meter.means() == {"loss": 2.0}


def test_devices_that_are_not_there() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            make_accelerator("cuda", "no")
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="no Metal device"):
            make_accelerator("mps", "no")


ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def _none_ignored() -> Iterator[None]:
    """`nohup pytest` ignores hangups, and what is ignored stays so."""
    as_they_were = [signal.signal(number, signal.default_int_handler) for number in ENDINGS]
    yield
    for number, handler in zip(ENDINGS, as_they_were, strict=True):
        signal.signal(number, handler)


def wait_for(what: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.usefixtures("_none_ignored")
def test_the_one_who_tells_does_not_stand_in_the_way_of_what_was_interrupted() -> None:
    """A bar is drawn under a lock. Told by the handler, in the midst of drawing, the line would have waited for it."""
    drawing, heard = threading.Lock(), threading.Event()

    def say() -> None:
        with drawing:
            heard.set()

    with interruptible(say) as stop:
        with drawing:
            signal.raise_signal(signal.SIGINT)
            assert stop()
            assert not heard.is_set()
        assert heard.wait(60)


@pytest.mark.usefixtures("_none_ignored")
def test_who_is_asked_at_the_very_end_still_hears_of_it() -> None:
    heard: list[str] = []
    with interruptible(lambda: heard.append("first")):
        signal.raise_signal(signal.SIGINT)
    assert heard == ["first"]


@pytest.mark.usefixtures("_none_ignored")
@pytest.mark.parametrize("number", ENDINGS)
def test_the_first_ctrl_c_asks_and_the_second_is_the_systems(number: signal.Signals) -> None:
    """So does what ends a service, and a terminal that closes, but that is told of twice and asks once."""
    heard: list[str] = []
    before = [signal.getsignal(each) for each in ENDINGS]
    with interruptible(lambda: heard.append("first")) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        wait_for(lambda: heard == ["first"])
        if number in (signal.SIGINT, signal.SIGTERM):
            assert signal.getsignal(number) is signal.SIG_DFL  # the next one ends the process at once
        else:
            signal.raise_signal(number)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        if number == signal.SIGINT:
            signal.raise_signal(signal.SIGTERM)
            assert heard == ["first"]
    assert [signal.getsignal(each) for each in ENDINGS] == before


def test_a_reader_that_has_gone_does_not_end_the_work() -> None:
    reads, writes = os.pipe()
    with os.fdopen(writes, "w") as pipe:
        report = Reporter(LastingConsole(file=pipe))
        os.close(reads)
        report.say("nobody hears this" * 10_000)
        report.say("nor this")
        with contextlib.suppress(OSError):
            pipe.close()


def test_what_was_ignored_stays_ignored_and_a_launcher_ends_its_processes() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(lambda: None, alone=False) as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with interruptible(lambda: None) as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_left_alone_outside_the_main_thread() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with interruptible(lambda: None) as stop:
            seen.append(stop())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGINT) is before


def test_fp16_on_the_cpu_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^precision fp16 needs a CUDA or Metal device; on the CPU use bf16, or no$"):
        make_accelerator("cpu", "fp16")


def test_bf16_trains_too(tmp_path: Path) -> None:
    accelerator = make_accelerator("cpu", "bf16")
    network = train(job(tmp_path, epochs=1), accelerator, Reporter(Console(quiet=True)), resume=False)
    assert all(torch.isfinite(p).all() for p in network.parameters())
