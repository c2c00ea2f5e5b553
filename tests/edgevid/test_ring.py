"""The ring holds the newest frames within its bytes, and never gives half a frame."""

import sys
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.frame import Frame
from edgevid.ring import OvertakenError, Ring


def frame(index: int, time_s: float | None = None, height: int = 2, width: int = 5) -> Frame:
    """All its pixels are its number."""
    pixels = np.full((height, width, 3), index % 251, np.uint8)
    return Frame(pixels, index / 10 if time_s is None else time_s, index, captured_s=1000.0 + index)


SIZE = 2 * 5 * 3


def test_what_comes_out_is_what_went_in() -> None:
    ring = Ring(10 * SIZE)
    for index in range(3):
        ring.put(frame(index))
    newest = ring.newest()
    assert newest is not None
    assert (newest.index, newest.time_s, newest.captured_s) == (2, 0.2, 1002.0)
    assert newest.pixels.tolist() == frame(2).pixels.tolist()
    assert [f.index for f in ring.take([2, 0, 2])] == [2, 0, 2]


def test_a_larger_ring_has_the_same_frames_and_room_for_more() -> None:
    ring = Ring(3 * SIZE)
    for index in range(5):
        ring.put(frame(index))
    larger = ring.grown(2 * ring.max_bytes)
    for index in (5, 6, 7):
        larger.put(frame(index))
    assert [f.index for f in larger.take(range(2, 8))] == list(range(2, 8))
    (held,) = larger.take([2])
    assert (held.time_s, held.captured_s) == (0.2, 1002.0)
    assert held.pixels.tolist() == frame(2).pixels.tolist()
    assert Ring(10).grown(20).newest() is None


def test_an_empty_ring_has_nothing() -> None:
    ring = Ring(SIZE)
    assert ring.newest() is None
    with pytest.raises(OvertakenError) as missing:
        ring.take([0])
    assert (missing.value.missed, missing.value.asked) == (1, 1)


def test_what_is_given_is_the_readers_own() -> None:
    ring = Ring(SIZE)
    ring.put(frame(0))
    mine = ring.newest()
    ring.put(frame(1))
    assert mine is not None
    assert (mine.pixels == 0).all()


def test_only_what_was_asked_for_is_copied_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(10 * SIZE)
    for index in range(10):
        ring.put(frame(index))
    copied: list[int] = []
    copy = Ring._copy
    monkeypatch.setattr(Ring, "_copy", lambda ring, entry: copied.append(entry.index) or copy(ring, entry))
    ring.take([3, 3, 5])
    assert copied == [3, 5]


def test_a_slow_reader_is_told_how_many_it_missed() -> None:
    ring = Ring(4 * SIZE)
    for index in range(10):
        ring.put(frame(index))
    assert [f.index for f in ring.take([6, 7, 8, 9])] == [6, 7, 8, 9]
    with pytest.raises(OvertakenError) as overtaken:
        ring.take([4, 5, 6, 7])
    assert (overtaken.value.missed, overtaken.value.asked) == (2, 4)


def test_frames_overwritten_while_they_are_copied_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring(3 * SIZE)
    for index in range(3):
        ring.put(frame(index))
    copy, left = Ring._copy, [3, 4]

    def overtaken_copy(ring: Ring, entry: object) -> Frame:
        if left:
            ring.put(frame(left.pop(0)))
        return copy(ring, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(Ring, "_copy", overtaken_copy)
    with pytest.raises(OvertakenError) as overtaken:
        ring.take([0, 1, 2])
    assert (overtaken.value.missed, overtaken.value.asked) == (2, 3)
    left += [5, 6, 7]  # the newest goes too, before the copy of it is complete
    newest = ring.newest()
    assert newest is not None
    assert (newest.pixels == newest.index).all()


def test_a_frame_larger_than_the_ring_or_out_of_order_is_refused() -> None:
    ring = Ring(SIZE)
    ring.put(frame(5))
    with pytest.raises(ValueError, match="#5 after #5"):
        ring.put(frame(5))
    with pytest.raises(ValueError, match="the ring has 30"):
        ring.put(frame(6, height=3))


@given(
    store=st.integers(50, 400),
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=60),
)
def test_it_holds_exactly_the_newest_frames_that_fit(store: int, sizes: list[tuple[int, int]]) -> None:
    ring, put = Ring(store), []
    for index, (height, width) in enumerate(sizes):
        put.append(frame(index, height=height, width=width))
        ring.put(put[-1])
        # The newest ones without a hole, whole, within the bound.
        oldest = index + 1 - len(ring)
        held = ring.take(range(oldest, index + 1))
        assert len(held) >= 1
        assert all((f.pixels == f.index).all() and f.pixels.shape == put[f.index].pixels.shape for f in held)
        assert sum(f.pixels.nbytes for f in held) <= store
        # And not fewer than must fit: starting again at the front wastes less than one frame at the end.
        if oldest:
            with pytest.raises(OvertakenError):
                ring.take([oldest - 1])
            one_more = sum(f.pixels.nbytes for f in put[oldest - 1 :])
            largest = max(f.pixels.nbytes for f in put)
            assert one_more + largest > store


def test_no_reader_ever_sees_half_a_frame() -> None:
    """One writer at full speed in a ring of a few frames, three readers; every pixel of a frame is its number."""
    ring = Ring(6 * 64 * 64 * 3)
    ended = threading.Event()
    torn: list[str] = []
    seen = [0, 0, 0]
    overtaken: list[tuple[OvertakenError, int]] = []

    def check(frames: list[Frame], by: int) -> None:
        for got in frames:
            seen[by] += 1
            if not (got.pixels == got.index % 251).all() or got.time_s != got.index / 10:
                torn.append(f"{got} by reader {by}")

    def newest() -> None:
        while not ended.is_set():
            got = ring.newest()
            check([got] if got else [], 0)

    def window(frames: int, by: int) -> None:
        while not ended.is_set():
            got = ring.newest()
            if got is None or got.index < frames:
                continue
            try:
                check(ring.take(range(got.index + 1 - frames, got.index + 1)), by)
            except OvertakenError as error:
                overtaken.append((error, frames))

    failures: list[BaseException] = []

    def guarded(run: object) -> None:
        try:
            run()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    readers = (newest, partial(window, 2, 1), partial(window, 5, 2))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads change places in the middle of everything
    try:
        threads = [threading.Thread(target=guarded, args=(run,), daemon=True) for run in readers]
        for thread in threads:
            thread.start()
        for index in range(3000):
            # Two sizes: the head falls on other places every lap.
            ring.put(frame(index, height=64, width=64 if index % 7 else 48))
        ended.set()
        for thread in threads:
            thread.join(20)
    finally:
        ended.set()
        sys.setswitchinterval(interval_s)
    assert failures == []
    assert torn == []
    assert all(0 < error.missed <= error.asked == frames for error, frames in overtaken)
    assert min(seen) > 0
