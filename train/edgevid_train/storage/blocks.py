"""What was read of addresses, in blocks, kept on disk: bounded, shared by all processes of the machine."""

import os
import threading
import zlib
from functools import lru_cache

from edgevid.address import printable
from edgevid.errors import InputError
from edgevid_train.storage.bounded import BoundedFolder, cache_folder
from edgevid_train.storage.contract import Facts, Response
from edgevid_train.storage.faults import PassingError, persistently
from edgevid_train.storage.store import store_for

BLOCK = 4 << 20
"""Bytes that are read at once: a small clip whole, of a shard some clips, of a long video some seconds."""
SIZE_SETTING = "EDGEVID_CACHE_MB"
"""Environment variable that bounds the blocks on disk, in MB."""
DEFAULT_MB = 4096
_SUM_BYTES = 4


class Blocks:
    """Blocks of what is at addresses. A damaged entry is a miss; a file that changes is another one.

    A server that knows no ranges is asked for the whole file, once, and every block of it is kept.
    """

    def __init__(self, folder: BoundedFolder) -> None:
        self.folder = folder
        self._locks = [threading.Lock() for _ in range(64)]

    def get(self, address: str, facts: Facts, number: int) -> bytes:
        """Block `number`: `BLOCK` bytes, the last one fewer.

        Raises:
            InputError: they cannot be had, or the cache cannot be written to.
        """
        kept = self._load(address, facts, number)
        if kept is not None:
            return kept
        with self._locks[hash(address) % len(self._locks)]:  # asked for once, however many threads want it
            kept = self._load(address, facts, number)
            if kept is not None:
                return kept
            return persistently(lambda: self._fetch(address, facts, number), printable(address))

    def _fetch(self, address: str, facts: Facts, number: int) -> bytes:
        begin = number * BLOCK
        stop = begin + _length(facts, number)
        with store_for(address).read(address, begin, stop, facts) as answer:
            if answer.whole and facts.size > self.folder.max_bytes // 2:
                raise InputError(
                    f"{printable(address)}: the server gives no parts of it, and all of its {facts.size >> 20} MB are "
                    f"too much for a cache of {self.folder.max_bytes >> 20} MB ({SIZE_SETTING})"
                )
            wanted = self._keep(address, facts, number, answer)
        if wanted is None:
            raise PassingError("the connection was cut")
        return wanted

    def _keep(self, address: str, facts: Facts, number: int, answer: Response) -> bytes | None:
        """Keep the blocks that come, and give the one that was asked for, if all of it came."""
        at, wanted, held = answer.start // BLOCK, None, bytearray()
        for piece in answer.pieces:
            held += piece
            while at * BLOCK < facts.size and len(held) >= (length := _length(facts, at)):
                block = bytes(held[:length])
                del held[:length]
                self._save(self._entry(address, facts, at), block)
                wanted = block if at == number else wanted
                at += 1
        return wanted

    def _entry(self, address: str, facts: Facts, number: int) -> str:
        return f"{address} {facts.size} {facts.version} {number}"

    def _load(self, address: str, facts: Facts, number: int) -> bytes | None:
        entry = self.folder.entry(self._entry(address, facts, number))
        try:
            data = entry.read_bytes()
        except OSError:
            return None
        block = data[_SUM_BYTES:]
        if len(block) != _length(facts, number) or zlib.crc32(block).to_bytes(_SUM_BYTES) != data[:_SUM_BYTES]:
            return None
        self.folder.used(entry)
        return block

    def _save(self, key: str, block: bytes) -> None:
        with self.folder.writing(self.folder.entry(key)) as temporary:
            temporary.write_bytes(zlib.crc32(block).to_bytes(_SUM_BYTES) + block)


def _length(facts: Facts, number: int) -> int:
    return min(BLOCK, facts.size - number * BLOCK)


@lru_cache
def blocks() -> Blocks:
    """Those that all of this process shares. Raises InputError where the setting is no size."""
    text = os.environ.get(SIZE_SETTING, str(DEFAULT_MB))
    least = 16 * BLOCK >> 20
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{SIZE_SETTING}={text!r}: the MB that are kept of addresses, at least {least}")
    return Blocks(BoundedFolder(cache_folder() / "blocks", int(text) << 20))
