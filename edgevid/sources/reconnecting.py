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

    It is back when it gives a frame, not when it can be opened; a recording is no live source. When it is back its
    clock is put right by ours, as far as time does not go back. Given up, it ends with the fault that it was lost with.

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
        self._first_s: float | None = None  # when the first frame came, by our clock; its time is 0
        self._time_s, self._index = 0.0, 0
        self._lost_s = self._seen_s = 0.0  # by our clock: when it was found to be lost, and the last frame before
        self._ahead_s: float | None = None  # our times of the connection's, once it has given a frame
        self._connect(source)

    def _read(self) -> Frame | None:
        frame = next(self._frames, None)
        if frame is None and not self._closing.is_set():
            frame = self._found_again()
        if frame is None:
            return None
        if self._first_s is None:
            self._first_s = frame.captured_s
        if self._ahead_s is None:
            self._ahead_s = max(self._time_s, frame.captured_s - self._first_s) - frame.time_s
        self._time_s = max(self._time_s, frame.time_s + self._ahead_s)  # rounding alone could take it back
        frame = replace(frame, time_s=self._time_s, index=self._index)
        self._index += 1
        if self.lost:
            self.lost = None
            self.counts.reconnects += 1
            away_s = self._clock() - self._seen_s
            self.tell("back", f"{self.info.name} is back after {away_s:.1f} s", self._time_s)
        self._seen_s = frame.captured_s
        return frame

    def close(self) -> None:
        super().close()
        self._source.close()  # a read in progress ends sooner that way

    def _release(self) -> None:
        self._source.close()

    def _found_again(self) -> Frame | None:
        """The first frame after a loss; None when it was given up or closed."""
        self._lost_s, pause_s = self._clock(), FIRST_PAUSE_S
        self.lost = fault = self._source.fault or "has ended"
        self.tell("lost", f"{self.info.name} {fault}; trying again", self._time_s)
        while True:
            self._source.close()
            away_s = self._clock() - self._lost_s
            left_s = self._for_s - away_s
            if left_s > 1e-3:
                self._sleep(min(pause_s, left_s))
            if self._closing.is_set():
                return None
            if left_s <= 1e-3:
                self.fault, self.lost = f"{fault}; given up after {away_s:.0f} s", None
                return None
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                source = self._open_again(self.counts, self._closing.is_set)
            except InputError:
                continue
            self._connect(source)
            frame = next(self._frames, None) if source.info.live else None
            if frame is not None:
                return frame

    def _connect(self, source: Source) -> None:
        self._source, self._frames = source, iter(source)
        self._ahead_s = None
        source.wanted = self._wanted_now

    def _wanted_now(self, time_s: float) -> bool:
        return self._ahead_s is None or self.wanted(time_s + self._ahead_s)
