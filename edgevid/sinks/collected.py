"""Finished events kept in memory, for what is written when a run is over."""

from collections import deque

from edgevid.events import Event
from edgevid.notice import Notice
from edgevid.sinks.contract import View

MOST = 10_000


class Collected:
    """The last `MOST` ends of actions; `left_out` counts those before them."""

    wants_views = False

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=MOST)
        self.left_out = 0

    def event(self, event: Event) -> None:
        """Keep an end."""
        if event.type == "end":
            self.left_out += len(self.events) == MOST
            self.events.append(event)

    def notice(self, notice: Notice) -> None:
        """A run's metrics say it too."""

    def view(self, view: View) -> None:
        """Nothing of a view is kept."""

    def close(self) -> None:
        """What was kept stays."""
