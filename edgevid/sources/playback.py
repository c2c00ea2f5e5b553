"""Recorded sources as if they were happening: at their own pace, and again from the start."""

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Literal

from edgevid.frame import Frame
from edgevid.sources.contract import Source, SourceCounts

Pace = Literal["source", "fast"]


class Playback(Source):
    """Frames of a recording, each no sooner than its time (`source`) or as soon as it is fetched (`fast`).

    No frame is left out when the reader is late: what is behind its time is given at once. With `loop` the recording
    is opened again at its end, with the counts that all laps share, and time and index go on as if one frame interval
    had passed. `sleep` takes seconds; the default one ends when the source is closed.
    """

    def __init__(
        self,
        source: Source,
        open_again: Callable[[SourceCounts], Source],
        *,
        pace: Pace,
        loop: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(source.counts)
        self.info = source.info
        self._source = source
        self._open_again = open_again
        self._pace = pace
        self._loop = loop
        self._clock = clock
        self._sleep = sleep or self._closing.wait
        self._frames = self._play()

    def _read(self) -> Frame | None:
        frame = next(self._frames, None)
        if frame is None:
            return None
        if self._pace == "source":
            if frame.index == 0:
                self._start_s = self._clock() - frame.time_s
            due_s = self._start_s + frame.time_s
            early_s = due_s - self._clock()
            if early_s > 0:
                self._sleep(early_s)
            # What decoding was late with is late, as a camera's frame would be that waited
            return replace(frame, captured_s=min(due_s, self._clock()))
        return replace(frame, captured_s=self._clock())

    def _release(self) -> None:
        self._frames.close()
        self._source.close()

    def _play(self) -> Generator[Frame]:
        index, lap_s, time_s = 0, 0.0, 0.0
        interval_s = 1 / self.info.rate_hz if self.info.rate_hz else 0.04
        while True:
            self._source.wanted = partial(self._wanted_in_lap, lap_s)
            for frame in self._source:
                previous_s, time_s = time_s, lap_s + frame.time_s
                interval_s = time_s - previous_s or interval_s
                yield replace(frame, time_s=time_s, index=index)
                index += 1
            self.fault = self.fault or self._source.fault
            if not self._loop:
                return
            self._source.close()
            self._source = self._open_again(self.counts)
            self.counts.laps += 1
            lap_s = time_s + interval_s

    def _wanted_in_lap(self, lap_s: float, time_s: float) -> bool:
        return self.wanted(lap_s + time_s)
