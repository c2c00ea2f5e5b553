"""A part of a file, or of what is at an address, as a file: read where it is asked for, and nowhere else."""

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgevid.address import printable
from edgevid.errors import InputError
from edgevid.interrupts import pending
from edgevid_train.storage.address import address_of
from edgevid_train.storage.blocks import BLOCK, blocks
from edgevid_train.storage.contract import Facts
from edgevid_train.storage.faults import persistently
from edgevid_train.storage.store import store_for


@lru_cache(maxsize=1 << 16)
def facts_of(address: str) -> Facts:
    """Asked once by a process: what changes while it runs is an error when it is read. Raises InputError."""
    return persistently(lambda: store_for(address).facts(address), printable(address))


def file_facts(file: Path) -> Facts:
    """Of a file or of an address. Raises InputError."""
    address = address_of(file)
    if address is not None:
        return facts_of(address)
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file}: {'no such file' if not file.exists() else error.strerror}") from None
    return Facts(status.st_size, str(status.st_mtime_ns))


class Part(io.RawIOBase):
    """Bytes `[start, start + size)` of `file`, which may end before it should: reading says so. For one thread.

    Raises:
        InputError: no such file; from every read: it cannot be read any more, or an interrupt is pending.
    """

    def __init__(self, file: Path, facts: Facts, start: int, size: int, name: str) -> None:
        super().__init__()
        self._address = address_of(file)
        self._facts, self._start, self._size, self.name = facts, start, size, name
        self._at = 0
        self._given_up = False
        self._held: tuple[int, bytes] = (-1, b"")
        self._file = -1
        if self._address is None:
            try:
                self._file = os.open(file, os.O_RDONLY)
            except OSError as error:
                raise InputError(f"{name}: {error.strerror}") from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        if not count:
            return 0
        if pending():  # whoever holds it back is waiting for this
            if self._given_up:
                return 0  # FFmpeg asks again; PyAV keeps one error, and complains of a second
            self._given_up = True
            raise InputError(f"{self.name}: interrupted")
        data = self._local(count) if self._address is None else self._remote(self._address, count)
        if not data:
            raise InputError(f"{self.name}: the file that holds it ends {self._size - self._at} bytes too early")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()

    def _local(self, count: int) -> bytes:
        try:
            return os.pread(self._file, count, self._start + self._at)
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from None

    def _remote(self, address: str, count: int) -> bytes:
        number, within = divmod(self._start + self._at, BLOCK)
        if number * BLOCK >= self._facts.size:
            return b""
        if self._held[0] != number:
            self._held = (number, blocks().get(address, self._facts, number))
        return self._held[1][within : within + count]
