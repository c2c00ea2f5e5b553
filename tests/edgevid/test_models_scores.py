"""Logits to scores to a clip's score: the invariants, and the cases that must not pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny_models import tiny_manifest

from edgevid.errors import EdgevidError
from edgevid.manifest import ClipPool
from edgevid.models.scores import Scores, activate, clip_score, pool, smooth

logits = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(2, 6)), elements=st.floats(-1e4, 1e4, width=32)
)
scores = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.floats(0, 1, width=32))


@given(logits)
def test_softmax_is_a_distribution_in_the_order_of_the_logits(values: Scores) -> None:
    result = activate(values, "softmax")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=-1), 1, atol=1e-5)
    assert (np.take_along_axis(result, values.argmax(-1, keepdims=True), -1)[:, 0] == result.max(-1)).all()
    np.testing.assert_allclose(activate(values + 7, "softmax"), result, atol=1e-2)  # float32 of 1e4 + 7


@given(logits)
def test_sigmoid_stays_in_0_to_1_without_a_warning(values: Scores) -> None:
    with np.errstate(all="raise", under="ignore"):
        result = activate(values, "sigmoid")
    assert ((result >= 0) & (result <= 1)).all()
    np.testing.assert_allclose(result + activate(-values, "sigmoid"), 1, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_score_that_is_no_number_is_an_error(bad: float, activation: str) -> None:
    with pytest.raises(EdgevidError, match="NaN or infinity"):
        activate(np.array([[0, bad, 1]], np.float32), activation)


@given(scores, st.integers(0, 40))
def test_smoothing_is_the_mean_of_the_last_steps(values: Scores, steps: int) -> None:
    expected = np.stack([values[max(0, t + 1 - max(1, steps)) : t + 1].mean(axis=0) for t in range(len(values))])
    np.testing.assert_allclose(smooth(values, steps), expected, atol=1e-6)


@given(scores, st.sampled_from(["last", "mean", "peak"]), st.sampled_from([0.0, 0.3]), st.sampled_from([None, 0, 1]))
def test_a_pool_invents_no_score(values: Scores, kind: str, smooth_s: float, background: int | None) -> None:
    result = pool(values, ClipPool(kind=kind, smooth_s=smooth_s), 10.0, background)
    assert result.shape == values.shape[1:]
    assert (result <= values.max(axis=0) + 1e-6).all()
    assert (result >= values.min(axis=0) - 1e-6).all()


@given(scores)
def test_each_pool_is_what_its_name_says(values: Scores) -> None:
    np.testing.assert_array_equal(pool(values, ClipPool(kind="last"), 10, 0), values[-1])
    np.testing.assert_allclose(pool(values, ClipPool(kind="mean"), 10, 0), values.mean(axis=0), atol=1e-6)
    assert pool(values, ClipPool(kind="peak"), 10, 0)[0] == values[:, 0].min()
    assert pool(values, ClipPool(kind="peak"), 10, None).max() == values.max()


@given(scores)
def test_independent_labels_have_a_peak_each(values: Scores) -> None:
    result = pool(values, ClipPool(kind="peak"), 10, None, "sigmoid")
    np.testing.assert_array_equal(result, values.max(axis=0))
    manifest = tiny_manifest("stream", activation="sigmoid", clip_pool=ClipPool(kind="peak"))
    four = np.array([[0.1, 0.9, 0.0, 0.2], [0.8, 0.1, 0.0, 0.7]], np.float32)
    np.testing.assert_array_equal(clip_score(four, manifest), [np.float32(x) for x in (0.8, 0.9, 0.0, 0.7)])


@given(scores, st.integers(1, 5))
def test_mean_does_not_ask_when_and_peak_not_how_long(values: Scores, times: int) -> None:
    backwards = pool(values[::-1], ClipPool(kind="mean"), 10, 0)
    np.testing.assert_allclose(backwards, pool(values, ClipPool(kind="mean"), 10, 0), atol=1e-6)
    longer = pool(np.repeat(values, times, axis=0), ClipPool(kind="peak"), 10, 0)
    np.testing.assert_array_equal(longer, pool(values, ClipPool(kind="peak"), 10, 0))


def test_the_manifest_says_how_a_clip_is_scored() -> None:
    values = np.array([[0.1, 0.1, 0.1, 0.7], [0.8, 0.1, 0.0, 0.1], [0.1, 0.1, 0.1, 0.7]], np.float32)
    assert clip_score(values, tiny_manifest("stream", clip_pool=ClipPool(kind="peak")))[0] == np.float32(0.8)
    assert clip_score(values, tiny_manifest("stream", clip_pool=ClipPool(kind="last")))[0] == np.float32(0.1)
    smoothed = tiny_manifest("stream", clip_pool=ClipPool(kind="peak", smooth_s=0.2))  # two steps at 10 Hz
    np.testing.assert_allclose(clip_score(values, smoothed)[0], 0.45, atol=1e-6)
