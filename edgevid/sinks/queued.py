"""A sink with a queue and a thread of its own, so that a slow one never slows inference."""

import contextlib
import math
import threading
import time
from collections import deque
from typing import Self

from edgevid.errors import InputError
from edgevid.events import Event
from edgevid.interrupts import pending
from edgevid.notice import Notice
from edgevid.sinks.contract import Sink, View

VIEWS = 4
"""Views that wait at most; a newer one pushes the oldest out, which is counted."""
GIVE_UP_S = 2.0
"""After Ctrl-C: how long a sink that is behind may take to write what waits."""
EVENTS = 10_000
"""Events that wait at most. None is ever dropped: past this, hours behind, the giver waits."""
_POLL_S = 0.1


class QueuedSink:
    """Hands everything on to `sink` from its own thread, events before views.

    What `sink` raises is kept in `error`; from then on everything is refused and counted in `lost_events`.
    """

    def __init__(self, sink: Sink, name: str, *, views: int = VIEWS, events: int = EVENTS) -> None:
        self.name = name
        self.error: Exception | None = None
        self.lost_events = 0
        self.dropped_views = 0
        self.wants_views = sink.wants_views
        self._sink = sink
        self._events: deque[Event | Notice] = deque()
        self._in_hand: Event | Notice | None = None  # being handed on
        self._most_events = events
        self._views: deque[View] = deque()
        self._most_views = views
        self._closing = False
        self._changed = threading.Condition()
        # A daemon, so that a sink that hangs for ever cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def event(self, event: Event) -> None:
        """Queue an event; waits only when `EVENTS` are waiting already."""
        self._queue(event)

    def notice(self, notice: Notice) -> None:
        """Queue a notice among the events, and count it as one."""
        self._queue(notice)

    def _queue(self, event: Event | Notice) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) < self._most_events or self._refuses)
            if self._refuses:
                self.lost_events += 1
                return
            self._events.append(event)
            self._changed.notify_all()

    def view(self, view: View) -> None:
        """Queue a view; never waits."""
        with self._changed:
            if self._refuses or not self.wants_views:
                return
            self._views.append(view)
            if len(self._views) > self._most_views:
                self._views.popleft()
                self.dropped_views += 1
            self._changed.notify_all()

    def close(self, timeout_s: float | None = None) -> None:
        """Wait until everything queued is handed on, at most `timeout_s`, and at most `GIVE_UP_S` once Ctrl-C has come;
        what then is left counts as lost.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while self._thread.is_alive() and (left_s := until_s - time.monotonic()) > 0:
            self._thread.join(min(left_s, _POLL_S))
            if pending() and until_s == math.inf:
                until_s = time.monotonic() + GIVE_UP_S
        with self._changed:
            self.lost_events += len(self._events) + (self._thread.is_alive() and self._in_hand is not None)
            self._events.clear()
            self._views.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise what the sink raised. That whoever read a pipe has gone is no error: it had enough.

        Raises:
            InputError: it cannot be written (any more), or not everything was.
        """
        if isinstance(self.error, BrokenPipeError):
            return
        if isinstance(self.error, OSError):
            raise InputError(f"cannot write {self.name}: {self.error.strerror or self.error}")
        if self.error is not None:
            raise self.error
        if self.lost_events:
            raise InputError(f"{self.lost_events} {self.name} were not written in time")

    @property
    def _refuses(self) -> bool:
        return self._closing or self.error is not None

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._events or self._views or self._closing)
                    self._in_hand = event = self._events.popleft() if self._events else None
                    view = self._views.popleft() if event is None and self._views else None
                    if event is not None:
                        self._changed.notify_all()
                if isinstance(event, Notice):
                    self._sink.notice(event)
                elif event is not None:
                    self._sink.event(event)
                elif view is not None:
                    self._sink.view(view)
                else:
                    self._sink.close()
                    return
        except Exception as error:
            with self._changed:
                self.error = error
                self.lost_events += len(self._events) + (event is not None)
                self._events.clear()
                self._views.clear()
                self._changed.notify_all()
            with contextlib.suppress(Exception):  # what it raised first is what is told
                self._sink.close()
