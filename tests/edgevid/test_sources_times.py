"""Times start at 0, never go back, and stay the source's own wherever that is possible."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.sources.times import CameraTimes, PresentationTimes


def test_good_stamps_are_kept_from_zero() -> None:
    times = PresentationTimes(1 / 25)
    assert [times(s) for s in (7.0, 7.04, 7.5, 11.0)] == pytest.approx([0.0, 0.04, 0.5, 4.0])
    assert times.repaired == 0


def test_a_missing_stamp_is_one_interval_later_and_the_next_is_right_again() -> None:
    times = PresentationTimes(0.1)
    assert [times(s) for s in (2.0, None, 2.2, None)] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert times.repaired == 2


def test_without_any_stamp_frames_run_at_the_nominal_rate() -> None:
    times = PresentationTimes(0.1)
    assert [times(None) for _ in range(4)] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_slip_back_waits_and_does_not_move_what_follows() -> None:
    times = PresentationTimes(0.1)
    assert [times(s) for s in (0.0, 0.2, 0.1, 0.3)] == pytest.approx([0.0, 0.2, 0.2, 0.3])
    assert times.repaired == 1


def test_a_jump_back_is_a_new_beginning() -> None:
    times = PresentationTimes(0.1)
    assert [times(s) for s in (50.0, 50.1, 0.0, 0.1)] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert times.repaired == 1


@given(st.lists(st.none() | st.just(math.nan) | st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_whatever_the_stamps_time_starts_at_zero_and_never_goes_back(stamps: list[float | None]) -> None:
    times = PresentationTimes(0.04)
    given_s = [times(s) for s in stamps]
    assert given_s[0] == 0
    assert all(a <= b for a, b in pairwise(given_s))
    assert all(math.isfinite(t) for t in given_s)


def test_a_camera_that_knows_the_time_is_believed() -> None:
    times = CameraTimes()
    # Read late and unevenly; the camera knows better when it exposed.
    assert [times(d, n) for d, n in ((900.0, 5.0), (900.033, 5.09), (900.066, 5.1))] == pytest.approx([0, 0.033, 0.066])
    assert times.repaired == 0


def test_a_camera_that_says_nothing_is_timed_by_the_clock() -> None:
    times = CameraTimes()
    assert [times(0.0, n) for n in (5.0, 5.03, 5.1)] == pytest.approx([0, 0.03, 0.1])
    assert times.repaired == 0


@pytest.mark.parametrize(
    "device_s", [(10.0, 10.03, 10.03, 10.03), (10.0, 10.03, 3.0, 3.03), (10.0, 10.03, 70.0, 70.03)]
)
def test_a_camera_clock_that_stands_goes_back_or_leaps_is_left_for_good(device_s: tuple[float, ...]) -> None:
    times = CameraTimes()
    given_s = [times(d, 5 + 0.05 * i) for i, d in enumerate(device_s)]
    assert given_s == pytest.approx([0, 0.03, 0.08, 0.13])
    assert times.repaired == 1


@pytest.mark.parametrize(("speed", "believed"), [(1.01, True), (0.99, True), (2.0, False), (0.5, False)])
def test_a_camera_clock_that_runs_at_another_speed_is_not_believed_for_long(speed: float, believed: bool) -> None:
    times = CameraTimes()
    last_s = [times(10 + speed * i / 30, 5 + i / 30) for i in range(18_000)][-1]
    assert (times.repaired == 0) is believed
    assert last_s == pytest.approx(600 * speed if believed else 600, abs=1.2)


@given(st.lists(st.tuples(st.just(math.nan) | st.floats(0, 1e6), st.floats(0, 100)), min_size=1, max_size=50))
def test_whatever_a_camera_says_time_never_goes_back(reads: list[tuple[float, float]]) -> None:
    times, now_s, given_s = CameraTimes(), 0.0, []
    for device_s, step_s in reads:
        now_s += step_s
        given_s.append(times(device_s, now_s))
    assert given_s[0] == 0
    assert all(a <= b for a, b in pairwise(given_s))
