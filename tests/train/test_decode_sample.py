"""Moments to look at, from the times of a clip alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid_train.decode.sample import ClipRequest, dense, random_start, scattered, uniform, view_starts

SPANS = st.tuples(st.floats(0, 1000), st.floats(0, 100)).map(lambda x: (x[0], x[0] + x[1]))
COUNTS = st.integers(1, 40)


def test_what_a_person_would_expect() -> None:
    assert uniform(1.0, 3.0, 4).tolist() == [1.25, 1.75, 2.25, 2.75]
    assert dense(1.0, 3, 10).tolist() == pytest.approx([1.0, 1.1, 1.2])
    assert dense(1.0, 3, 10, speed=2).tolist() == pytest.approx([1.0, 1.2, 1.4])
    assert view_starts(0.0, 10.0, 2.0, 3).tolist() == [0.0, 4.0, 8.0]
    assert view_starts(0.0, 10.0, 2.0, 1).tolist() == [4.0]
    assert view_starts(5.0, 6.0, 2.0, 3).tolist() == [5.0, 5.0, 5.0]
    assert random_start(5.0, 6.0, 2.0, np.random.default_rng(0)) == 5.0


@given(SPANS, COUNTS, st.integers(0, 9))
def test_ticks_stay_inside_and_rise(span: tuple[float, float], frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for ticks in (uniform(*span, frames), scattered(*span, frames, rng)):
        assert len(ticks) == frames
        assert span[0] - 1e-9 <= ticks[0]
        assert ticks[-1] <= span[1] + 1e-9
        assert (np.diff(ticks) >= -1e-9).all()


@given(SPANS, st.floats(0.01, 50), COUNTS, st.integers(0, 9))
def test_windows_lie_within_the_span(span: tuple[float, float], window_s: float, views: int, seed: int) -> None:
    starts = [*view_starts(*span, window_s, views), random_start(*span, window_s, np.random.default_rng(seed))]
    for start_s in starts:
        assert start_s >= span[0]
        assert start_s + window_s <= max(span[1], span[0] + window_s) + 1e-9


@given(
    st.lists(st.floats(0, 0.5), min_size=1, max_size=50).map(np.cumsum),
    COUNTS,
    st.floats(0, 30),
    st.sampled_from([{"rate_hz": 10.0}, {"rate_hz": 0.3}, {"span_s": 2.0}, {"step": 1}, {"step": 4}]),
    st.floats(0.1, 5),
)
def test_a_request_takes_the_first_frame_at_or_after_a_tick(
    times_s: np.ndarray, frames: int, start_s: float, how: dict[str, float], speed: float
) -> None:
    positions = ClipRequest(frames, start_s, speed=speed, **how).positions(times_s)  # type: ignore[arg-type]
    assert len(positions) == frames
    assert (np.diff(positions) >= 0).all()
    assert positions[0] >= 0
    assert positions[-1] < len(times_s)
    first = positions[0]
    assert times_s[first] >= start_s - 1.1e-3 or first == len(times_s) - 1
    assert first == 0 or times_s[first - 1] < start_s
