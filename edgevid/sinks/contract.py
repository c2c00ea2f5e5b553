"""What a sink is given: events, which all count, and views, of which only the newest counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgevid.events import Event
from edgevid.frame import Frame
from edgevid.models.scores import Scores
from edgevid.notice import Notice


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see at one moment of a run.

    Attributes:
        source: as given, without credentials.
        model: name@digest.
        labels: the model's, in its order.
        background: index of the background label, or None.
        on: score at which an action starts.
        time_s: the source's clock at the last decided frame.
        scores: smoothed `(labels,)`, 0..1; zero before the first step.
        going_on: labels of the actions that have started and not ended.
        exit: name of the exit that decided last; empty before the first step.
        events: the latest, oldest first.
        frames: captured, unsampled, repeated, gated, dropped, computed, pending.
        captured_hz, computed_hz: over the last seconds.
        latency_ms: p50, p95, p99 from capture to decision; None before the first step.
        seconds: since the run began.
        faults: what is wrong with the source or the picture now; one line each, for people.
        frame: the newest frame, where someone draws it.
    """

    source: str
    model: str
    labels: tuple[str, ...]
    background: int | None
    on: float
    time_s: float
    scores: Scores
    going_on: tuple[str, ...]
    exit: str
    events: tuple[Event, ...]
    frames: Mapping[str, int]
    captured_hz: float
    computed_hz: float
    latency_ms: Mapping[str, float | None]
    seconds: float
    faults: tuple[str, ...] = ()
    frame: Frame | None = None

    def shown_labels(self, most: int = 12) -> list[int]:
        """Indices of labels to show: the model's order with the background last, or of many the likeliest."""
        if len(self.labels) <= most:
            return sorted(range(len(self.labels)), key=lambda i: i == self.background)
        return [int(i) for i in np.argsort(-self.scores, kind="stable")[:most]]

    @property
    def actions(self) -> list[Event]:
        """The last event of each of the latest actions, newest action first."""
        return list(reversed({event.id: event for event in self.events}.values()))


class Sink(Protocol):
    """Somewhere that events or views go. Each may raise OSError; the run then ends, saying so."""

    @property
    def wants_views(self) -> bool:
        """Whether to make views at all."""
        ...

    def event(self, event: Event) -> None:
        """One line of an action's life."""
        ...

    def notice(self, notice: Notice) -> None:
        """Something that is wrong, when it begins."""
        ...

    def view(self, view: View) -> None:
        """What there is to see now."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...
