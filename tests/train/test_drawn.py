"""Clips that are drawn while a network trains: new ones every epoch, the same every time, in any number of processes"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_runs import started
from safetensors.torch import load_file
from tiny_run import RECIPE, distill, interrupt_at

from edgevid.errors import InputError
from edgevid_train.checkpoint import load_student
from edgevid_train.samples.drawn import DrawnClips, DrawnConfig
from edgevid_train.samples.labelled_clip import steps_of
from edgevid_train.samples.sampler import ClipSampler
from edgevid_train.samples.step_targets import StreamConfig
from edgevid_train.synthetic.paths import LABELS
from edgevid_train.synthetic.scene import render_clip
from edgevid_train.synthetic.workers import DrawingLostError

SMALL = DrawnConfig(clips=3, seed=50, width=32, height=24, fps=(6, 9))
AROUND = StreamConfig(before_s=0.4, after_s=0.3)


@pytest.fixture(scope="module")
def drawn() -> Iterator[DrawnClips]:
    with DrawnClips(SMALL, ["left", "right", "other"], AROUND) as clips:
        yield clips


def test_a_clip_is_what_its_seed_draws_around_the_action(drawn: DrawnClips) -> None:
    for number, clip in drawn.clips([0, 1, 4, 8]).items():
        fps = float(np.random.default_rng([50 + number, 99]).uniform(6, 9))
        label = ("left", "right", "other")[number % 3]
        whole = render_clip(50 + number, label=label, size=(32, 24), fps=fps)
        shown = (whole.times_s >= whole.start_s - 0.4) & (whole.times_s < whole.end_s + 0.3)
        assert (clip.label, clip.start_s, clip.end_s) == (label, whole.start_s, whole.end_s)
        assert np.array_equal(clip.times_s, whole.times_s[shown])
        assert np.array_equal(clip.frames, whole.frames[shown])
        assert clip.place is not None
        assert np.array_equal(clip.place, whole.fingertip[shown], equal_nan=True)
        assert drawn.steps(number, 8.0) == steps_of(clip.times_s, 8.0)


def test_any_number_of_processes_draws_the_same(drawn: DrawnClips) -> None:
    with DrawnClips(SMALL.model_copy(update={"workers": 2}), ["left", "right", "other"], AROUND) as two:
        for one, other in zip(drawn.clips(range(3)).values(), two.clips(range(3)).values(), strict=True):
            assert np.array_equal(one.frames, other.frames)


def test_all_labels_are_drawn_by_lot_and_unknown_ones_are_refused() -> None:
    assert DrawnClips(SMALL, LABELS, AROUND).request.labels == ()
    with pytest.raises(InputError, match="the data has none"):
        DrawnClips(SMALL, ["wave", "nod"], AROUND)


def test_a_process_that_is_ended_is_one_line() -> None:
    with DrawnClips(SMALL, ["left", "right", "other"], AROUND) as clips:
        pid = clips._workers.submit(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DrawingLostError, match="was ended") as caught:
            clips.clips(range(3))
    assert caught.value.exit_status == 1


def test_backgrounds_that_cannot_be_had_are_found_first(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"backgrounds": str(tmp_path / "no")})
    with pytest.raises(InputError, match="no such folder"), DrawnClips(config, LABELS, AROUND):
        pass


def test_every_epoch_has_clips_of_its_own_beside_the_data() -> None:
    plain = ClipSampler([5] * 7, 4, 3, 9, 0, extra=2)
    sampler = ClipSampler([5] * 7, 4, 3, 9, 0, extra=2, drawn=6, drawn_steps=lambda number: 2 + number % 3)
    fresh: list[int] = []
    for epoch in range(3):
        plans = sampler.epoch(epoch)
        assert len(plans) == sampler.batches == 4
        drawn_now = [i for plan in plans for i in plan.clips]
        fresh += sorted(i - 7 for i in drawn_now if i >= 7)
        assert sorted(i for i in drawn_now if i < 7) == sorted(i for plan in plain.epoch(epoch) for i in plan.clips)
        assert sampler.epoch(epoch) == plans
    assert fresh == list(range(18))
    alone = ClipSampler([], 4, 3, 9, 0, clips=100, extra_share=0.5, drawn=6, drawn_steps=lambda _: 5)
    assert sorted(i for plan in alone.epoch(1) for i in plan.clips) == list(range(6, 12))
    assert alone.batches == len(alone.epoch(1)) == 2


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    drawn = (
        "[drawn]\nclips = 4\nseed = 50\nwidth = 32\nheight = 24\nfps = [6, 9]\n[distill]\nresponse = 0\nfeature = 0\n"
    )
    path.write_text(RECIPE + drawn)
    return path


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "student" / "last" / "model.safetensors")


def test_resume_draws_the_same_clips(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "straight")
    assert straight.status == 0, straight.err
    assert "12 clips, 4 new ones drawn for each epoch, to train on, 3 held out" in straight.out
    with monkeypatch.context() as patched:
        interrupt_at(patched, 6)
        ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "cut")
        assert ran.status == 130, ran.err
    assert distill("--resume", "--out", tmp_path / "cut").status == 0
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_drawn_clips_alone_need_no_data(recipe: Path, tmp_path: Path) -> None:
    ran = distill("--recipe", recipe, "--all", "--out", tmp_path / "alone")
    assert ran.status == 0, ran.err
    _, _, labels, info = load_student(tmp_path / "alone")
    assert labels == (*sorted(set(LABELS) - {"other"}), "other")  # as a folder with these labels gives
    assert info.split.trained_on == ("50-57",)  # two epochs of four
    without_all = distill("--recipe", recipe, "--out", tmp_path / "x")
    assert (without_all.status, "--all" in without_all.err) == (2, True)


def _hears_hangups() -> None:
    """Under `nohup` a process would ignore them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups here")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_ends_all_processes_of_a_training_at_once_lets_it_save(
    recipe: Path, clips: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "run"
    words = ("--recipe", recipe, "--data", clips, "--out", out, "--set", "optim.epochs=100000", "--device", "cpu")
    command = [sys.executable, "-m", "edgevid", "train-distill", *map(str, words)]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command, start_new_session=True, preexec_fn=_hears_hangups, **piped) as process:
        assert process.stdout is not None
        assert any("student 1/" in line for line in process.stdout)
        os.killpg(process.pid, getattr(signal, name))
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert re.fullmatch(r"edgevid: stopped in epoch .* go on with: edgevid train-distill --resume --out .*\n", err)
    assert load_student(out / "student" / "last").info.step > 0
