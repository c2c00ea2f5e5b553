"""The newest frames, for one writer and several readers, in memory that is taken once.

The store is one block of bytes. Frames lie in it one after the other; where the end of the block is too short the
next one starts again at the front. A new frame takes the place of the oldest ones, as many as it needs: so frames of
another size (a camera renegotiated, a phone turned) need no second block and the bound in bytes holds always.

Nobody copies pixels under the lock; it guards the index of what lies where. The writer first takes the frames it is
about to overwrite out of the index, then copies, then enters the new one. A reader looks frames up, copies them, and
then looks whether they are still in the index: if so, no write into their bytes had begun while it copied; if not, it
was overtaken, and the copy, which may be half of each, is thrown away. So a slow reader never holds up the writer.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.frame import Frame, Pixels


class OvertakenError(Exception):
    """Frames that were asked for are no longer in the ring: `missed` of `asked`."""

    def __init__(self, missed: int, asked: int) -> None:
        super().__init__(f"{missed} of {asked} frames are no longer in the ring")
        self.missed = missed
        self.asked = asked


@dataclass(frozen=True, slots=True)
class _Entry:
    index: int
    time_s: float
    captured_s: float
    start: int  # byte offset in the store
    shape: tuple[int, ...]
    size: int  # bytes


class Ring:
    """The newest frames, of `max_bytes` at most. Reading gives copies, which are the reader's own.

    One thread writes; any number of threads read. Frame indices grow; they need not be without holes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._store = np.empty(max_bytes, np.uint8)
        self._lock = threading.Lock()
        self._order: deque[_Entry] = deque()  # oldest first
        self._by_index: dict[int, _Entry] = {}
        self._head = 0  # where the next frame goes if it fits before the end
        self._last_index = -1

    def __len__(self) -> int:
        """Frames held now."""
        return len(self._order)

    @property
    def max_bytes(self) -> int:
        return self._store.size

    def put(self, frame: Frame) -> None:
        """Copy `frame` in; only the writing thread may call this.

        Raises:
            ValueError: the frame is larger than the whole ring, or its index is not above the last one.
        """
        size = frame.pixels.nbytes
        if size > self._store.size:
            raise ValueError(f"{frame} takes {size} bytes, the ring has {self._store.size}")
        if frame.index <= self._last_index:
            raise ValueError(f"frame #{frame.index} after #{self._last_index}")
        start = self._head if self._head + size <= self._store.size else 0
        with self._lock:
            self._make_room(start, size)
        # From here on no reader can find these bytes; the pixels may be written in peace.
        self._store[start : start + size].reshape(frame.pixels.shape)[...] = frame.pixels
        entry = _Entry(frame.index, frame.time_s, frame.captured_s, start, frame.pixels.shape, size)
        with self._lock:
            self._order.append(entry)
            self._by_index[entry.index] = entry
        self._head = start + size
        self._last_index = frame.index

    def grown(self, max_bytes: int) -> "Ring":
        """A larger one with the same frames in it; only the writing thread may call this."""
        larger = Ring(max_bytes)
        for entry in tuple(self._order):
            larger.put(self._copy(entry))
        return larger

    def newest(self) -> Frame | None:
        """A copy of the last frame put, or None before the first."""
        while True:
            with self._lock:
                if not self._order:
                    return None
                entry = self._order[-1]
            held = self._copy_held([entry])
            if held:
                return held[0]
            # A whole ring went by during one copy (a ring of very few frames): the newest is another one now.

    def take(self, indices: Sequence[int]) -> list[Frame]:
        """Copies of exactly these frames, in the order asked; an index that is asked twice is copied once.

        Raises:
            OvertakenError: at least one is no longer there (or never was); nothing is given.
        """
        wanted = dict.fromkeys(indices)
        with self._lock:
            entries = [self._by_index[index] for index in wanted if index in self._by_index]
        if len(entries) == len(wanted):
            frames = {frame.index: frame for frame in self._copy_held(entries)}
            if len(frames) == len(wanted):
                return [frames[index] for index in indices]
            raise OvertakenError(len(wanted) - len(frames), len(wanted))
        raise OvertakenError(len(wanted) - len(entries), len(wanted))

    def _copy_held(self, entries: Sequence[_Entry]) -> list[Frame]:
        """Copies of those entries that were still held when their copy was complete."""
        frames = [self._copy(entry) for entry in entries]
        with self._lock:
            return [frame for frame in frames if frame.index in self._by_index]

    def _copy(self, entry: _Entry) -> Frame:
        """Pixels as they lie there now, whole or not: only an index check afterwards tells."""
        pixels: Pixels = self._store[entry.start : entry.start + entry.size].reshape(entry.shape).copy()
        return Frame(pixels, entry.time_s, entry.index, entry.captured_s)

    def _make_room(self, start: int, size: int) -> None:
        """Take out of the index what lies in the way. The oldest frames always lie next to the head."""
        while self._order:
            oldest = self._order[0]
            in_the_way = oldest.start < start + size and start < oldest.start + oldest.size
            # Starting again at the front passes over the end of the block; frames there are older than those in front.
            passed_over = start == 0 and self._head > 0 and oldest.start >= self._head
            if not (in_the_way or passed_over):
                return
            self._order.popleft()
            del self._by_index[oldest.index]
