"""Several views of a clip: where they lie, what their mean is, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from students import LABELS, NO_SPLIT
from test_evaluate_checkpoints import write_teacher
from tiny_models import T, tiny_clip_model, tiny_conditional_model, tiny_manifest, tiny_stream_model
from tiny_run import tiny_recipe

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.checkpoint import Checkpoint, CheckpointInfo
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, decode_clip
from edgevid_train.evaluate.subjects import Answer, open_subject
from edgevid_train.evaluate.subjects.views import ManyViews, ViewPlan, crops_of, mirrored_order, parts_of, view_starts
from edgevid_train.models.student import Student

RECORD = ClipRecord(Path("x.mp4"), "x.mp4", ("left",), "x")


def evaluate(*args: object) -> Ran:
    return run_command(commands.register, "evaluate", *args)


def counted_clip(frames: int, height: int = 48, width: int = 64) -> DecodedClip:
    """Every frame is as bright as its number, from left to right 60 levels more."""
    ramp = np.linspace(0, 60, width).round().astype(np.uint8)
    pictures = [np.broadcast_to(ramp[None, :, None] + np.uint8(i), (height, width, 3)) for i in range(frames)]
    return DecodedClip(np.stack(pictures), 5 + np.arange(frames) / 10, RECORD)


class Window:
    """As much of a subject as `parts_of` asks."""

    def __init__(self, window_s: float) -> None:
        self.seconds = window_s

    def window_s(self, length_s: float) -> float:  # noqa: ARG002
        return self.seconds


@given(st.integers(1, 60), st.integers(1, 12), st.floats(0, 8))
def test_parts_of_a_clip_are_evenly_spread(frames: int, count: int, window_s: float) -> None:
    clip = counted_clip(frames)
    parts = parts_of(clip, count, Window(window_s))  # type: ignore[arg-type]
    assert 1 <= len(parts) <= count
    firsts = [part.first for part in parts]
    assert firsts == sorted(set(firsts))
    for part in parts:
        assert part.times_s[-1] - part.times_s[0] <= window_s + 1e-3 or count == 1
        np.testing.assert_array_equal(part.frames, clip.frames[part.first : part.first + len(part.times_s)])
    if count > 1:
        assert firsts[0] == 0
        assert window_s >= 6 or clip.times_s[-1] - parts[-1].times_s[-1] < 0.1 + 1e-3


def test_windows_stand_evenly_in_a_span() -> None:
    assert view_starts(0.0, 10.0, 2.0, 3).tolist() == [0.0, 4.0, 8.0]
    assert view_starts(5.0, 6.0, 2.0, 3).tolist() == [5.0, 5.0, 5.0]


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(0.01, 50), st.integers(2, 40))
def test_windows_lie_within_the_span(start_s: float, length_s: float, window_s: float, views: int) -> None:
    starts = view_starts(start_s, start_s + length_s, window_s, views)
    assert len(starts) == views
    assert (np.diff(starts) >= 0).all()
    assert starts[0] == start_s
    assert starts[-1] + window_s <= start_s + max(length_s, window_s) + 1e-9


def test_three_crops_lie_along_the_longer_side() -> None:
    clip = counted_clip(2, 48, 80)
    square = crops_of(clip, InputSpec(height=32, width=32))
    assert [crop.frames.shape for crop in square] == [(2, 48, 48, 3)] * 3
    assert [int(crop.frames[0, 0, 0, 0]) for crop in square] == sorted(int(c.frames[0, 0, 0, 0]) for c in square)
    np.testing.assert_array_equal(square[2].frames[:, :, -1], clip.frames[:, :, -1])
    tall = crops_of(clip, InputSpec(height=64, width=32))
    assert [crop.frames.shape for crop in tall] == [(2, 48, 24, 3)] * 3
    assert len(crops_of(clip, InputSpec(height=48, width=80))) == 1


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher"), 1, rate_hz=8.0)


def test_the_score_is_the_mean_of_all_views(teacher: Path) -> None:
    subject = open_subject(str(teacher), 1)
    assert subject.window_s(9.0) == pytest.approx(3 / 8)
    rng = np.random.default_rng(0)
    clip = DecodedClip(rng.integers(0, 256, (20, 48, 64, 3), np.uint8), np.arange(20) / 10, RECORD)
    answer = ManyViews(subject, ViewPlan(times=3, crops=3)).answer(clip)
    expected = [
        subject.answer(crop).scores for part in parts_of(clip, 3, subject) for crop in crops_of(part, subject.input)
    ]
    assert answer.computed == len(expected) == 9
    np.testing.assert_allclose(answer.scores, np.mean(expected, axis=0), atol=1e-6)
    assert answer.steps.shape == (3, len(LABELS))
    np.testing.assert_allclose(answer.times_s, [0.15, 0.95, 1.75], atol=0.11)  # the middle of each part
    alone = ManyViews(subject, ViewPlan()).answer(clip)
    np.testing.assert_array_equal(alone.scores, subject.answer(clip).scores)


def test_mirrored_scores_are_those_of_what_a_label_becomes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = tiny_recipe()  # left becomes right
    labels = ("left", "right", "other")
    info = CheckpointInfo(kind="student", labels=labels, weights_from="tests", split=NO_SPLIT)
    Checkpoint(Student(recipe.student, 3).eval(), recipe, info).write(tmp_path / "best")
    subject = open_subject(str(tmp_path), 1)
    assert mirrored_order(subject) == [1, 0, 2]
    clip = counted_clip(12)
    turned = DecodedClip(clip.frames[:, :, ::-1], clip.times_s, RECORD)
    plain, mirror = subject.answer(clip).scores, subject.answer(turned).scores
    answer = ManyViews(subject, ViewPlan(flip=True)).answer(clip)
    np.testing.assert_allclose(answer.scores, (plain + mirror[[1, 0, 2]]) / 2, atol=1e-6)
    again = ManyViews(subject, ViewPlan(flip=True)).answer(turned)
    np.testing.assert_allclose(again.scores, answer.scores[[1, 0, 2]], atol=1e-6)
    by_exit = ManyViews(subject, ViewPlan(flip=True)).answer_by_exit(clip, answer)
    np.testing.assert_allclose(by_exit[-1], answer.scores, atol=1e-6)


def test_scores_by_exit_are_those_of_the_answer_and_no_view_is_asked_about_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = open_subject(str(tiny_stream_model(tmp_path / "tiny.onnx")), 1)
    views, clip, asked = ManyViews(subject, ViewPlan(times=2, crops=3)), counted_clip(15, 48, 80), []
    original = subject.answer

    def counting(view: DecodedClip) -> Answer:
        asked.append(view)
        return original(view)

    monkeypatch.setattr(subject, "answer", counting)
    answer = views.answer(clip)
    assert len(asked) == len(answer.views) == 6
    by_exit = views.answer_by_exit(clip, answer)
    assert len(asked) == 6
    each = [subject.answer_by_exit(view, original(view)) for view in asked]
    np.testing.assert_allclose(by_exit, np.mean(each, axis=0), atol=1e-6)


def test_labels_that_a_mirror_changes_unheard_of_are_refused(teacher: Path) -> None:
    with pytest.raises(InputError, match="says nothing of tick, circle: in a mirror"):
        ManyViews(open_subject(str(teacher), 1), ViewPlan(flip=True))


@pytest.mark.parametrize("make", [tiny_stream_model, tiny_clip_model, tiny_conditional_model])
def test_views_of_a_model_file_differ_in_the_moments_that_are_looked_at(tmp_path: Path, make) -> None:
    subject = open_subject(str(make(tmp_path / "tiny.onnx")), 1)
    views = ManyViews(subject, ViewPlan(times=2))
    clip = counted_clip(15)
    answer = views.answer(clip)
    assert len(parts_of(clip, 2, subject)) == 2
    assert (np.diff(answer.times_s) >= 0).all()
    assert answer.scores.sum() == pytest.approx(1, abs=1e-5)
    assert len(views.answer_by_exit(clip, answer)) == 2
    if make is tiny_clip_model:  # whose windows overlap
        assert answer.computed % T == 0
        assert answer.computed > len(answer.exits)
    else:
        assert answer.computed == len(answer.exits)


def test_evaluate_says_which_views_it_took(tmp_path: Path, clips: Path, teacher: Path) -> None:
    out = tmp_path / "report"
    ran = evaluate(teacher, clips, "--views", 2, "--crops", 3, "--out", out)
    assert ran.status == 0, ran.err
    assert "the mean of up to 6 views: 2 in time, 3 crops" in ran.out
    found = json.loads((out / "report.json").read_text())
    assert found["views"] == {
        **{"times": 2, "crops": 3, "flip": False, "most": 6, "said": "6 views: 2 in time, 3 crops"}
    }
    assert found["cost"]["gflops_per_clip"] > 2e-9 * found["cost"]["macs_per_clip"]
    assert "mean of up to 6 views" in (out / "index.html").read_text()
    subject = ManyViews(open_subject(str(teacher), 1), ViewPlan(2, 3))
    for record, entry in zip(read_data(clips), found["predictions"], strict=True):
        scores = subject.answer(decode_clip(record, RUNTIME_SHORT_SIDE)).scores
        assert list(entry["scores"].values()) == pytest.approx(scores.tolist(), abs=2e-6)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--crops", 2), "--crops is 1 or 3, not 2"),
        (("--stream", "--views", 3), "--views, --crops and --flip are not for --stream"),
        (("--flip",), "does not say what its labels become in a mirror"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, clips: Path, args: tuple[object, ...], says: str) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", labels=("left", "right", "up", "other")))
    ran = evaluate(model, clips, *args)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
