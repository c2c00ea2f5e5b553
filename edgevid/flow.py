"""What is due and not yet computed: the bounded place between the reader and the network, where frames are accounted.

Two ways of being bounded. Where frames come when they come (`newest_wins`), a network that falls behind must not build
up lag: when the place is full everything in it is dropped and counted, and the newest goes in. Dropping all of it, not
only the oldest, brings the delay back to nothing at once, and leaves a stream's state one hole instead of many. Up to
there a hiccup of the network loses nothing, since each step of a stateful stream matters: some steps may wait, unlike
in MediaPipe's flow limiter, which keeps one. Where every frame counts (files at full speed), the reader waits instead.
"""

import threading
from collections import deque
from dataclasses import replace

from edgevid.sampling import Due, FrameCounts, Schedule


class Flow:
    """One reader offers frames, one network takes what is due. `wants` and `offer` belong to the reader; every other
    method may be called from any thread.

    `depth`: computations that wait at most, beside the one in flight.
    """

    def __init__(self, schedule: Schedule, depth: int, *, newest_wins: bool) -> None:
        assert depth >= 1, "with no place to wait nothing would ever be computed"
        self._schedule = schedule
        self._depth = depth
        self._newest_wins = newest_wins
        self._counts = FrameCounts()
        self._waiting: deque[Due] = deque()
        self._reset = False  # a gap told by a computation that was dropped
        self._ended = False
        self._last_index = -1
        self._changed = threading.Condition()
        self.most_ahead: int | None = None
        """Frames that a reader who waits may be ahead of the oldest one still to be computed: what the ring holds."""

    @property
    def counts(self) -> FrameCounts:
        """What became of every frame so far, as one consistent copy."""
        with self._changed:
            return replace(self._counts)

    @property
    def gaps(self) -> int:
        """Gaps in the source's times so far."""
        with self._changed:
            return self._schedule.gaps

    @property
    def has_room(self) -> bool:
        """Whether a frame may be offered now."""
        with self._changed:
            computations = [due for due in self._waiting if due.steps]
            if self._newest_wins or self._ended or not computations:
                return True
            ahead = self._last_index - computations[0].steps[0]
            return len(computations) < self._depth and (self.most_ahead is None or ahead < self.most_ahead)

    def wait_for_room(self) -> None:
        """Return when a frame may be offered: at once where the newest wins."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_room)

    def wants(self, time_s: float) -> bool:
        """Whether the frame at `time_s`, offered next, could be computed. For the reader, like `offer`."""
        return self._schedule.wants(time_s)

    def offer(self, index: int, time_s: float) -> None:
        """A frame was captured. After the end it counts as dropped.

        Raises:
            ValueError: its time went back.
        """
        with self._changed:
            self._last_index = index
            due = self._schedule.offer(index, time_s)
            self._counts.capture(due)
            if self._ended:
                self._counts.settle(due, "dropped")
                self._counts.finish(self._schedule.finish())
                return
            if not due.steps:
                return
            if sum(bool(waiting.steps) for waiting in self._waiting) == self._depth:
                assert self._newest_wins, "the reader did not wait for room"
                self._drop_waiting()
            self._waiting.append(replace(due, reset=due.reset or self._reset))
            self._reset = False
            self._changed.notify_all()

    def cut(self) -> None:
        """What comes does not follow what came: `take` gives something that is due without steps in between."""
        with self._changed:
            self._schedule.cut()
            if not self._ended:
                self._waiting.append(Due(()))
                self._changed.notify_all()

    def take(self, *, wait: bool = True) -> Due | None:
        """What is to be computed next. None when the source has ended and nothing is left; or without `wait`, now."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            due = self._waiting.popleft()
            self._changed.notify_all()
            return due

    def computed(self, due: Due) -> None:
        """What was taken has been computed."""
        with self._changed:
            self._counts.settle(due, "computed")

    def gated(self, due: Due) -> None:
        """What was taken need not be computed: nothing had moved."""
        with self._changed:
            self._counts.settle(due, "gated")

    def lost(self, due: Due) -> None:
        """What was taken could not be computed: its frames had left the ring, or the run failed there."""
        with self._changed:
            self._counts.settle(due, "dropped")
            self._reset |= due.reset
            if self._reset and self._waiting:
                self._waiting[0] = replace(self._waiting[0], reset=True)
                self._reset = False

    def end(self, *, drop_waiting: bool = False) -> None:
        """No frame will come. What waits is still to be computed, unless `drop_waiting`."""
        with self._changed:
            if drop_waiting:
                self._drop_waiting()
            if not self._ended:
                self._counts.finish(self._schedule.finish())
            self._ended = True
            self._changed.notify_all()

    def _drop_waiting(self) -> None:
        """All but that there was a cut, which is told once."""
        was_cut = any(not due.steps for due in self._waiting)
        for due in self._waiting:
            self._counts.settle(due, "dropped")
            self._reset |= due.reset
        self._waiting.clear()
        if was_cut:
            self._waiting.append(Due(()))
