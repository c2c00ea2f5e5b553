"""The memory's lesson: streams of what a student's eyes saw."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_run import distill, interrupt_at, settings

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.checkpoint import find_checkpoint, load_student
from edgevid_train.models.student import Student, StudentConfig
from edgevid_train.runs.phases import memory
from edgevid_train.samples.kept_sights import read_seen, write_seen
from edgevid_train.samples.lone_clip import LoneClip
from edgevid_train.samples.sights import Deck, MemoryConfig, SeenClip, SightPlans, SightStreams
from edgevid_train.samples.step_targets import IGNORE, StreamConfig

LESSON = ("memory.streams=6", "memory.steps=20", "memory.views=2", "memory_optim.epochs=2", "memory_optim.batch=4")
ALONE = ("distill.response=0", "distill.feature=0", "optim.epochs=1")


def seen(label: int, mark: float, steps: int = 8, before: int = 2, after: int = 4, hold: int = 0) -> SeenClip:
    """A clip of `steps` steps at 8 a second, every number in it `mark`."""
    total = before + steps + after
    what = np.full((total, 2, 3), mark, np.float16)
    since_s = np.arange(-before, steps + after) / 8
    places, pointing = np.full((total, 2, 2), mark, np.float32), np.full((total, 2), mark, np.float32)
    return SeenClip(what, places, pointing, since_s, (steps - 1) / 8, label, before, after, hold)


def streams_of(own: list[SeenClip], extra: list[SeenClip], share: float | None = 0.5, **stream: float) -> SightStreams:
    return SightStreams(Deck(own, extra), Deck([], []), share, 2, MemoryConfig(), StreamConfig(**stream), 8.0, seed=3)


@given(number=st.integers(0, 999), steps=st.integers(2, 60), others=st.integers(0, 2))
def test_what_holds_for_any_stream(number: int, steps: int, others: int) -> None:
    extra = [seen(2, 3.0), seen(2, 4.0, before=0, after=0)]
    streams = streams_of([seen(0, 1.0), seen(1, 2.0, steps=3)], extra[:others])
    what, places, pointing, looks, targets, weights = streams.one(number, steps)
    assert [len(x) for x in (what, places, pointing, targets, weights)] == [steps] * 5
    assert np.array_equal(looks, np.arange(steps))
    assert (what.dtype, targets.dtype, weights.dtype) == (np.float32, np.int64, np.float32)
    assert np.isin(targets, [0, 1, 2, IGNORE]).all()
    assert (weights >= 0).all()
    again = streams.one(number, steps)
    assert all(np.array_equal(one, other) for one, other in zip((what, targets), (again[0], again[4]), strict=True))
    shown = {0: 1.0, 1: 2.0}
    asked = np.flatnonzero(np.isin(targets, [0, 1]))
    for t in asked[asked >= 8]:
        # an action is asked for while it is shown, or held into what follows it
        near = what[t - 8 : t + 1, 0, 0]
        assert shown[int(targets[t])] in near


@given(number=st.integers(0, 999), steps=st.integers(2, 60), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_in_streams_that_hold_every_step_knows_its_look(number: int, steps: int, share: float) -> None:
    looking, holding = Deck([seen(0, 0.0)], []), Deck([seen(0, 1.0, hold=1), seen(1, 2.0, hold=2)], [])
    config = MemoryConfig(held=share)
    what, _, _, looks, *_ = SightStreams(looking, holding, None, 2, config, StreamConfig(), 8.0, 3).one(number, steps)
    held, at = what[:, 0, 0], np.arange(steps)
    assert (held == 0).all() or (held > 0).all(), "a stream holds, or it does not"
    if share in (0, 1):
        assert (held > 0).all() == (share == 1)
    assert (at - looks <= held).all()
    assert (looks[looks] == looks).all(), "what stands for another step was looked at itself"
    assert (np.diff(looks) >= 0).all()


@pytest.mark.parametrize(("share", "found"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (None, 0.75)])
def test_so_many_of_the_clips_are_extra_ones(share: float | None, found: float) -> None:
    own, extra = seen(0, 1.0, steps=1, before=0, after=0), seen(2, 3.0, steps=1, before=0, after=0)
    what = streams_of([own], [extra] * 3, share).one(0, 2000)[0]
    assert np.mean(what[:, 0, 0] == 3) == pytest.approx(found, abs=0.04)


def test_a_label_is_held_into_what_follows_and_no_longer() -> None:
    streams = streams_of([seen(0, 1.0, after=0, before=0)], [seen(2, 3.0, steps=30, after=0, before=0)], hold_s=0.5)
    for number in range(30):
        what, _, _, _, targets, _ = streams.one(number, 120)
        ends = np.flatnonzero((what[:-1, 0, 0] == 1) & (what[1:, 0, 0] == 3))
        for end in ends[ends < 100]:
            follows = targets[end + 1 : end + 20].tolist()
            assert follows[:4] == [0] * 4  # half a second
            assert set(follows[4:8]) == {IGNORE}
            assert set(follows[8:]) == {2}


def test_epochs_are_of_new_streams_in_batches() -> None:
    plans = SightPlans(streams=7, steps=16, batch=3)
    first, second = plans.epoch(0), plans.epoch(1)
    assert len(first) == plans.batches == 3
    assert sorted(n for plan in first for n in plan.clips) == list(range(7))
    assert sorted(n for plan in second for n in plan.clips) == list(range(7, 14))
    assert {plan.steps for plan in first} == {16}


def as_on_a_device(student: Student, pictures: torch.Tensor, hold: int) -> torch.Tensor:
    """What the last exit says step by step, where `hold` steps hold after each look: `(T, L)`."""
    state, said = student.zero_state(1), []
    for t, picture in enumerate(pictures):
        if t % (hold + 1):
            logits, _, state = student.hold(state)
        else:
            (*_, logits), _, state = student.step(picture[None], state)
        said.append(logits)
    return torch.cat(said)


def test_what_was_seen_is_remembered_as_if_it_were_looked_at() -> None:
    torch.manual_seed(0)
    spec = InputSpec(height=32, width=32)
    body = {"backbone": "mobilenetv2_050", "weights": "none", "input": spec, "exits": (1, 2)}
    student = Student(StudentConfig(**body, points=4, size=16, dilations=(1, 2)), 3)
    for layer in student.memory.what.parameters():
        torch.nn.init.normal_(layer, std=0.1)  # else it would not matter what was seen
    student.eval()
    frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
    lone = LoneClip(frames, np.arange(9) / 8, 1.0, "left", 0, 0)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    for hold in (0, 1, 2):
        batch = streams_of([SeenClip.by(student, lone, 0, hold)], []).load(SightPlans(1, 9, 1).epoch(0)[0])
        assert batch.looks.tolist() == [[t - t % (hold + 1) for t in range(9)]]
        with torch.no_grad():
            (*_, ours), _ = student.recall(batch.sights, 9)
            theirs = as_on_a_device(student, pictures, hold)
        torch.testing.assert_close(ours[0], theirs, atol=2e-3, rtol=1e-2)  # what is kept is kept in half precision


def test_the_lesson_changes_the_memory_alone(recipe: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    ran = distill("--recipe", recipe, "--data", clips, "--out", out, *settings(*ALONE, *LESSON))
    assert ran.status == 0, ran.err
    assert "lesson-1 2/2" in ran.out
    before = load_file(out / "student" / "last" / "model.safetensors")
    after = load_file(out / "memory" / "last" / "model.safetensors")
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"memory"}
    assert (out / "memory" / "predictions.json").is_file()
    assert find_checkpoint(out, "student").parent == out / "memory"
    assert find_checkpoint(out / "student", "student").parent == out / "student"
    assert load_student(out).info.finished
    assert find_checkpoint(out, "student").name == "last", "what is measured, not what the held-out clips chose"
    again = tmp_path / "again"
    assert distill("--recipe", recipe, "--data", clips, "--out", again, *settings(*ALONE, *LESSON)).status == 0
    same = load_file(again / "memory" / "last" / "model.safetensors")
    assert all(torch.equal(after[name], same[name]) for name in after)


def test_a_lesson_that_was_stopped_goes_on_as_if_it_had_not_been(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    args = ("--recipe", recipe, "--data", clips, *settings(*ALONE, *LESSON, "memory.lessons=2"))
    assert distill(*args, "--out", whole).status == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7, of=SightStreams)
        stopped = distill(*args, "--out", parts)
    assert stopped.status == 130, stopped.err
    assert not load_student(parts / "memory" / "lesson-2" / "last").info.finished
    assert find_checkpoint(parts, "student").parent == parts / "student", "a memory that has not learned all is not it"
    assert distill("--resume", "--out", parts).status == 0
    one, other = (load_file(run / "memory" / "last" / "model.safetensors") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_memory_is_the_mean_of_what_lessons_of_different_streams_made_of_it(
    recipe: Path, clips: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    args = ("--recipe", recipe, "--data", clips, *settings(*ALONE, *LESSON))
    assert distill(*args, "--out", one).status == 0
    assert distill(*args, "--out", two, *settings("memory.lessons=2")).status == 0

    def weights(room: Path) -> dict[str, torch.Tensor]:
        return load_file(room / "last" / "model.safetensors")

    first, second = weights(two / "memory" / "lesson-1"), weights(two / "memory" / "lesson-2")
    alone, mean = weights(one / "memory"), weights(two / "memory")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, value in mean.items():
        assert torch.equal(first[name], alone[name])
        if value.is_floating_point():
            torch.testing.assert_close(value, (first[name] + second[name]) / 2)
        if torch.equal(first[name], second[name]):
            assert torch.equal(value, first[name])
    judged = json.loads((two / "memory" / "predictions.json").read_text())
    assert load_student(two).info.metrics["top1"] == judged["top1"], "it is judged by the held-out clips itself"


def test_a_run_that_is_stopped_while_it_looks_or_after_it_looks_at_no_clip_again(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    args = ("--recipe", recipe, "--data", clips, *settings(*ALONE, *LESSON, "memory.held=0.5"))
    looks, look, stop_at = [], SeenClip.by, [0]

    def counted(*asked: Any) -> SeenClip:
        looks.append(1)
        if len(looks) == stop_at[0]:
            signal.raise_signal(signal.SIGINT)
        return look(*asked)

    monkeypatch.setattr(SeenClip, "by", counted)
    monkeypatch.setattr(memory, "TOGETHER", 2)
    assert distill(*args, "--out", whole).status == 0
    assert not (whole / "memory" / "seen").exists(), "it is needed no longer"
    views = len(looks)
    looks.clear()
    stop_at[0] = views // 2
    assert distill(*args, "--out", parts).status == 130
    kept = (
        len(list((parts / "memory" / "seen").iterdir())) * 8
    )  # of each of two clips in a file two views, and two that hold
    assert 0 < kept <= views // 2
    looks.clear()
    stop_at[0] = 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, of=SightStreams)
        assert distill("--resume", "--out", parts).status == 130
    assert len(looks) == views - kept
    looks.clear()
    assert distill("--resume", "--out", parts).status == 0
    assert not looks
    one, other = (load_file(run / "memory" / "last" / "model.safetensors") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_was_seen_is_kept_as_it_was(tmp_path: Path) -> None:
    views = [seen(0, 1.0), seen(1, 2.0, steps=3), seen(2, 0.5, before=0, after=0)]
    write_seen(tmp_path / "kept.npz", views)
    for one, other in zip(views, read_seen(tmp_path / "kept.npz"), strict=True):
        for name, value in vars(one).items():
            again = getattr(other, name)
            assert np.array_equal(value, again)
            assert type(value) is type(again)
    kept = (tmp_path / "kept.npz").read_bytes()
    for content in (b"", kept[: len(kept) // 2], b"no archive"):
        (tmp_path / "kept.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"kept\.npz is damaged, delete it"):
            read_seen(tmp_path / "kept.npz")


def test_clips_that_are_drawn_for_an_epoch_cannot_be_looked_at_after_it(recipe: Path, tmp_path: Path) -> None:
    asked = settings("drawn.clips=4", "memory.streams=4", *ALONE)
    ran = distill("--recipe", recipe, "--all", "--classes", "left,right,other", "--out", tmp_path / "run", *asked)
    assert ran.status == 2
    assert "memory.streams" in ran.err


def test_several_labels_have_no_such_lesson(recipe: Path, clips: Path, tmp_path: Path) -> None:
    asked = settings("task.kind='multi_label'", "memory.streams=4")
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "run", *asked)
    assert ran.status == 2
    assert "memory.streams" in ran.err
