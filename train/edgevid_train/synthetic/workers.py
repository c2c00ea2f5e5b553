"""Processes that draw, since Python draws with one core; and what each of them keeps from clip to clip."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import cv2

from edgevid.interrupts import held_back, pending
from edgevid_train.storage import LostError
from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.paths import PathBank

Given = ParamSpec("Given")
Made = TypeVar("Made")
Item = TypeVar("Item")


POLL_S = 0.2


class DrawingLostError(LostError):
    """A process that draws was ended. A training stops, saved, and is resumed later."""

    exit_status = 1


class Workers:
    """`count` processes; what they are asked for is done in that order. A context manager: its end ends them.

    They are started anew, not forked: a fork of a process in which a network computes may hang.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        _begin_tracker()
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_begin)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs) -> Future[Made]:
        """`work` is a function of a module; it and what it takes and gives are pickled."""
        with _one_line(), _deaf_from_birth():
            return self._pool.submit(work, *args, **named)

    def map(
        self,
        work: Callable[Concatenate[Item, Given], Made],
        items: Iterable[Item],
        *args: Given.args,
        **named: Given.kwargs,
    ) -> Iterator[Made]:
        """What `work` makes of each item, in order; never more than two a process are begun and not yet taken."""
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(self.submit(work, item, *args, **named))
            if len(waiting) >= 2 * self.count:
                yield result_of(waiting.popleft())
        while waiting:
            yield result_of(waiting.popleft())


def result_of(future: Future[Made]) -> Made:
    """Wait for it. Raises what the work raised; DrawingLostError when its process has ended."""
    with held_back():  # struck as it takes a future's lock, nobody would come to the end of the processes' work
        while not future.done() and not pending():
            wait([future], timeout=POLL_S)
    with _one_line():
        return future.result()


@contextlib.contextmanager
def _deaf_from_birth() -> Iterator[None]:
    """A process that is begun inside takes no part in Ctrl-C even before it can say so itself (`_begin`)."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise DrawingLostError("a process that draws clips was ended; was there too little memory?") from None


@functools.cache
def paths_in(file: Path | None) -> PathBank | None:
    """Read once in each process. Raises InputError as PathBank."""
    return None if file is None else PathBank(file)


@functools.cache
def backgrounds_in(folder: Path | None) -> BackgroundBank | None:
    """Read once in each process. Raises InputError as BackgroundBank."""
    return None if folder is None else BackgroundBank(folder)


def _begin_tracker() -> None:
    """Python's process that tidies up after others, begun where a closing terminal does not reach it.

    One that takes its place in the middle complains, at length, of what it was never told.
    """
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def _begin() -> None:
    """Of each process: one core, no part in Ctrl-C or in a terminal's end, of which the main process says what follows,
    no life without that.
    """
    cv2.setNumThreads(1)
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
