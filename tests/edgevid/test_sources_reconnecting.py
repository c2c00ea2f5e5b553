"""A live source that is lost: when it is tried again, given up, and what its frames say of the time in between."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from command_runs import run_command
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_stream_model

from edgevid.commands import live
from edgevid.errors import InputError
from edgevid.frame import NO_PIXELS, Frame
from edgevid.sources.contract import Source, SourceCounts, SourceInfo
from edgevid.sources.reconnecting import FIRST_PAUSE_S, LONGEST_PAUSE_S, Reconnecting


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class Connection(Source):
    """So many frames, one each `step_s` of the clock, then a fault. Its own times begin at `begins_s`."""

    def __init__(
        self,
        clock: FakeTime,
        frames: int,
        counts: SourceCounts,
        *,
        begins_s: float = 0.0,
        step_s: float = 0.1,
        live: bool = True,
    ) -> None:
        super().__init__(counts)
        self.info = SourceInfo("camera 7", 32, 24, 10.0, None, live=live)
        self.released = 0
        self._clock, self._left, self._time_s, self._step_s = clock, frames, begins_s, step_s

    def _read(self) -> Frame | None:
        if not self._left:
            self.fault = "gives no frames any more"
            return None
        self._left -= 1
        self._time_s += self._step_s
        self._clock.now_s += self._step_s
        self.counts.frames += 1
        return Frame(NO_PIXELS, self._time_s, 0, self._clock())

    def _release(self) -> None:
        self.released += 1


def reconnecting(
    clock: FakeTime, connections: Sequence[int | None], for_s: float = 60.0
) -> tuple[Reconnecting, list[Connection]]:
    """`connections`: frames of each; None where opening fails. After the last one it fails for ever."""
    opened: list[Connection] = []
    left = iter(connections)

    def open_(counts: SourceCounts, _: Callable[[], bool] = lambda: False) -> Connection:
        frames = next(left, None)
        if frames is None:
            raise InputError("no such camera: 7")
        opened.append(Connection(clock, frames, counts, begins_s=100.0 * len(opened)))
        return opened[-1]

    first = open_(SourceCounts())
    return Reconnecting(first, open_, for_s=for_s, clock=clock, sleep=clock.sleep), opened


def test_it_goes_on_as_far_apart_as_the_clock_says() -> None:
    clock = FakeTime()
    source, opened = reconnecting(clock, [2, None, 2])
    told: list[tuple[str, str, float]] = []
    source.tell = lambda *of_it: told.append(of_it)
    with source:
        frames = [next(iter(source)) for _ in range(4)]
        assert source.lost is None
    away_s = FIRST_PAUSE_S + 2 * FIRST_PAUSE_S
    assert [f.time_s for f in frames] == pytest.approx([0, 0.1, 0.2 + away_s, 0.3 + away_s])
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert (source.counts.reconnects, source.counts.frames) == (1, 4)
    assert told == [
        ("lost", "camera 7 gives no frames any more; trying again", frames[1].time_s),
        ("back", "camera 7 is back after 1.6 s", frames[2].time_s),
    ]
    assert [connection.released > 0 for connection in opened] == [True, True]


def test_given_up_it_says_why_it_was_lost_and_for_how_long_it_was_tried() -> None:
    clock = FakeTime()
    source, opened = reconnecting(clock, [1], for_s=20.0)
    assert len(list(source)) == 1
    assert source.fault == "gives no frames any more; given up after 20 s"
    assert source.counts.reconnects == 0
    assert clock.slept == pytest.approx([0.5, 1, 2, 4, 5, 5, 2.5])
    assert max(clock.slept) == LONGEST_PAUSE_S
    assert opened[0].released


def test_one_that_opens_and_gives_nothing_is_not_back() -> None:
    clock = FakeTime()
    source, opened = reconnecting(clock, [1, *[0] * 100], for_s=20.0)
    assert len(list(source)) == 1
    assert (source.fault or "").endswith("given up after 20 s")
    assert source.counts.reconnects == 0
    assert all(connection.released for connection in opened)


def test_what_the_decoder_held_back_while_a_server_was_silent_makes_no_time_vanish() -> None:
    """The last frames before a silence come when it is given up; those of a burst come sooner than they should."""
    clock = FakeTime()
    source, opened = reconnecting(clock, [3, 5, 1])
    read = opened[0]._read

    def late() -> Frame | None:
        if opened[0]._left == 1:
            clock.now_s += 10.0
        return read()

    opened[0]._read = late  # type: ignore[method-assign]
    with source:
        frames = [next(iter(source)) for _ in range(3)]
        assert frames[-1].time_s == pytest.approx(0.2)
        opened[-1]._step_s = 0.1
        back = next(iter(source))
        assert back.time_s == pytest.approx(back.captured_s - frames[0].captured_s) == pytest.approx(10.8)
        began_s = clock.now_s
        for _ in range(4):
            frames.append(next(iter(source)))
            clock.now_s = began_s  # all at once
        last = next(iter(source))
    assert last.time_s == pytest.approx(max(frames[-1].time_s, last.captured_s - frames[0].captured_s))


def test_a_recording_in_its_place_is_not_the_source() -> None:
    clock = FakeTime()
    recording = Connection(clock, 100, SourceCounts(), live=False)
    source = Reconnecting(
        Connection(clock, 1, SourceCounts()), lambda *_: recording, for_s=5.0, clock=clock, sleep=clock.sleep
    )
    assert len(list(source)) == 1
    assert recording.released
    assert (source.fault or "").endswith("given up after 5 s")


def test_a_stream_that_ends_without_a_fault_is_lost_too() -> None:
    clock = FakeTime()
    source, opened = reconnecting(clock, [1], for_s=1.0)
    opened[0]._read = itertools.repeat(None).__next__  # type: ignore[method-assign]
    assert list(source) == []
    assert source.fault == "has ended; given up after 1 s"


def test_what_is_wanted_is_asked_in_our_time() -> None:
    clock = FakeTime()
    source, opened = reconnecting(clock, [2, 2])
    asked: list[float] = []
    source.wanted = lambda time_s: not asked.append(time_s)  # type: ignore[func-returns-value]
    with source:
        frames = iter(source)
        assert opened[0].wanted(0.0)  # before its first frame nobody knows what its times mean: all are
        assert asked == []
        next(frames)
        next(frames)
        frame = next(frames)
        assert opened[1].wanted(100.2)
    assert asked == [pytest.approx(frame.time_s + 0.1)]


@given(
    st.lists(st.none() | st.integers(0, 3), max_size=8),
    st.lists(st.floats(0, 1e6), min_size=9, max_size=9),
    st.floats(1e-9, 10),
)
def test_whatever_is_lost_and_found_time_never_goes_back(
    connections: list[int | None], begins_s: list[float], step_s: float
) -> None:
    clock = FakeTime()
    left, begins = iter(connections), iter(begins_s)

    def open_(counts: SourceCounts, _: Callable[[], bool] = lambda: False) -> Connection:
        frames = next(left, None)
        if frames is None:
            raise InputError("gone")
        return Connection(clock, frames, counts, begins_s=next(begins), step_s=step_s)

    first = Connection(clock, 2, SourceCounts(), begins_s=next(begins), step_s=step_s)
    frames = list(Reconnecting(first, open_, for_s=60.0, clock=clock, sleep=clock.sleep))
    assert all(a.time_s <= b.time_s for a, b in itertools.pairwise(frames))
    assert [f.index for f in frames] == list(range(len(frames)))
    for frame in frames:
        assert frame.time_s == pytest.approx(frame.captured_s - frames[0].captured_s, abs=1e-6)


def test_closing_ends_the_wait_and_an_opening_under_way() -> None:
    clock = FakeTime()
    opening = threading.Event()

    def open_(_: SourceCounts, given_up: Callable[[], bool]) -> Connection:
        opening.set()
        while not given_up():
            opening.wait(0.01)
        raise InputError("given up")

    first = Connection(clock, 1, SourceCounts())
    source = Reconnecting(first, open_, for_s=float("inf"))
    thread = threading.Thread(target=lambda: list(source), daemon=True)
    thread.start()
    assert opening.wait(30)
    source.close()
    thread.join(30)
    assert not thread.is_alive()
    assert source.fault is None
    assert first.released


def test_what_is_live_cannot_be_hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Connection(FakeTime(), 100, SourceCounts())
    monkeypatch.setattr("edgevid.sources.open_source", lambda *_, **__: camera)
    tiny_stream_model(tmp_path / "tiny.onnx")
    args = ("--camera", 7, "--model", tmp_path / "tiny.onnx", "--no-window", "--pace", "fast")
    ran = run_command(live.register, "live", *args)
    assert ran.status == 2
    assert "--pace fast is for recordings; camera 7 is live" in ran.err
    assert camera.released == 1
