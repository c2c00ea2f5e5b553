"""What every source of frames is, whatever stands behind it."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgevid.frame import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known when a source has been opened.

    Attributes:
        name: what to print and to write into events; credentials are removed.
        width, height: pixels of the upright picture, before it is reduced.
        rate_hz: nominal rate, None when the source does not say. Never what frames are timed by.
        duration_s: None when unknown or endless.
        live: frames come when they come, whether they are fetched or not.
    """

    name: str
    width: int
    height: int
    rate_hz: float | None
    duration_s: float | None
    live: bool


@dataclass(slots=True)
class SourceCounts:
    """What a source gave, and what it could not give.

    Attributes:
        frames: frames given.
        undecodable: packets or pictures from which no frame could be made.
        damaged: frames given although the decoder had to conceal errors in them.
        retimed: frames whose own time was missing, went back or contradicted the clock, and was repaired.
        failed_reads: reads of a camera that gave nothing.
        laps: times a looped source started again.
        reconnects: times a live source that was lost came back.
    """

    frames: int = 0
    undecodable: int = 0
    damaged: int = 0
    retimed: int = 0
    failed_reads: int = 0
    laps: int = 0
    reconnects: int = 0


class Source(ABC):
    """An opened source: iterate once over its frames, then close it.

    One thread reads. `close` may be called from any thread, at any time and more than once: the iteration ends
    after the read in progress, whoever of the two comes last lets the file or device go, and nobody waits.

    Attributes:
        info: what is known about it.
        counts: what it gave and lost so far.
        fault: why it ended before its natural end, one line; None while it runs and when all was well.
        lost: why it gives no frames now, one line, while it is tried again; else None.
        tell: called by the reading thread with `lost`, or with `back` before a frame; a line for people; the time.
        wanted: whether anybody will look at a frame, by its time; asked by the reading thread before each one is given.
            Of one that is not wanted a source may give the time alone, with `NO_PIXELS`, and save the rest of the work.
    """

    info: SourceInfo

    def __init__(self, counts: SourceCounts | None = None) -> None:
        self.counts = counts or SourceCounts()
        self.fault: str | None = None
        self.lost: str | None = None
        self._forget()
        self._closing = threading.Event()
        self._reading = threading.Lock()

    @abstractmethod
    def _read(self) -> Frame | None:
        """The next frame, or None at the end."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of the file or device; called at least once, and never during a read."""

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order of time.

        Raises:
            InputError: a looped file has gone away between two laps.
        """
        while True:
            with self._reading:
                frame = None if self._closing.is_set() else self._read()
            if self._closing.is_set():
                self.close()  # which could not let go while this was reading
                return
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        self._closing.set()
        if self._reading.acquire(blocking=False):
            try:
                self._release()
                self._forget()
            finally:
                self._reading.release()

    def _forget(self) -> None:
        """Who asked to be told: those know this source, too, and a ring is kept until the garbage collector comes."""
        self.tell: Callable[[str, str, float], None] = lambda *_: None
        self.wanted: Callable[[float], bool] = lambda _: True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
