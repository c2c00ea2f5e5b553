"""Threads that want one thing at once: one makes it, the others wait and find it made."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """For every key one thread at a time, in `turn`; threads with other keys do not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, tuple[threading.Lock, int]] = {}  # and how many threads have it or wait for it

    @contextmanager
    def turn(self, key: Hashable) -> Iterator[None]:
        """Inside, no other thread has its turn with this key."""
        with self._lock:
            turn, threads = self._turns.get(key, (threading.Lock(), 0))
            self._turns[key] = turn, threads + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                _, threads = self._turns.pop(key)
                if threads > 1:
                    self._turns[key] = turn, threads - 1
