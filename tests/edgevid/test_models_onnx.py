"""The ONNX Runtime backend: state is carried, nothing of the caller's is changed, stream and clip agree."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
import pytest
from tiny_models import (
    LEAK,
    coloured_frames,
    tiny_clip_model,
    tiny_conditional_model,
    tiny_manifest,
    tiny_stream_model,
)

from edgevid.errors import EdgevidError
from edgevid.models.load import load
from edgevid.models.onnx import OnnxClip, OnnxStream


@pytest.fixture
def stream(tmp_path: Path) -> OnnxStream:
    model = load(tiny_stream_model(tmp_path / "tiny.onnx"))
    assert isinstance(model, OnnxStream)
    return model


@pytest.fixture
def conditional(tmp_path: Path) -> OnnxStream:
    model = load(tiny_conditional_model(tmp_path / "conditional.onnx"))
    assert isinstance(model, OnnxStream)
    return model


@pytest.fixture
def clip(tmp_path: Path) -> OnnxClip:
    model = load(tiny_clip_model(tmp_path / "tiny.clip.onnx"))
    assert isinstance(model, OnnxClip)
    return model


def test_a_step_gives_exits_embedding_and_state(stream: OnnxStream) -> None:
    outputs, state = stream.step(coloured_frames(("red", 1))[0], stream.zero_state())
    assert outputs.logits.shape == (2, 4)
    assert outputs.logits.dtype == np.float32
    assert outputs.logits[0].argmax() == 0
    np.testing.assert_allclose(outputs.embedding, [1, 0, 0])
    np.testing.assert_allclose(state["mean"], [[1 - LEAK, 0, 0]])
    assert state["last"].shape == (1, 3, 1, 1)


def test_stream_and_clip_agree_step_by_step_from_a_zero_state(stream: OnnxStream, clip: OnnxClip) -> None:
    frames = coloured_frames(("other", 2), ("red", 3), ("blue", 1), ("green", 2))
    frames = np.random.default_rng(0).integers(0, 60, frames.shape, np.uint8) + frames // 2
    whole = clip.run(frames)
    state = stream.zero_state()
    for t, pixels in enumerate(frames):
        outputs, state = stream.step(pixels, state)
        np.testing.assert_allclose(outputs.logits, whole.logits[:, t], atol=1e-4)
        np.testing.assert_allclose(outputs.embedding, whole.embedding[t], atol=1e-4)
    # The same frame from a zero state says something else: a stream that lost its state would be noticed.
    forgetful, _ = stream.step(frames[-1], stream.zero_state())
    assert abs(forgetful.logits[1] - whole.logits[1, -1]).max() > 0.1


def test_no_argument_is_changed_and_no_result_is_shared(stream: OnnxStream) -> None:
    frames = coloured_frames(("red", 1), ("blue", 1))
    _, first = stream.step(frames[0], stream.zero_state())
    kept = {name: value.copy() for name, value in first.items()}
    once, after = stream.step(frames[1], first)
    twice, again = stream.step(frames[1], first)
    for name, value in kept.items():
        np.testing.assert_array_equal(first[name], value)
        np.testing.assert_array_equal(after[name], again[name])
    np.testing.assert_array_equal(once.logits, twice.logits)
    assert (frames[1] == coloured_frames(("blue", 1))[0]).all()


def test_a_view_of_a_larger_array_is_as_good_as_a_copy(stream: OnnxStream) -> None:
    large = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    view = large[::2, ::2]
    assert not view.flags.c_contiguous
    seen, _ = stream.step(view, stream.zero_state())
    copied, _ = stream.step(view.copy(), stream.zero_state())
    np.testing.assert_array_equal(seen.logits, copied.logits)


def test_what_the_model_does_not_take_is_refused(stream: OnnxStream, clip: OnnxClip) -> None:
    state = stream.zero_state()
    with pytest.raises(ValueError, match="takes uint8"):
        stream.step(np.zeros((24, 31, 3), np.uint8), state)
    with pytest.raises(ValueError, match="takes uint8"):
        stream.step(np.zeros((24, 32, 3), np.float32), state)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="states are"):
        stream.step(np.zeros((24, 32, 3), np.uint8), {"mean": state["mean"]})
    with pytest.raises(ValueError, match="takes uint8"):
        clip.run(np.zeros((7, 24, 32, 3), np.uint8))


def test_a_clip_model_may_give_one_score_for_all_its_frames(tmp_path: Path, clip: OnnxClip) -> None:
    single = load(tiny_clip_model(tmp_path / "one.onnx", tiny_manifest("clip", name="one"), one_score=True))
    assert isinstance(single, OnnxClip)
    frames = coloured_frames(("other", 3), ("green", 5))
    outputs = single.run(frames)
    assert outputs.logits.shape == (2, 1, 4)
    assert outputs.embedding.shape == (1, 3)
    np.testing.assert_allclose(outputs.logits[:, 0], clip.run(frames).logits[:, -1], atol=1e-5)


def test_a_conditional_model_stops_where_its_threshold_says(conditional: OnnxStream) -> None:
    red = coloured_frames(("red", 1))[0]  # `early` is sure of it by 0.999
    for threshold, stops in ((None, False), (0.0, True), (0.9, True), (1.0, False)):
        model = conditional.with_thresholds([threshold, None])
        assert [e.threshold for e in model.manifest.exits] == [threshold, None]
        outputs, state = model.step(red, model.zero_state())
        assert outputs.exit == (0 if stops else 1), threshold
        assert (outputs.logits[1] == outputs.logits[0]).all() == stops
        np.testing.assert_allclose(state["mean"], [[0 if stops else 1 - LEAK, 0, 0]])
        np.testing.assert_allclose(state["last"].reshape(3), [1, 0, 0])
        np.testing.assert_allclose(outputs.embedding, state["mean"][0])
    assert [e.threshold for e in conditional.manifest.exits] == [None, None]


def test_a_conditional_model_that_never_stops_early_is_the_stream_itself(
    conditional: OnnxStream, stream: OnnxStream
) -> None:
    state, usual = conditional.zero_state(), stream.zero_state()
    for pixels in coloured_frames(("other", 2), ("red", 3), ("blue", 2)):
        outputs, state = conditional.step(pixels, state)
        expected, usual = stream.step(pixels, usual)
        assert (outputs.exit, expected.exit) == (1, None)
        np.testing.assert_array_equal(outputs.logits, expected.logits)


def test_a_held_step_sees_again_what_was_seen_last(conditional: OnnxStream, stream: OnnxStream) -> None:
    red, grey = coloured_frames(("red", 1), ("other", 1))
    _, state = conditional.step(red, conditional.zero_state())
    once, after = conditional.hold(state)
    again, expected = conditional.step(red, state)
    np.testing.assert_array_equal(once.logits[-1], again.logits[-1])
    assert all(np.array_equal(after[name], expected[name]) for name in expected)
    other, _ = conditional.step(grey, state)
    assert not np.allclose(once.logits, other.logits)
    with pytest.raises(ValueError, match="states are"):
        conditional.hold({})
    with pytest.raises(ValueError, match="looks at every frame"):
        stream.hold(stream.zero_state())


def test_thresholds_that_do_not_fit_are_refused(conditional: OnnxStream) -> None:
    with pytest.raises(ValueError, match="2 exits, but 1 thresholds"):
        conditional.with_thresholds([0.5])
    with pytest.raises(ValueError, match="threshold"):
        conditional.with_thresholds([1.5, None])


class Lying:
    """A session whose `exit` is one that the model does not have."""

    def run(self, outputs: list[str], _inputs: dict[str, Any]) -> list[Any]:
        shapes = {"embedding": (1, 3), "next_mean": (1, 3), "next_last": (1, 3, 1, 1), "exit": (1,)}
        return [np.full(shapes.get(name, (1, 4)), 2) for name in outputs]


def test_an_exit_that_does_not_exist_is_an_error(conditional: OnnxStream) -> None:
    lying = OnnxStream(cast(ort.InferenceSession, Lying()), conditional.manifest)
    with pytest.raises(EdgevidError, match="exit 2 decided"):
        lying.step(coloured_frames(("red", 1))[0], lying.zero_state())
