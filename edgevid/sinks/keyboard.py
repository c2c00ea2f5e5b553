"""What a person types while a view is up, and what Ctrl-Z does to the terminal that it is up in."""

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

try:
    import select
    import termios
except ImportError:  # Windows: what is typed there stays as it is
    termios = None  # type: ignore[assignment]

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\x1b\[O])")
"""An arrow, a function key, a key with Alt: none of them is Escape, though each begins like it."""
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")


class Keyboard:
    """Takes what is typed, shows it nowhere and leaves it to no shell; `closed` once it is q or Escape.

    With `left` the view leaves the terminal for as long as Ctrl-Z stops the process. Main thread only: signals.
    """

    def __init__(self, left: Callable[[], AbstractContextManager[None]]) -> None:
        self.closed = False
        self._left = left
        self._descriptor = _terminal(sys.stdin) if termios else None
        self._found: list[Any] | None = None  # how the terminal was, while it is as it should be for a view
        self._held = b""
        self._handles = False

    def look(self) -> None:
        """Take what was typed since the last look; the first makes the terminal ready.

        A shell has it for itself again whenever the run is not in front, so each look sees to that anew. To touch it
        from behind would stop the process.
        """
        self._handle(True)
        if self._descriptor is None or not in_front(self._descriptor):
            return
        try:
            self._quieten(self._descriptor)
            typed = b""
            while select.select([self._descriptor], [], [], 0)[0]:
                if not (part := os.read(self._descriptor, 1024)):
                    raise OSError("it hung up")
                typed += part
        except (OSError, termios.error):
            self._descriptor = None  # no terminal any more, which is no reason to stop
            return
        self._take(typed)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self._give_back()
        self._handle(False)

    def _take(self, typed: bytes) -> None:
        """Escape is a key's beginning as well: it is one when by the next look nothing has followed."""
        if self._held == b"\x1b" and not typed:
            self.closed = True
        rest = _SEQUENCE.sub(b"", self._held + typed)
        begun = _BEGUN.search(rest) if typed else None
        self._held = begun[0] if begun else b""
        rest = rest[: begun.start()] if begun else rest
        self.closed = self.closed or b"q" in rest or (b"\x1b" in rest and bool(typed))

    def _quieten(self, descriptor: int) -> None:
        now = termios.tcgetattr(descriptor)
        if now[3] & (termios.ECHO | termios.ICANON):
            self._found = [*now[:6], list(now[6])]
            now[3] &= ~(termios.ECHO | termios.ICANON)
            now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
            termios.tcsetattr(descriptor, termios.TCSANOW, now)

    def _give_back(self) -> None:
        """At once, and without what is typed: to wait for the terminal may be for ever, after Ctrl-S."""
        found, self._found = self._found, None
        if self._descriptor is None or found is None or not in_front(self._descriptor):
            return
        with contextlib.suppress(OSError, termios.error):  # there may be no terminal any more
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, found)

    def _handle(self, wanted: bool) -> None:
        """Ctrl-Z, unless somebody else does, or wants it ignored."""
        if not hasattr(signal, "SIGTSTP") or threading.current_thread() is not threading.main_thread():
            return
        if wanted and not self._handles and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop)
            self._handles = True
        elif not wanted and self._handles:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            self._handles = False

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Give everything back and stop. It returns when the process goes on; the next look sees to the rest."""
        with self._left():
            self._give_back()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            signal.signal(number, self._stop)


def in_front(descriptor: int) -> bool:
    """Whether this process may use that terminal: not while its shell has it behind, as after `bg`."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError):  # Windows; or a terminal that is no shell's
        return True


def _terminal(file: Any) -> int | None:
    """The descriptor of a terminal; None for any other file, or none."""
    try:
        return int(file.fileno()) if file.isatty() else None
    except (AttributeError, OSError, ValueError):
        return None
