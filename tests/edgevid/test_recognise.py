"""A clip's score is what a live stream would have computed, whatever the camera's rate and the clip's length."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import (
    LABELS,
    coloured_frames,
    score_frames,
    tiny_clip_model,
    tiny_conditional_model,
    tiny_manifest,
    tiny_stream_model,
)

from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.manifest import ClipPool, ExitSpec
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.load import load
from edgevid.recognise import ClipScores, score_clip


@pytest.fixture
def stream(tmp_path: Path) -> StreamModel | ClipModel:
    return load(tiny_stream_model(tmp_path / "tiny.onnx"))


@pytest.fixture
def clip(tmp_path: Path) -> StreamModel | ClipModel:
    return load(tiny_clip_model(tmp_path / "tiny.clip.onnx"))


@pytest.fixture
def one_score(tmp_path: Path) -> StreamModel | ClipModel:
    return load(tiny_clip_model(tmp_path / "one.onnx", one_score=True))


def recorded(pixels: NDArray[np.uint8], rate_hz: float) -> list[Frame]:
    return [Frame(p, i / rate_hz, i) for i, p in enumerate(pixels)]


def test_every_exit_is_scored_at_every_tick(stream: StreamModel | ClipModel) -> None:
    scores = score_frames(coloured_frames(("other", 4), ("red", 4), ("other", 4)), stream)
    assert scores.steps.shape == (2, 12, 4)
    np.testing.assert_allclose(scores.steps.sum(axis=-1), 1, atol=1e-5)
    assert LABELS[scores.clip.argmax()] == "red"
    np.testing.assert_array_equal(scores.clip, scores.steps[1, 7])  # `peak`: where background is least likely
    assert (scores.exits == 1).all()


def test_a_stream_settles_on_the_last_frame_before_a_clip_is_scored(tmp_path: Path) -> None:
    rule = ClipPool(kind="last", smooth_s=0.2, settle_s=0.3)  # two steps, and three, at 10 Hz
    settling = load(tiny_stream_model(tmp_path / "s.onnx", tiny_manifest("stream", clip_pool=rule)))
    plain = load(
        tiny_stream_model(
            tmp_path / "p.onnx", tiny_manifest("stream", clip_pool=rule.model_copy(update={"settle_s": 0.0}))
        )
    )
    frames = coloured_frames(("other", 4), ("red", 3))
    longer = np.concatenate([frames, np.repeat(frames[-1:], 3, axis=0)])
    np.testing.assert_array_equal(score_frames(frames, settling).clip, score_frames(longer, plain).clip)
    assert not np.allclose(score_frames(frames, settling).clip, score_frames(frames, plain).clip)
    _, counts = score_clip(recorded(frames, 10.0), settling)
    assert counts.captured == counts.computed == 7  # frames are counted once, however often they are seen


def test_a_stream_settles_on_the_last_frame_that_it_saw_where_a_camera_gives_more(tmp_path: Path) -> None:
    rule = ClipPool(kind="last", settle_s=0.3)
    model = load(tiny_stream_model(tmp_path / "s.onnx", tiny_manifest("stream", clip_pool=rule)))
    pixels = np.stack(list(coloured_frames(("red", 2), ("green", 2))))
    slow, _ = score_clip(recorded(pixels, 10), model)
    fast, counts = score_clip(recorded(pixels.repeat(3, axis=0), 30), model)  # its last two frames are at no tick
    assert counts.unsampled == 8
    assert fast.clip == pytest.approx(slow.clip, abs=1e-6)


def test_a_clip_and_a_stream_of_the_same_weights_give_the_same_score(
    stream: StreamModel | ClipModel, clip: StreamModel | ClipModel, one_score: StreamModel | ClipModel
) -> None:
    frames = coloured_frames(("other", 3), ("blue", 2), ("green", 3))
    by_steps, by_clip, single = (score_frames(frames, model) for model in (stream, clip, one_score))
    np.testing.assert_allclose(by_steps.steps, by_clip.steps, atol=1e-5)
    np.testing.assert_allclose(by_steps.clip, by_clip.clip, atol=1e-5)
    assert single.steps.shape == (2, 1, 4)
    np.testing.assert_allclose(single.steps[:, 0], by_steps.steps[:, -1], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [10.0, 20.0, 25.0, 29.97, 60.0])
def test_the_camera_s_rate_does_not_matter(stream: StreamModel | ClipModel, rate_hz: float) -> None:
    at_10_hz = coloured_frames(("other", 10), ("green", 10), ("blue", 5))
    recording = [
        Frame(at_10_hz[min(24, int(i / rate_hz * 10 + 0.01))], i / rate_hz, i) for i in range(int(2.5 * rate_hz))
    ]
    scores, counts = score_clip(recording, stream)
    np.testing.assert_allclose(scores.clip, score_frames(at_10_hz, stream).clip, atol=0.02)
    assert counts.captured == len(recording)
    assert counts.computed + counts.unsampled == len(recording)
    assert counts.computed == scores.steps.shape[1] == pytest.approx(25, abs=1)
    counts.check()


def test_a_slow_camera_repeats_its_frames_and_says_so(stream: StreamModel | ClipModel) -> None:
    scores, counts = score_clip(recorded(coloured_frames(("other", 2), ("red", 3)), 5.0), stream)
    assert scores.steps.shape[1] == 9
    assert counts.repeated == 4
    assert LABELS[scores.clip.argmax()] == "red"


def test_a_gap_resets_the_state(stream: StreamModel | ClipModel) -> None:
    red = [Frame(p, i / 10, i) for i, p in enumerate(coloured_frames(("red", 10)))]
    grey = [Frame(p, 60 + i / 10, 10 + i) for i, p in enumerate(coloured_frames(("other", 3)))]
    after_gap = score_clip(red + grey, stream)[0].steps[:, 10:]
    np.testing.assert_array_equal(after_gap, score_frames(coloured_frames(("other", 3)), stream).steps)


def test_a_recording_shorter_than_a_window_is_scored_all_the_same(
    stream: StreamModel | ClipModel, clip: StreamModel | ClipModel, one_score: StreamModel | ClipModel
) -> None:
    frames = coloured_frames(("other", 1), ("green", 4))
    np.testing.assert_allclose(score_frames(frames, clip).steps, score_frames(frames, stream).steps, atol=1e-5)
    scores, counts = score_clip(recorded(frames, 10.0), one_score)
    assert LABELS[scores.clip.argmax()] == "green"
    assert counts.computed == 5
    counts.check()


def test_windows_slide_and_a_single_score_is_held_between_them(
    clip: StreamModel | ClipModel, one_score: StreamModel | ClipModel
) -> None:
    frames = coloured_frames(("other", 8), ("red", 4))  # windows of 8, every 2: due at ticks 8, 10 and 12
    each, counts = score_clip(recorded(frames, 10.0), clip)
    assert each.steps.shape[1] == 12
    assert counts.computed == 12
    single, _ = score_clip(recorded(frames, 10.0), one_score)
    assert single.steps.shape[1] == 5
    np.testing.assert_array_equal(single.steps[:, 0], single.steps[:, 1])
    np.testing.assert_allclose(single.steps[:, [0, 2, 4]], each.steps[:, [7, 9, 11]], atol=1e-5)


def test_an_exit_that_is_sure_decides_its_step(tmp_path: Path) -> None:
    exits = (ExitSpec(name="early", macs=12, threshold=0.99), ExitSpec(name="final", macs=24))
    manifest = tiny_manifest("stream", exits=exits, clip_pool=ClipPool(kind="last"))
    model = load(tiny_stream_model(tmp_path / "sure.onnx", manifest))
    scores = score_frames(coloured_frames(("other", 2), ("red", 1)), model)
    assert scores.exits.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(scores.clip, scores.steps[0, 2])


def test_what_a_conditional_model_did_not_compute_has_no_score(tmp_path: Path) -> None:
    exits = (ExitSpec(name="early", macs=12, threshold=0.99), ExitSpec(name="final", macs=24))
    manifest = tiny_manifest("stream", exits=exits, conditional=True, clip_pool=ClipPool(kind="mean"))
    model = load(tiny_conditional_model(tmp_path / "sure.onnx", manifest))
    scores = score_frames(coloured_frames(("other", 2), ("red", 1)), model)
    assert scores.exits.tolist() == [1, 1, 0]
    assert np.isnan(scores.steps).any(axis=-1).tolist() == [[False, False, False], [False, False, True]]
    deployed = scores.steps[[1, 1, 0], [0, 1, 2]]
    np.testing.assert_allclose(scores.clip, deployed.mean(axis=0), atol=1e-6)


def test_no_frames_is_an_error(stream: StreamModel | ClipModel, clip: StreamModel | ClipModel) -> None:
    for model in (stream, clip):
        with pytest.raises(InputError, match="no frames"):
            score_clip([], model)


def test_frames_of_another_size_are_fitted(stream: StreamModel | ClipModel) -> None:
    large = recorded(coloured_frames(("blue", 5), height=120, width=160), 10.0)
    np.testing.assert_allclose(
        score_clip(large, stream)[0].clip, score_frames(coloured_frames(("blue", 5)), stream).clip, atol=1e-5
    )


@given(st.lists(st.floats(0.001, 3.0), min_size=1, max_size=40), st.sampled_from(["stream", "clip", "one_score"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_every_frame_of_any_recording_has_one_fate(
    stream: StreamModel | ClipModel,
    clip: StreamModel | ClipModel,
    one_score: StreamModel | ClipModel,
    steps_s: list[float],
    kind: str,
) -> None:
    model = {"stream": stream, "clip": clip, "one_score": one_score}[kind]
    times_s = np.cumsum(steps_s)
    frames = [Frame(coloured_frames(("red", 1))[0], float(t), i) for i, t in enumerate(times_s)]
    scores, counts = score_clip(frames, model)
    counts.check()
    assert counts.captured == len(frames)
    assert counts.pending == 0
    assert np.isfinite(scores.clip).all()


def test_scores_from_elsewhere_are_pooled_by_the_same_rule(stream: StreamModel | ClipModel) -> None:
    steps = np.full((2, 3, 4), 0.25, np.float32)
    steps[1, 1] = [0.05, 0.05, 0.85, 0.05]
    np.testing.assert_array_equal(ClipScores.of(steps, stream.manifest).clip, steps[1, 1])
