"""Ctrl-C, and the signals that ask for the same, as something to be asked about.

As an exception it strikes between any two instructions of the main thread. If one of them takes a lock, that stays
taken, and whoever wants it next waits for ever; if compiled code has called Python, it may be lost on the way back. So
while threads work, or FFmpeg reads through Python, it is counted, and raised where it can be.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals by which a person, a service manager and a terminal that closes end a program. Windows has no SIGHUP."""

_Handler = Callable[[int, FrameType | None], object]


class _Counting:
    """What all `counted` of the process, one inside the other, have in common. The main thread's."""

    def __init__(self) -> None:
        self.depth = 0
        self.interrupts: list[int] = []
        self._before: dict[int, _Handler] = {}

    def hear(self, number: int, frame: FrameType | None) -> None:
        if not self.depth:  # it came as the handlers were being put back
            self._before[number](number, frame)
            return
        try:
            self._before[number](number, frame)
        except KeyboardInterrupt:
            self.interrupts.append(number)

    def begin(self) -> None:
        if not self.depth:
            self.interrupts = []
            for number in ENDING:
                handler = signal.getsignal(number)
                if callable(handler) and handler != self.hear:
                    self._before[number] = handler
                    signal.signal(number, self.hear)
        self.depth += 1

    def end(self) -> None:
        self.depth -= 1
        if not self.depth:
            for number, handler in self._before.items():
                if signal.getsignal(number) == self.hear:  # else the handler itself has put another in its place
                    signal.signal(number, handler)


_COUNTING: Final = _Counting()


@contextlib.contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Give a function that says how many interrupts have come since; none is raised until the end of the `with`.

    What an interrupt is, the handlers that were there before say: those that raise KeyboardInterrupt when called. Any
    other signal, and one that is ignored, stays as it is. Outside the main thread, where none can come, it is always 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    _COUNTING.begin()
    interrupts = _COUNTING.interrupts
    before = len(interrupts)
    try:
        yield lambda: len(interrupts) - before
    finally:
        _COUNTING.end()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Inside, an interrupt raises nothing; at the end it does, whatever else was raised, unless it is `counted` still.

    Raises:
        KeyboardInterrupt: one has come.
    """
    with counted() as interrupts:
        try:
            yield
        finally:
            came, outermost = interrupts() > 0, _COUNTING.depth == 1
            if came and outermost:
                raise KeyboardInterrupt


def pending() -> bool:
    """Whether an interrupt has come that is counted, or held back, and not yet raised. From any thread."""
    return _COUNTING.depth > 0 and bool(_COUNTING.interrupts)
