"""The product's live path over a stream, and what its event rule was told, so that other rules can be tried on it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgevid.events import Change, Event, EventDetector
from edgevid.live import run
from edgevid.manifest import EventRule, Manifest
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.scores import Scores
from edgevid.notice import Notice
from edgevid.pipeline import Options, Pipeline
from edgevid.sinks.contract import View
from edgevid.sources import Source
from edgevid_train.evaluate.streams.matching import Action, Found, Stream


@dataclass(frozen=True)
class Trace:
    """What an event rule is told in one stream, with what really happened in it.

    Attributes:
        times_s: float64 `(T,)` of every step on the stream's clock, never going back.
        told_s: float64 `(T,)`, when each step was decided on that clock: a clip model's at the end of its window.
        scores: float32 `(T, labels)`, 0..1, of the exit that decided.
        resets: bool `(T,)`: what was before the step says nothing about it.
        actions: what really happened; nothing in a negative.
        seconds: length of the stream.
    """

    times_s: NDArray[np.float64]
    told_s: NDArray[np.float64]
    scores: Scores
    resets: NDArray[np.bool_]
    actions: tuple[Action, ...]
    seconds: float
    name: str = ""

    @classmethod
    def of(cls, times_s: NDArray[np.float64], scores: Scores, actions: Sequence[Action], seconds: float) -> Self:
        """A stream without gaps in its times, every step decided at once."""
        return cls(times_s, times_s, scores, np.zeros(len(times_s), bool), tuple(actions), seconds)

    def under(self, rule: EventRule, manifest: Manifest) -> Stream:
        """The events that a rule makes of it.

        Under a gate the product may have others: whether anything is going on, which the rule says, decides what is
        computed at all.
        """
        detector = EventDetector(rule, manifest.labels, manifest.background, manifest.activation)
        found = _Openings()
        columns = (self.times_s.tolist(), self.told_s.tolist(), self.scores, self.resets.tolist())
        for time_s, told_s, scores, reset in zip(*columns, strict=True):
            if reset:
                found.add(detector.finish(), told_s)
            found.add(detector.update(time_s, scores), told_s)
        found.add(detector.finish(), self.seconds)
        return Stream(self.name, self.seconds, self.actions, found.ended)


@dataclass(frozen=True)
class Watched:
    """One stream as the product saw it: its events, what they were made of, and the run's account (`--metrics`)."""

    stream: Stream
    trace: Trace
    metrics: dict[str, Any]


def watch(
    source: Source,
    model: StreamModel | ClipModel,
    *,
    gate: bool = True,
    rule: EventRule | None = None,
    actions: Sequence[Action] = (),
) -> Watched:
    """Run the live path as `edgevid detect` does. `actions` may be filled while the source is played.

    Raises:
        EdgevidError: the source or the model failed.
        KeyboardInterrupt: Ctrl-C.
    """
    manifest = model.manifest
    detector = _Listening(rule or manifest.events, manifest)
    found = _Openings()
    options = Options(every_frame=True, paced=False, rule=rule, gate=gate, only_sampled=True)
    pipeline = Pipeline(source, model, options, [found], detector=detector)
    detector.now_s = lambda: pipeline.time_s
    if run(pipeline):
        raise KeyboardInterrupt
    trace = Trace(
        np.array(detector.times_s, np.float64),
        np.array(detector.told_s, np.float64),
        np.array(detector.scores, np.float32).reshape(-1, len(manifest.labels)),
        np.array(detector.resets, bool),
        tuple(actions),
        pipeline.time_s,
        source.info.name,
    )
    return Watched(Stream(trace.name, trace.seconds, trace.actions, found.ended), trace, pipeline.metrics())


class _Listening(EventDetector):
    """An event detector that writes down what it is told, and when on the clock `now_s`."""

    def __init__(self, rule: EventRule, manifest: Manifest) -> None:
        super().__init__(rule, manifest.labels, manifest.background, manifest.activation)
        self.now_s: Callable[[], float] = lambda: math.nan
        self.times_s: list[float] = []
        self.told_s: list[float] = []
        self.scores: list[Scores] = []
        self.resets: list[bool] = []
        self._reset = False

    def update(self, time_s: float, scores: Scores) -> list[Change]:
        self.times_s.append(time_s)
        self.told_s.append(self.now_s())
        self.scores.append(scores)
        self.resets.append(self._reset)
        self._reset = False
        return super().update(time_s, scores)

    def finish(self) -> list[Change]:
        self._reset = True
        return super().finish()


@dataclass
class _Openings:
    """Events as a whole, from what is told of them bit by bit; also a sink."""

    wants_views = False
    _open: dict[int | str, Found] = field(default_factory=dict)
    _ended: list[Found] = field(default_factory=list)

    @property
    def ended(self) -> tuple[Found, ...]:
        return tuple(sorted(self._ended, key=lambda event: event.start_s))

    def add(self, changes: Sequence[Change], emitted_s: float) -> None:
        for change in changes:
            self._take(change, change.number, emitted_s)

    def event(self, event: Event) -> None:
        self._take(event, event.id, event.emitted_s)

    def notice(self, notice: Notice) -> None:
        """Nobody looks at the picture here."""

    def view(self, view: View) -> None:
        """Nothing of a view is kept."""

    def close(self) -> None:
        """What was kept stays."""

    def _take(self, change: Change | Event, key: int | str, emitted_s: float) -> None:
        if change.type == "start":
            self._open[key] = Found(change.label, change.start_s, change.start_s, emitted_s, change.score)
        elif change.type == "end":
            began = self._open.pop(key)
            assert change.end_s is not None, "an end has an end"
            self._ended.append(Found(began.label, began.start_s, change.end_s, began.emitted_s, change.score))
