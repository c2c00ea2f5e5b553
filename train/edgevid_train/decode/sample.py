"""Which moments of a clip to look at: small pure functions of its times. All give ticks, in seconds, rising.

`samples.sequence.sample_at` turns ticks into frames by the runtime's rule: the first frame at or after a tick.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.sampling import TOLERANCE_S
from edgevid_train.samples.sequence import sample_at

Seconds = NDArray[np.float64]


def uniform(start_s: float, end_s: float, frames: int) -> Seconds:
    """The middles of `frames` equal parts of a span (TSN, arXiv 1608.00859, when testing)."""
    return np.asarray(start_s + (end_s - start_s) * (np.arange(frames) + 0.5) / frames, np.float64)


def scattered(start_s: float, end_s: float, frames: int, rng: np.random.Generator) -> Seconds:
    """A moment by lot in each of `frames` equal parts of a span (TSN when training)."""
    moments = np.arange(frames) + rng.uniform(size=frames)
    return np.asarray(start_s + (end_s - start_s) * moments / frames, np.float64)


def dense(start_s: float, frames: int, rate_hz: float, speed: float = 1.0) -> Seconds:
    """`frames` ticks at a rate from `start_s` on. At `speed` 2 the action is shown in half of its time."""
    return np.asarray(start_s + np.arange(frames) * (speed / rate_hz), np.float64)


def random_start(start_s: float, end_s: float, window_s: float, rng: np.random.Generator) -> float:
    """Where a window within a span begins, by lot; the span's start where the window is not shorter."""
    return start_s + float(rng.uniform(0, max(0.0, end_s - start_s - window_s)))


def view_starts(start_s: float, end_s: float, window_s: float, views: int) -> Seconds:
    """Where each of `views` windows begins that stand evenly in a span, the first at its start, the last at its end.

    One view alone stands in the middle.
    """
    room_s = max(0.0, end_s - start_s - window_s)
    shares = np.linspace(0, 1, views) if views > 1 else np.array([0.5])
    return np.asarray(start_s + room_s * shares, np.float64)


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """`frames` frames from `start_s` on, in seconds of the file's clock.

    Exactly one of `rate_hz` (frames a second), `span_s` (from the first tick to the last) and `step` (every so many
    frames of the file) says how far apart. `speed` above 1 takes them further apart: the action is shown faster. Where
    the clip ends, its last frame stands for the ticks that follow.
    """

    frames: int
    start_s: float = 0.0
    rate_hz: float | None = None
    span_s: float | None = None
    step: int | None = None
    speed: float = 1.0

    def __post_init__(self) -> None:
        given = [x for x in (self.rate_hz, self.span_s, self.step) if x is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of rate_hz, span_s and step, not {len(given)} of them")
        if self.frames < 1 or self.start_s < 0:
            raise ValueError(f"at least one frame, from 0 s on; not {self.frames} from {self.start_s} s")
        if not all(math.isfinite(x) and x > 0 for x in (*given, self.speed)):
            raise ValueError(f"{self}: rate, span, step and speed are above 0")

    def positions(self, times_s: Seconds) -> NDArray[np.intp]:
        """Positions in `times_s` of the frames, never falling, perhaps repeated: `(frames,)`."""
        if self.step is not None:
            first = int(np.searchsorted(times_s, self.start_s - TOLERANCE_S))
            steps = np.floor(np.arange(self.frames) * (self.step * self.speed) + 1e-9).astype(np.intp)
            return np.asarray(np.minimum(first + steps, len(times_s) - 1), np.intp)
        if self.rate_hz is not None:
            return sample_at(times_s, dense(self.start_s, self.frames, self.rate_hz, self.speed))
        assert self.span_s is not None
        end_s = self.start_s + self.span_s * self.speed
        return sample_at(times_s, np.linspace(self.start_s, end_s, self.frames))
