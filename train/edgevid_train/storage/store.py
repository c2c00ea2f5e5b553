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


class Answer(NamedTuple):
    """Bytes from `start` on. `whole`: all there are, from 0 on; the server knows no ranges."""

    start: int
    pieces: Iterator[bytes]
    whole: bool = False


class Store(Protocol):
    """Both methods raise PassingError where it is worth trying again, InputError where it is not."""

    def facts(self, address: str) -> Facts: ...

    def read(self, address: str, start: int, stop: int, facts: Facts) -> AbstractContextManager[Answer]: ...


def store_for(address: str) -> Store:
    """Of http(s) the standard library's, of everything else (s3, gs, …) fsspec's."""
    from edgevid_train.storage.http import Http
    from edgevid_train.storage.objects import Objects

    return Http() if address.startswith(("http://", "https://")) else Objects()
