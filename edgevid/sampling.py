"""Which frames a model gets: by presentation time, at the rate it was trained at, whatever the source's rate.

A model's ticks stand at `origin + k / rate_hz`; each tick takes the first frame at or after it. The ticks are computed
from k and never accumulated, so a stream is as exact after hours as it was at its start. A stream model runs the
frame of each tick; a clip model gets, every stride, the frames of the last T ticks. Both schedules answer `offer` in
the same words, so that whoever drives them needs not know which one it holds. No clock is read here: time is what the
frames say.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from edgevid.manifest import Manifest

TOLERANCE_S = 1e-3
"""A frame this little before a tick is at the tick. Matroska and WebM round times to the millisecond; without this,
a third of a 30 fps recording would miss its own 30 Hz ticks and the frames after them be taken twice."""

GAP_S = 1.0
"""Longer than this without a frame, and what was seen before says nothing about what comes."""

Fate = Literal["gated", "dropped", "computed"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one frame is to a model. `steps`: ticks it serves; 0 is unsampled, n means n - 1 repeats.

    `reset`: this frame ends a gap, forget what was before it.
    """

    steps: int
    reset: bool


class Sampler:
    """Presentation times in, ticks served out.

    After more than `gap_s` without a frame the ticks start again at the frame that ends the gap.
    """

    def __init__(self, rate_hz: float, gap_s: float = GAP_S) -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0 and gap_s > 0):
            raise ValueError(f"rate_hz and gap_s are above 0, not {rate_hz} and {gap_s}")
        self.rate_hz = rate_hz
        self.gap_s = gap_s
        self.gaps = 0
        self._origin_s = 0.0
        self._served = 0  # ticks served since the origin
        self._last_s: float | None = None
        self._cut = False

    def wants(self, time_s: float) -> bool:
        """Whether the frame at `time_s`, offered next, would serve a tick."""
        if self._cut or self._last_s is None or time_s - self._last_s > self.gap_s:
            return True
        return self._due(time_s) > self._served

    def cut(self) -> None:
        """The frame that is offered next ends a gap, however short."""
        self._cut = True

    def offer(self, time_s: float) -> Sample:
        """Say what the frame at `time_s` is for.

        Raises:
            ValueError: time went back, which sources never let happen.
        """
        if self._last_s is not None and time_s < self._last_s:
            raise ValueError(f"time went back from {self._last_s} to {time_s} s")
        reset = self._last_s is not None and (self._cut or time_s - self._last_s > self.gap_s)
        self._cut = False
        if self._last_s is None or reset:
            self._origin_s, self._served = time_s, 0
            self.gaps += reset
        self._last_s = time_s
        # Above 1 kHz the tolerance spans ticks; none is ever taken back.
        steps = max(0, self._due(time_s) - self._served)
        self._served += steps
        return Sample(steps, reset)

    def _due(self, time_s: float) -> int:
        """Ticks at or before `time_s`, since the origin."""
        return 1 + math.floor((time_s - self._origin_s + TOLERANCE_S) * self.rate_hz)


@dataclass(frozen=True, slots=True)
class Due:
    """What there is to do after one frame, and how the frames so far are accounted for.

    Attributes:
        steps: indices of the frames to compute, in order, or empty when nothing is due. For a stream model the
            frame once per tick it serves; for a clip model its T frames. An index may occur several times.
        reset: forget the state first: there was a gap.
        settles: frames whose fate is the fate of this computation: what happens to it happened to them. Each
            sampled frame is settled by the first computation due after it, and by no other.
        unsampled: frames now known to be in no computation.
        repeated: ticks served a second time by the same frame, because the source is slower than the model.
    """

    steps: tuple[int, ...]
    reset: bool = False
    settles: int = 0
    unsampled: int = 0
    repeated: int = 0


class Schedule(Protocol):
    """When a model computes, and on which frames."""

    @property
    def gaps(self) -> int:
        """Gaps met so far; each one reset the state."""
        ...

    def wants(self, time_s: float) -> bool:
        """Whether the frame at `time_s`, offered next, would be in a computation, now or later."""
        ...

    def offer(self, index: int, time_s: float) -> Due:
        """Take note of frame `index` and say what is due. Times never go back (ValueError)."""
        ...

    def cut(self) -> None:
        """The frame that is offered next ends a gap, however short."""
        ...

    def finish(self) -> int:
        """The source has ended: how many sampled frames will never be in a computation."""
        ...


class StreamSchedule:
    """Every sampled frame goes through the model, once per tick."""

    def __init__(self, rate_hz: float, gap_s: float = GAP_S) -> None:
        self._sampler = Sampler(rate_hz, gap_s)

    @property
    def gaps(self) -> int:
        return self._sampler.gaps

    def wants(self, time_s: float) -> bool:
        return self._sampler.wants(time_s)

    def cut(self) -> None:
        self._sampler.cut()

    def offer(self, index: int, time_s: float) -> Due:
        sample = self._sampler.offer(time_s)
        if not sample.steps:
            return Due((), unsampled=1)
        return Due((index,) * sample.steps, sample.reset, settles=1, repeated=sample.steps - 1)

    def finish(self) -> int:
        return 0


