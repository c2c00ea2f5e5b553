"""Live sources that are opened again when they are lost."""

import time
from collections.abc import Callable
from dataclasses import replace

from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.sources.contract import Source, SourceCounts

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Before the first attempt and at most between two; it doubles."""


class Reconnecting(Source):
    """Frames of a live source, opened again where it ends or fails, for at most `for_s` seconds each time.

    It is back when it gives a frame, not when it can be opened. Its times go on by our clock, so that the frames before
    and after are as far apart as they were. Given up, it ends with the fault that it was lost with.

    Args:
        open_again: takes the counts that all connections share, and what says whether it has been given up; gives a
            source, or raises InputError.
        for_s: may be infinite.
        sleep: takes seconds; the default one ends when the source is closed.
    """

    def __init__(
        self,
        source: Source,
        open_again: Callable[[SourceCounts, Callable[[], bool]], Source],
        *,
        for_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(source.counts)
        self.info = source.info
        self._open_again = open_again
        self._for_s = for_s
        self._clock = clock
        self._sleep = sleep or self._closing.wait
        self._last: Frame | None = None
        self._ahead_s: float | None = None  # our times of the connection's, once it has given a frame
        self._connect(source)

    def _read(self) -> Frame | None:
        frame = next(self._frames, None)
        if frame is None and not self._closing.is_set():
            frame = self._found_again()
        if frame is None:
            return None
        if self._ahead_s is None:
            passed_s = frame.captured_s - self._last.captured_s if self._last else 0.0
            self._ahead_s = (self._last.time_s if self._last else 0.0) + passed_s - frame.time_s
        time_s, index = frame.time_s + self._ahead_s, 0
        if self._last:  # rounding may take time back by less than a nanosecond
            time_s, index = max(time_s, self._last.time_s), self._last.index + 1
        self._last = replace(frame, time_s=time_s, index=index)
        return self._last

    def close(self) -> None:
        super().close()
        self._source.close()  # a read in progress ends sooner that way

    def _release(self) -> None:
        self._source.close()

    def _found_again(self) -> Frame | None:
        """The first frame after a loss; None when it was given up or closed."""
        lost_s, pause_s = self._clock(), FIRST_PAUSE_S
        self.lost = fault = self._source.fault or "has ended"
        self.tell("lost", f"{self.info.name} {fault}; trying again")
        while True:
            self._source.close()
            left_s = lost_s + self._for_s - self._clock()
            if left_s > 0:
                self._sleep(min(pause_s, left_s))
            if self._closing.is_set():
                return None
            if left_s <= 0:
                self.fault = f"{fault}; given up after {self._for_s:g} s"
                return None
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                source = self._open_again(self.counts, self._closing.is_set)
            except InputError:
                continue
            self._connect(source)
            frame = next(self._frames, None)
            if frame is not None:
                self.lost = None
                self.counts.reconnects += 1
                self.tell("back", f"{self.info.name} is back after {self._clock() - lost_s:.1f} s")
                return frame

    def _connect(self, source: Source) -> None:
        self._source, self._frames = source, iter(source)
        self._ahead_s = None
        source.wanted = self._wanted_now

    def _wanted_now(self, time_s: float) -> bool:
        return self._ahead_s is None or self.wanted(time_s + self._ahead_s)
