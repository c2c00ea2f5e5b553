"""Ctrl-C during hours of work: the first asks, and the work saves itself; the second quits at once.

So do SIGTERM, by which a service manager or a batch system ends a program, and SIGHUP, when its terminal is gone. Of
several processes these end each at once, since a launcher means that by it, and one that waits for the others in
compiled code hears nothing else.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from edgevid.errors import INTERRUPTED, EdgevidError
from edgevid.interrupts import ENDING

_ASKING = (signal.SIGINT, signal.SIGTERM)
"""Of which a second one quits at once."""
_TOLD_WITHIN_S = 0.1


class StoppedError(EdgevidError):
    """The person asked to stop, and what must be kept has been kept. The message says how to go on."""

    exit_status = INTERRUPTED


@contextlib.contextmanager
def interruptible(on_first: Callable[[], None], *, alone: bool = True) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; `on_first`, on another thread, tells that it was heard.

    `alone`: no launcher started this process among others. Outside the main thread, where signals cannot be caught, the
    answer is always False. What was ignored before stays so.
    """
    asked, ended = False, threading.Event()

    def first(number: int, _frame: object) -> None:
        for done in before.keys() & {number, signal.SIGINT}:
            # A terminal that closes says so twice, its shell and the system; nobody asks again by that.
            signal.signal(done, signal.SIG_DFL if done in _ASKING else signal.SIG_IGN)
        nonlocal asked
        asked = True

    def tell() -> None:
        while not ended.wait(_TOLD_WITHIN_S) and not asked:
            pass
        if asked:
            with contextlib.suppress(OSError):  # no terminal any more
                on_first()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, first if alone or number == signal.SIGINT else signal.SIG_DFL)
    # Not told by the handler: it interrupts the main thread at anything, at drawing a bar for one, and what it then
    # wanted might be held by who waits for that.
    teller = threading.Thread(target=tell, name="interrupt", daemon=True)
    teller.start()
    try:
        yield lambda: asked
    finally:
        ended.set()
        teller.join(1.0)  # a terminal may take nothing more
        for number, handler in before.items():
            signal.signal(number, handler)
