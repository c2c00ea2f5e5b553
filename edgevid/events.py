"""Scores over time -> events: an action with a beginning and an end, once per action.

The rule is a Schmitt trigger on the smoothed score with times in seconds, never in frames: a camera at 10 fps and one
at 30 give the same events. Nothing here reads a clock; time is a parameter.
"""

import json
import math
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from edgevid.manifest import EventRule
from edgevid.models.scores import Scores

SCHEMA = 1
UPDATE_GAIN = 0.05
"""An open event is reported again when its score has grown by this much,"""
UPDATE_EVERY_S = 0.25
"""but no sooner than this after its last report."""
_EPSILON = 1e-6
"""Seconds, and scores: 0.7 as float32 is less than 0.7."""

ChangeType = Literal["start", "update", "end"]


@dataclass(frozen=True, slots=True)
class Change:
    """What one step did to one action. `edgevid.publisher` makes an `Event` of it by adding who saw it, and how late.

    Attributes:
        number: 0, 1, 2, … by start; the same in every change of one action.
        label: fixed at `start`.
        score: the highest smoothed score so far, 0..1.
        start_s: when the score rose above the rule's `off` on its way up, in seconds of the source's clock.
        end_s: when it fell below `off`; None until then.
    """

    type: ChangeType
    number: int
    label: str
    score: float
    start_s: float
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A change as everyone outside sees it: one JSON object a line.

    Attributes:
        id: the same in every line about one action, and in no other, also across runs.
        emitted_s: the deciding frame's time on the source's clock, plus the processing delay where the source is paced.
        utc: wall clock at emission, ISO 8601.
        latency_ms: from the capture of the deciding frame to emission.
        exit: name of the exit that decided.
        dropped_frames: sampled frames for which there was no time since the previous event.
        source: as given, without credentials.
        model: name@digest.
    """

    type: ChangeType
    id: str
    label: str
    score: float
    start_s: float
    end_s: float | None
    emitted_s: float
    utc: str
    latency_ms: float
    exit: str
    dropped_frames: int
    source: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """The fields of the JSON object, seconds to the millisecond."""
        fields = {"schema": SCHEMA} | asdict(self)
        for name, digits in (("score", 4), ("start_s", 3), ("end_s", 3), ("emitted_s", 3), ("latency_ms", 2)):
            if fields[name] is not None:
                fields[name] = round(fields[name], digits)
        return fields

    def to_json(self) -> str:
        """One line of JSON, in ASCII: any pipe takes it, and any file's name."""
        return json.dumps(self.to_dict())


@dataclass(slots=True)
class _Open:
    """An action that has started and not ended."""

    number: int
    score: float
    start_s: float
    reported_score: float
    reported_s: float


@dataclass(slots=True)
class _Track:
    """What the rule remembers of one label."""

    label: str
    above_off_s: float | None = None  # since when the score has been at least `off`
    above_on_s: float | None = None  # since when it has been at least `on`
    armed: bool = True  # once per action: after a start, only a score below `off` arms again
    ready_s: float = -math.inf  # end of the cooldown
    open: _Open | None = None

    def observe(self, time_s: float, score: float, rule: EventRule) -> None:
        if score < rule.off - _EPSILON:
            self.above_off_s = None
            self.armed = True
        elif self.above_off_s is None:
            self.above_off_s = time_s
        if score < rule.on - _EPSILON:
            self.above_on_s = None
        elif self.above_on_s is None:
            self.above_on_s = time_s

    def may_start(self, time_s: float, rule: EventRule) -> bool:
        return (
            self.open is None
            and self.armed
            and self.above_on_s is not None
            and time_s - self.above_on_s >= rule.min_s - _EPSILON
            and time_s >= self.ready_s - _EPSILON
        )


