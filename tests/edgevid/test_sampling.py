"""Which frames a model gets, at every rate; and every frame accounted for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.manifest import ExitSpec, InputSpec, Manifest, Provenance
from edgevid.sampling import (
    TOLERANCE_S,
    ClipSchedule,
    Due,
    FrameCounts,
    Sample,
    Sampler,
    Schedule,
    StreamSchedule,
    sample_all,
    schedule_for,
)

RATES_HZ = [8.0, 10.0, 12.5, 25.0, 29.97, 30.0]


def times_at(fps: float, seconds: float) -> list[float]:
    return [n / fps for n in range(math.floor(seconds * fps) + 1)]


def steps(sampler: Sampler, times_s: list[float]) -> list[int]:
    return [sampler.offer(t).steps for t in times_s]


uneven_times = st.lists(st.floats(0.001, 0.9), max_size=80).map(
    lambda deltas: [sum(deltas[:n]) for n in range(len(deltas) + 1)]
)
"""Frame times from 0 on, without a gap."""


def test_thirty_frames_at_ten_hertz_are_every_third() -> None:
    assert steps(Sampler(10), times_at(30, 1)) == [1, 0, 0] * 10 + [1]


def test_ten_frames_at_thirty_hertz_are_repeated_twice() -> None:
    assert steps(Sampler(30), times_at(10, 0.5)) == [1, 3, 3, 3, 3, 3]


def test_twenty_five_at_ten_hertz_takes_the_first_frame_at_or_after_each_tick() -> None:
    # Ticks 0, 0.1, 0.2, …; frames every 0.04: 0, 0.12, 0.2, 0.32, 0.4, …
    assert sample_all(times_at(25, 0.8), 10) == [0, 3, 5, 8, 10, 13, 15, 18, 20]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_times_rounded_to_milliseconds_lose_no_frame_at_the_same_rate(rate_hz: float) -> None:
    for start in (0.0, 0.0004, 0.01):  # a recording's first time is rounded too
        rounded = [round(start + t, 3) for t in times_at(rate_hz, 60)]
        assert set(steps(Sampler(rate_hz), [t - rounded[0] for t in rounded])) == {1}


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("fps", [10.0, 25.0, 29.97, 60.0])
def test_a_minute_has_the_models_number_of_steps_whatever_the_cameras_rate(rate_hz: float, fps: float) -> None:
    times_s = times_at(fps, 60)
    sampler = Sampler(rate_hz)
    samples = [sampler.offer(t) for t in times_s]
    assert sum(s.steps for s in samples) == math.floor((times_s[-1] + TOLERANCE_S) * rate_hz) + 1
    if fps >= rate_hz:
        assert max(s.steps for s in samples) == 1
    else:
        assert min(s.steps for s in samples) == 1
    assert not any(s.reset for s in samples)


def test_three_hours_of_2997_have_no_drift() -> None:
    sampler, served = Sampler(10), 0
    for n in range(round(3 * 3600 * 29.97)):
        served += sampler.offer(n * 1001 / 30000).steps
    last_s = (round(3 * 3600 * 29.97) - 1) * 1001 / 30000
    assert served == math.floor((last_s + TOLERANCE_S) * 10) + 1


@given(times_s=uneven_times, rate_hz=st.floats(0.5, 120))
def test_each_tick_takes_the_first_frame_at_or_after_it(times_s: list[float], rate_hz: float) -> None:
    taken = sample_all(times_s, rate_hz)
    near = 1e-9  # at the very edge of the tolerance, floats may fall either way
    for tick, position in enumerate(taken):
        tick_s = tick / rate_hz - TOLERANCE_S
        assert times_s[position] >= tick_s - near
        assert position == 0 or times_s[position - 1] < tick_s + near
    assert len(taken) / rate_hz - TOLERANCE_S > times_s[-1] - near  # no tick was left out


@given(times_s=uneven_times, rate_hz=st.floats(0.5, 120), origin_s=st.floats(0, 1e5))
def test_only_differences_of_time_matter(times_s: list[float], rate_hz: float, origin_s: float) -> None:
    # Whole microseconds, away from the ticks, so that adding the origin rounds nothing over an edge.
    clear = [
        t for t in times_s if min((t + TOLERANCE_S) * rate_hz % 1, 1 - (t + TOLERANCE_S) * rate_hz % 1) > 1e-3 or t == 0
    ]
    assert sample_all(clear, rate_hz, gap_s=100) == sample_all([origin_s + t for t in clear], rate_hz, gap_s=100)


@given(deltas_s=st.lists(st.floats(0, 2.5), max_size=60), rate_hz=st.floats(0.5, 120))
def test_what_a_sampler_wants_is_what_it_takes(deltas_s: list[float], rate_hz: float) -> None:
    sampler, time_s = Sampler(rate_hz), 0.0
    for delta_s in [0.0, *deltas_s]:
        time_s += delta_s
        wanted = sampler.wants(time_s)
        assert sampler.wants(time_s) == wanted  # asking changes nothing
        assert wanted == (sampler.offer(time_s).steps > 0)


def test_a_gap_resets_and_the_ticks_start_again_there() -> None:
    sampler = Sampler(10, gap_s=1.0)
    assert steps(sampler, [0.0, 0.05, 0.1]) == [1, 0, 1]
    assert sampler.offer(1.1).reset is False  # exactly one second is none yet
    assert sampler.offer(2.15) == Sample(1, reset=True)
    assert steps(sampler, [2.2, 2.25]) == [0, 1]
    assert sampler.gaps == 1


def test_time_must_not_go_back() -> None:
    sampler = Sampler(10)
    sampler.offer(1.0)
    with pytest.raises(ValueError, match="went back"):
        sampler.offer(0.5)


def test_equal_times_are_one_tick() -> None:
    assert steps(Sampler(10), [0.0, 0.0, 0.1, 0.1]) == [1, 0, 1, 0]


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_is_above_zero(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        Sampler(rate_hz)


# ------------------------------------------------------------------------------------------------ windows


def windows(schedule: Schedule, times_s: list[float]) -> list[tuple[int, tuple[int, ...]]]:
    """(frame at which it was due, its frames) of every window."""
    dues = [(n, schedule.offer(n, t).steps) for n, t in enumerate(times_s)]
    return [(n, frames) for n, frames in dues if frames]


def test_windows_are_due_every_stride_from_the_first_full_one() -> None:
    found = windows(ClipSchedule(frames=4, rate_hz=10, stride_s=0.2), times_at(30, 1))
    assert found == [(n, (n - 9, n - 6, n - 3, n)) for n in (9, 15, 21, 27)]


def test_a_stride_that_is_no_multiple_of_a_tick_does_not_drift() -> None:
    found = windows(ClipSchedule(frames=1, rate_hz=10, stride_s=0.25), times_at(10, 100))
    assert [n for n, _ in found[:6]] == [0, 3, 5, 8, 10, 13]
    assert found[-1][0] == 1000


def test_a_stride_below_a_tick_is_one_tick() -> None:
    assert len(windows(ClipSchedule(frames=2, rate_hz=10, stride_s=0.01), times_at(10, 1))) == 10


def test_a_slow_source_fills_windows_with_repeats_and_makes_one_due_at_a_time() -> None:
    schedule = ClipSchedule(frames=4, rate_hz=10, stride_s=0.1)
    dues = [schedule.offer(n, n * 0.2) for n in range(4)]
    assert [d.steps for d in dues] == [(), (), (1, 1, 2, 2), (2, 2, 3, 3)]
    assert [d.repeated for d in dues] == [0, 1, 1, 1]


def test_a_gap_empties_the_window_and_its_frames_are_unsampled() -> None:
    schedule = ClipSchedule(frames=3, rate_hz=10, stride_s=0.1)
    dues = [schedule.offer(n, t) for n, t in enumerate([0.0, 0.1, 5.0, 5.1, 5.2, 5.3])]
    assert [d.steps for d in dues] == [(), (), (), (), (2, 3, 4), (3, 4, 5)]
    assert [d.reset for d in dues] == [False, False, False, False, True, False]
    assert [d.unsampled for d in dues] == [0, 0, 2, 0, 0, 0]
    assert schedule.gaps == 1


def test_frames_between_windows_that_do_not_touch_are_unsampled() -> None:
    schedule = ClipSchedule(frames=2, rate_hz=10, stride_s=0.5)
    dues = [schedule.offer(n, n / 10) for n in range(12)]
    assert [n for n, d in enumerate(dues) if d.steps] == [1, 6, 11]
    assert sum(d.unsampled for d in dues) == 6
    assert all(d.settles == 2 for d in dues if d.steps)


def manifest(kind: str) -> Manifest:
    return Manifest(
        name="x",
        kind=kind,  # type: ignore[arg-type]
        labels=("a", "b"),
        input=InputSpec(height=8, width=8),
        rate_hz=8,
        clip_frames=16,
        exits=(ExitSpec(name="last", macs=1),),
        embedding_size=0,
        provenance=Provenance(data="", weights="", licences="", recipe=""),
    )


def test_the_manifest_chooses_the_schedule() -> None:
    assert isinstance(schedule_for(manifest("stream")), StreamSchedule)
    every = [n for n, _ in windows(schedule_for(manifest("clip")), times_at(8, 4))]
    assert every == [15, 19, 23, 27, 31]  # two seconds, every half second
    assert [n for n, _ in windows(schedule_for(manifest("clip"), stride_s=1), times_at(8, 4))] == [15, 23, 31]


# ------------------------------------------------------------------------------------------------ the equation

schedules = st.one_of(
    st.builds(StreamSchedule, st.floats(1, 60)),
    st.builds(ClipSchedule, st.integers(1, 8), st.floats(1, 60), st.floats(0.05, 2)),
)


@given(
    schedule=schedules,
    deltas=st.lists(st.floats(0, 1.5), max_size=80),
    fates=st.lists(st.sampled_from(["gated", "dropped", "computed", "later"]), min_size=80, max_size=80),
)
def test_every_frame_has_one_fate_whatever_happens(schedule: Schedule, deltas: list[float], fates: list[str]) -> None:
    counts, waiting, now_s, gaps = FrameCounts(), list[Due](), 0.0, 0
    for index, delta_s in enumerate(deltas):
        now_s += delta_s
        gaps += index > 0 and delta_s > 1
        due = schedule.offer(index, now_s)
        counts.capture(due)
        if due.steps:
            assert due.settles >= 1
            assert due.steps[-1] == index
            assert list(due.steps) == sorted(due.steps)
            waiting.append(due)
        fate = fates[index]
        if fate != "later":
            while waiting:
                counts.settle(waiting.pop(), fate)  # type: ignore[arg-type]
        counts.check()
    for due in waiting:
        counts.settle(due, "dropped")
    counts.finish(schedule.finish())
    counts.check()
    assert counts.pending == 0
    assert counts.captured == len(deltas)
    assert abs(schedule.gaps - gaps) <= sum(abs(d - 1) < 1e-9 for d in deltas)


def test_a_sum_that_does_not_hold_is_told() -> None:
    counts = FrameCounts()
    counts.capture(Due((0,), settles=1))
    counts.settle(Due((0,), settles=1), "computed")
    counts.check()
    counts.settle(Due((0,), settles=1), "computed")
    with pytest.raises(AssertionError, match="twice"):
        counts.check()
    counts.captured += 5
    with pytest.raises(AssertionError, match="add up"):
        counts.check()
