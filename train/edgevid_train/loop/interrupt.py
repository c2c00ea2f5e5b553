"""Ctrl-C during hours of work: the first asks, and the work saves itself; the second quits at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from edgevid.errors import EdgevidError


class StoppedError(EdgevidError):
    """The person asked to stop, and what must be kept has been kept. The message says how to go on."""

    exit_status = 130


@contextlib.contextmanager
def interruptible(on_first: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; `on_first` tells the person that it was heard.

    Outside the main thread, where signals cannot be caught, it is always False.
    """
    asked = threading.Event()

    def first(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        asked.set()
        on_first()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, first)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