class EventDetector:
    """The rule applied to one stream of scores.

    A label's action starts when its smoothed score has been at least `on` for `min_s`, and ends when it falls below
    `off`. The same label starts again no sooner than `cooldown_s` after that end, and not before its score has been
    below `off`. With softmax at most one action is open: a likelier one that qualifies ends it. With sigmoid several
    may be open. The background label never starts.
    """

    def __init__(
        self, rule: EventRule, labels: tuple[str, ...], background: int | None, activation: str = "softmax"
    ) -> None:
        self._rule = rule
        self._exclusive = activation == "softmax"
        self._tracks = {i: _Track(label) for i, label in enumerate(labels) if i != background}
        self._recent: deque[tuple[float, Scores]] = deque()
        self._smoothed: Scores = np.zeros(len(labels), np.float32)
        self._last_s: float | None = None
        self._started = 0

    @property
    def smoothed(self) -> Scores:
        """The scores that the rule last looked at, `(labels,)`; zero at the start."""
        return self._smoothed

    @property
    def open_labels(self) -> tuple[str, ...]:
        """Labels of the actions going on."""
        return tuple(t.label for t in self._tracks.values() if t.open is not None)

    @property
    def quiet(self) -> bool:
        """Whether no action is going on or may be beginning: every smoothed score is below the rule's `off`."""
        return all(track.open is None and track.above_off_s is None for track in self._tracks.values())

    def update(self, time_s: float, scores: Scores) -> list[Change]:
        """The scores, 0..1 `(labels,)`, of the step at `time_s`; what they changed, ends first.

        Raises:
            ValueError: time went back, or there is not one score for each label.
        """
        if self._last_s is not None and time_s < self._last_s:
            raise ValueError(f"time went back from {self._last_s} to {time_s} s")
        if scores.shape != self._smoothed.shape:
            raise ValueError(f"{len(self._smoothed)} labels, but scores of shape {scores.shape}")
        self._last_s = time_s
        self._smooth(time_s, scores)
        smoothed = self._smoothed.tolist()
        for i, track in self._tracks.items():
            track.observe(time_s, smoothed[i], self._rule)

        changes = [
            self._end(track, time_s)
            for track in self._tracks.values()
            if track.open is not None and track.above_off_s is None
        ]
        already_open = [i for i, track in self._tracks.items() if track.open is not None]
        changes += self._starts(time_s)
        for i in already_open:
            changes += self._grown(self._tracks[i], time_s, smoothed[i])
        return changes

    def rest(self, time_s: float) -> list[Change]:
        """The clock went on to `time_s` and nothing was computed, since nothing had moved: the last scores stand."""
        return self.update(time_s, self._recent[-1][1]) if self._recent else []

    def finish(self) -> list[Change]:
        """End what is open at the last step: the source ended, or a gap begins after which nothing before it counts."""
        changes = [self._end(t, self._last_s or 0.0) for t in self._tracks.values() if t.open is not None]
        self._recent.clear()
        self._smoothed = np.zeros_like(self._smoothed)
        for track in self._tracks.values():
            track.above_off_s = track.above_on_s = None
            track.armed = True
        return changes

    def _smooth(self, time_s: float, scores: Scores) -> None:
        """Mean over the steps that are less than `smooth_s` old, by the source's clock, which may skip some.

        A clip's score counts steps instead, `round(smooth_s * rate_hz)`: of 0.3 s at 8 Hz this takes three, that two.
        """
        self._recent.append((time_s, scores))
        while len(self._recent) > 1 and self._recent[0][0] <= time_s - self._rule.smooth_s + _EPSILON:
            self._recent.popleft()
        if len(self._recent) == 1:
            self._smoothed = np.array(scores, np.float32)
        else:
            recent = np.array([s for _, s in self._recent])
            self._smoothed = np.asarray(np.mean(recent, axis=0, dtype=np.float64), np.float32)

    def _starts(self, time_s: float) -> list[Change]:
        starting = [i for i, track in self._tracks.items() if track.may_start(time_s, self._rule)]
        if not starting:
            return []
        starting.sort(key=lambda i: -self._smoothed[i])  # the likeliest first
        if not self._exclusive:
            return [self._start(i, time_s, not_before_s=-math.inf) for i in starting]
        best = starting[0]
        going_on = next((i for i, track in self._tracks.items() if track.open is not None), None)
        if going_on is None:
            latest_end_s = max(track.ready_s for track in self._tracks.values()) - self._rule.cooldown_s
            return [self._start(best, time_s, not_before_s=latest_end_s)]
        if self._smoothed[best] <= self._smoothed[going_on]:
            return []
        # The new action takes over where its score rose, so that the two do not overlap.
        rose_s = self._tracks[best].above_off_s
        end = self._end(self._tracks[going_on], time_s if rose_s is None else rose_s)
        assert end.end_s is not None
        return [end, self._start(best, time_s, not_before_s=end.end_s)]

    def _start(self, i: int, time_s: float, not_before_s: float) -> Change:
        track, score = self._tracks[i], float(self._smoothed[i])
        rose_s = time_s if track.above_off_s is None else track.above_off_s
        start_s = min(time_s, max(rose_s, track.ready_s, not_before_s))
        track.open = _Open(self._started, score, start_s, score, time_s)
        track.armed = False
        self._started += 1
        return Change("start", track.open.number, track.label, score, start_s)

    def _grown(self, track: _Track, time_s: float, score: float) -> list[Change]:
        action = track.open
        if action is None:  # it has just given way to another
            return []
        action.score = max(action.score, score)
        if action.score < action.reported_score + UPDATE_GAIN or time_s < action.reported_s + UPDATE_EVERY_S:
            return []
        action.reported_score, action.reported_s = action.score, time_s
        return [Change("update", action.number, track.label, action.score, action.start_s)]

    def _end(self, track: _Track, time_s: float) -> Change:
        action = track.open
        assert action is not None
        end_s = max(time_s, action.start_s)
        track.open, track.ready_s = None, end_s + self._rule.cooldown_s
        return Change("end", action.number, track.label, action.score, action.start_s, end_s)
