"""Events as plain lines, where there is no terminal to draw in: pipes, logs, files."""

from typing import TextIO

from edgevid.events import Event
from edgevid.notice import Notice
from edgevid.sinks.contract import View


class PlainLines:
    """One line for each start and each end; updates are for programs."""

    wants_views = False

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def event(self, event: Event) -> None:
        """Print a start or an end at once."""
        if event.type != "update":
            print(event_line(event), file=self._file, flush=True)

    def notice(self, notice: Notice) -> None:
        """Print it at once."""
        print(f"{notice.time_s:8.2f} s  notice  {notice.text}", file=self._file, flush=True)

    def view(self, view: View) -> None:
        """Nothing of a view is printed."""

    def close(self) -> None:
        """Nothing is held open."""


def event_line(event: Event) -> str:
    """`    1.20 s  start  left`; an end says how sure it was and from when to when it went."""
    if event.end_s is None:
        return f"{event.emitted_s:8.2f} s  {event.type:<5}  {event.label}"
    went = f"{event.start_s:.2f} to {event.end_s:.2f} s"
    return f"{event.emitted_s:8.2f} s  {event.type:<5}  {event.label}  {went}, score {event.score:.2f}"
