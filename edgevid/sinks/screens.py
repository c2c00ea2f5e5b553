"""Which of the screens a run gets: what the person asked for, where the output goes, whether there is a display."""

import os
import sys
from typing import TYPE_CHECKING

from edgevid.errors import InputError
from edgevid.sinks.plain import PlainLines

if TYPE_CHECKING:
    from edgevid.sinks.keyboard import Keyboard
    from edgevid.sinks.terminal import LiveTerminal
    from edgevid.sinks.window import Window


def terminal(*, stdout_is_taken: bool) -> "LiveTerminal | PlainLines | None":
    """A view in place in a terminal, else plain lines on standard output.

    When standard output is taken by events, the view goes to standard error if that is a terminal of its own, where
    the lines on standard output do not run into it.
    """
    file = sys.stderr if stdout_is_taken else sys.stdout
    apart = not (stdout_is_taken and sys.stdout.isatty())
    if file.isatty() and apart and os.environ.get("TERM") != "dumb":
        from rich.console import Console  # only now: it takes a tenth of a second

        from edgevid.sinks.terminal import LiveTerminal

        return LiveTerminal(Console(file=file))
    return None if stdout_is_taken else PlainLines(sys.stdout)


def keyboard(shown: "LiveTerminal | PlainLines | None") -> "Keyboard | None":
    """The keys of a terminal that a view is drawn in. Main thread only."""
    if shown is None or isinstance(shown, PlainLines):
        return None
    from edgevid.sinks.keyboard import Keyboard

    return Keyboard(shown.left)


def window(wanted: bool | None) -> "Window | None":
    """A window if it is wanted; None (by itself) opens one only where there is a display. Main thread only.

    Raises:
        InputError: it is wanted and there is no display.
    """
    if wanted is False:
        return None
    from edgevid.sinks.window import Window, has_display

    if has_display():
        return Window()
    if wanted:
        raise InputError("--window needs a display, and there is none")
    return None
