"""Ctrl-C, and the signals that ask for the same, as something to be asked about.

As an exception it strikes between any two instructions of the main thread, one of which takes a lock: that stays taken,
and whoever wants it next waits for ever. So while threads work it is counted, and raised nowhere.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final

ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals by which a person, a service manager and a terminal that closes end a program. Windows has no SIGHUP."""


@contextlib.contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Give a function that says how many interrupts have come since; none is raised until the end of the `with`.

    What an interrupt is, the handlers that were there before say: those that raise KeyboardInterrupt when called. Any
    other signal, and one that is ignored, stays as it is. Outside the main thread, where none can come, it is always 0.
    """
    interrupts: list[int] = []
    before: dict[int, Callable[[int, object], object]] = {}

    def hear(number: int, frame: object) -> None:
        try:
            before[number](number, frame)
        except KeyboardInterrupt:
            interrupts.append(number)

    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in ENDING}
        before |= {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, hear)
        yield lambda: len(interrupts)
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is hear:  # else the handler itself has put something else in its place
                signal.signal(number, handler)
