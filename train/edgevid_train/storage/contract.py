"""What there is at an address, and how to read parts of it, whoever keeps it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Facts:
    """`size` in bytes; `version`: a text that changes when the bytes do, empty where the server says nothing."""

    size: int
    version: str


class Response(NamedTuple):
    """Bytes from `start` on. `whole`: all there are, from 0 on; the server knows no ranges."""

    start: int
    pieces: Iterator[bytes]
    whole: bool = False


class Store(Protocol):
    """Both methods raise PassingError where it is worth trying again, InputError where it is not."""

    def facts(self, address: str) -> Facts:
        """Without reading what is there."""
        ...

    def read(self, address: str, start: int, stop: int, facts: Facts) -> AbstractContextManager[Response]:
        """The bytes from `start` up to `stop`; `facts` are those known, which must still hold."""
        ...
