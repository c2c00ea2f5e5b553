"""Tells the sinks what happens, as those outside see it, and keeps account of what it told."""

import secrets
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from edgevid.events import Change, Event
from edgevid.frame import Frame
from edgevid.notice import Notice
from edgevid.sinks.contract import Sink

RECENT_EVENTS = 8
RECENT_NOTICES = 100


class Publisher:
    """One run's. All of it belongs to the thread that computes; any other may read `events`.

    Args:
        source: its name, without credentials.
        model: name@digest.
        paced: frames come at the source's own tempo, so that what is late there is late on its clock.

    Attributes:
        events: the latest, oldest first.
        notices: the latest, oldest first.
        event_counts: how many actions of each label have started.
    """

    def __init__(
        self, sinks: Sequence[Sink], source: str, model: str, *, paced: bool, clock: Callable[[], float]
    ) -> None:
        self._sinks, self._source, self._model, self._paced, self._clock = sinks, source, model, paced, clock
        self.events: tuple[Event, ...] = ()  # replaced, never changed: another thread may be reading it
        self.notices: deque[Notice] = deque(maxlen=RECENT_NOTICES)
        self.event_counts: Counter[str] = Counter()
        self._run = secrets.token_hex(4)
        self._dropped_before = 0

    def event(self, change: Change, frame: Frame, exit: str, dropped: int) -> None:
        """Tell a change. `frame` and `exit` decided it; `dropped`: frames of the run so far."""
        latency_ms = self.latency_ms(frame)
        event = Event(
            type=change.type,
            id=f"{self._run}-{change.number}",
            label=change.label,
            score=change.score,
            start_s=change.start_s,
            end_s=change.end_s,
            emitted_s=frame.time_s + (latency_ms / 1e3 if self._paced else 0.0),
            utc=_utc(),
            latency_ms=latency_ms,
            exit=exit,
            dropped_frames=dropped - self._dropped_before,
            source=self._source,
            model=self._model,
        )
        self._dropped_before = dropped
        self.event_counts[change.label] += change.type == "start"
        self.events = (*self.events[1 - RECENT_EVENTS :], event)
        for sink in self._sinks:
            sink.event(event)

    def latency_ms(self, frame: Frame) -> float:
        """From the capture of a frame to now."""
        return (self._clock() - frame.captured_s) * 1e3

    def notice(self, word: str, text: str, time_s: float) -> None:
        """Tell what is wrong, or right again. See `Notice` for what each is."""
        notice = Notice(word, text, time_s, _utc(), self._source, self._model)
        self.notices.append(notice)
        for sink in self._sinks:
            sink.notice(notice)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