class ClipSchedule:
    """A window of the last `frames` ticks, every `stride_s` seconds, from the moment the first window is full.

    Windows are due at the first tick at or after `first + j * stride_s`. When one frame makes several due, because
    the source is slower than the stride, only the last of them is: they would be computed at the same moment. A gap
    empties the window.
    """

    def __init__(self, frames: int, rate_hz: float, stride_s: float, gap_s: float = GAP_S) -> None:
        if frames < 1 or not (math.isfinite(stride_s) and stride_s > 0):
            raise ValueError(f"a window has frames and a stride above 0, not {frames} and {stride_s} s")
        self._sampler = Sampler(rate_hz, gap_s)
        self._stride_ticks = max(1.0, stride_s * rate_hz)
        self._window: deque[int] = deque(maxlen=frames)
        self._ticks = 0  # since the start or the last gap
        self._done = -1  # j of the last window that was due
        self._fresh: deque[int] = deque()  # sampled frames that no window has settled yet
        self._reset = False  # a gap that the next window has still to tell

    @property
    def gaps(self) -> int:
        return self._sampler.gaps

    def wants(self, time_s: float) -> bool:
        return self._sampler.wants(time_s)

    def cut(self) -> None:
        self._sampler.cut()

    def offer(self, index: int, time_s: float) -> Due:
        sample = self._sampler.offer(time_s)
        if not sample.steps:
            return Due((), unsampled=1)
        unsampled = 0
        if sample.reset:
            unsampled = len(self._fresh)
            self._fresh.clear()
            self._window.clear()
            self._ticks, self._done, self._reset = 0, -1, True
        self._window.extend([index] * min(sample.steps, self._size))
        self._ticks += sample.steps
        self._fresh.append(index)
        while self._fresh[0] < self._window[0]:  # it slid out of the window between two strides
            self._fresh.popleft()
            unsampled += 1
        repeated = sample.steps - 1
        past_first = self._ticks - self._size
        latest = math.floor(past_first / self._stride_ticks + 1e-9) if past_first >= 0 else -1
        if latest <= self._done:
            return Due((), unsampled=unsampled, repeated=repeated)
        self._done = latest
        settles, reset = len(self._fresh), self._reset
        self._fresh.clear()
        self._reset = False
        return Due(tuple(self._window), reset, settles, unsampled, repeated)

    def finish(self) -> int:
        left = len(self._fresh)
        self._fresh.clear()
        return left

    @property
    def _size(self) -> int:
        assert self._window.maxlen is not None
        return self._window.maxlen


def schedule_for(manifest: Manifest, stride_s: float | None = None, gap_s: float = GAP_S) -> Schedule:
    """The schedule of a model. `stride_s` is for clip models; without it windows overlap by three quarters."""
    if manifest.kind == "stream":
        return StreamSchedule(manifest.rate_hz, gap_s)
    span_s = manifest.clip_frames / manifest.rate_hz
    return ClipSchedule(manifest.clip_frames, manifest.rate_hz, stride_s or span_s / 4, gap_s)


def sample_all(times_s: Sequence[float], rate_hz: float, gap_s: float = GAP_S) -> list[int]:
    """Positions in `times_s` of the frames that a recording's ticks take, repeats included: as a live stream would.

    For classification, training and evaluation, which hold a clip's times at once.
    """
    sampler = Sampler(rate_hz, gap_s)
    return [position for position, time_s in enumerate(times_s) for _ in range(sampler.offer(time_s).steps)]


@dataclass(slots=True)
class FrameCounts:
    """What became of every frame: captured = unsampled + gated + dropped + computed + pending, at any moment.

    `repeated` counts ticks, not frames, and stands apart. Every change keeps the sum, so a sum that does not hold
    is a fault of the program and `check` says so.
    """

    captured: int = 0
    unsampled: int = 0
    gated: int = 0
    dropped: int = 0
    computed: int = 0
    pending: int = 0
    repeated: int = 0

    def capture(self, due: Due) -> None:
        """One frame was captured and offered; what it settles is pending until `settle`."""
        self.captured += 1
        self.unsampled += due.unsampled
        self.pending += 1 - due.unsampled
        self.repeated += due.repeated

    def settle(self, due: Due, fate: Fate) -> None:
        """What was due has been computed, gated or dropped, and the frames it settles with it."""
        self.pending -= due.settles
        setattr(self, fate, getattr(self, fate) + due.settles)

    def finish(self, left: int) -> None:
        """The source ended with `left` frames that were waiting for a window that never came."""
        self.pending -= left
        self.unsampled += left

    def check(self) -> None:
        """Raises AssertionError unless every captured frame has exactly one fate."""
        fates = (self.unsampled, self.gated, self.dropped, self.computed, self.pending)
        assert self.captured == sum(fates), f"frames do not add up: {self}"
        assert min(fates) >= 0, f"a frame was settled twice: {self}"
