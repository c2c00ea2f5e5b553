"""A run: the pipeline's two halves on two threads, and how they end. It owns threads and shutdown.

The reader thread moves frames from the source into the ring and says what is due; the network thread computes it and
emits events; the main thread stays free for what must be done there: windows.
"""

import math
import threading
import time
from collections.abc import Callable

from edgevid.interrupts import counted
from edgevid.pipeline import Pipeline

STOPPING_S, STOPPING_LIVE_S = 3.0, 0.5
"""How long each half of a run may take to end before it is left behind: where it reads what is live, less long."""
POLL_S = 0.01


def run(
    pipeline: Pipeline,
    *,
    seconds: float | None = None,
    every_s: float = 0.1,
    every: Callable[[], bool] = lambda: True,
) -> bool:
    """Run the two halves on threads until the source ends, `seconds` have passed or `every` says False.

    `every` is called about every `every_s` seconds on this thread, which should be the main one.

    Returns: whether Ctrl-C ended it. What was going on has then been ended all the same.

    Raises:
        EdgevidError: the source or the model failed; what was going on has been ended before.
        KeyboardInterrupt: so it did, and Ctrl-C had come: who would go on with something else is not to.
    """
    stopping, done = threading.Event(), threading.Event()
    errors: list[BaseException] = []
    reading_s = STOPPING_LIVE_S if pipeline.source.info.live else STOPPING_S

    def stop() -> None:
        stopping.set()
        pipeline.source.close()

    def reading() -> None:
        try:
            pipeline.flow.wait_for_room()
            while not stopping.is_set() and pipeline.read():
                pipeline.flow.wait_for_room()
        except BaseException as error:
            errors.append(error)
        finally:
            pipeline.flow.end()

    def computing() -> None:
        try:
            while pipeline.compute():
                pass
        except BaseException as error:
            errors.append(error)
            stop()
            pipeline.flow.end(drop_waiting=True)
        try:
            pipeline.finish()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threads = [threading.Thread(target=half, name=half.__name__, daemon=True) for half in (reading, computing)]
    reader, network = threads
    with counted() as interrupts:
        for thread in threads:
            thread.start()
        ends_s = math.inf if seconds is None else time.monotonic() + seconds
        try:
            while not done.wait(every_s) and time.monotonic() < ends_s and not interrupts() and every():
                pass
        finally:
            stop()
            heard = interrupts()

            def again() -> bool:
                return interrupts() > heard

            if not _wait(done.is_set, reading_s, again):  # the source does not answer: give up what waits, and count it
                pipeline.flow.end(drop_waiting=True)
                _wait(done.is_set, STOPPING_S, again)
            _wait(lambda: not reader.is_alive(), reading_s, again)
            _wait(lambda: not network.is_alive(), STOPPING_S, again)
    interrupted = interrupts() > 0  # one that came last is known only now
    if errors and interrupted:
        raise KeyboardInterrupt from errors[0]
    if errors:
        raise errors[0]
    return interrupted


def _wait(ended: Callable[[], bool], most_s: float, hurried: Callable[[], bool]) -> bool:
    """Wait until it has ended, at most `most_s`, and at most a moment once somebody is in a hurry. Whether it has."""
    began_s = time.monotonic()
    while not ended():
        if time.monotonic() - began_s >= (min(most_s, STOPPING_LIVE_S) if hurried() else most_s):
            return False
        time.sleep(POLL_S)
    return True
