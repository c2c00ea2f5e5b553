"""From the name of a media file to its bytes, where these are not a file of their own."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from edgevid.errors import InputError
from edgevid_train.storage.address import address_of, shown
from edgevid_train.storage.contract import Facts
from edgevid_train.storage.faults import LostError
from edgevid_train.storage.part import Part, file_facts
from edgevid_train.storage.shard import ENDING, read_shard


@dataclass(frozen=True)
class Blob:
    """Bytes `[start, start + size)` of `holder`, a file or an address; `facts` are the holder's.

    `str` names it for messages. What opens videos takes it for a file (`edgevid.sources.video.Bytes`).
    """

    file: Path
    holder: Path
    facts: Facts
    start: int
    size: int

    def __str__(self) -> str:
        return shown(self.file)

    def open(self) -> BinaryIO:
        """Seekable; reads nothing yet. Raises InputError."""
        return cast(BinaryIO, Part(self.holder, self.facts, self.start, self.size, str(self)))

    def read(self) -> bytes:
        """All of it. Raises InputError."""
        with self.open() as file:
            return b"".join(iter(lambda: file.read(1 << 20), b""))

    @property
    def stamp(self) -> str:
        """Another one when other bytes have this name."""
        return f"{self.file} {self.facts.size} {self.facts.version} {self.start} {self.size}"


def blob_of(file: Path) -> Blob | None:
    """What a name stands for; None for a plain path, whatever is there.

    Raises:
        InputError: there is no such address, or no such member in the shard, or it cannot be read.
    """
    shard = shard_of(file)
    if shard is not None:
        index = read_shard(shard)
        member = index.members.get(file.relative_to(shard).as_posix())
        if member is None:
            raise InputError(f"{shown(file)}: no such file in the shard")
        return Blob(file, shard, index.facts, member.start, member.size)
    if address_of(file) is None:
        return None
    facts = file_facts(file)
    return Blob(file, file, facts, 0, facts.size)


def shard_of(file: Path) -> Path | None:
    """The tar shard that a name leads into, if it does."""
    holder = _holder(file)
    if holder is None or (address_of(holder) is None and not holder.is_file()):
        return None
    return holder


@lru_cache(maxsize=1 << 12)
def _holder(file: Path) -> Path | None:
    return next((parent for parent in file.parents if parent.suffix.lower() == ENDING), None)


def media(file: Path) -> Path | Blob:
    """What is to be opened for a name. Raises InputError as `blob_of`."""
    return blob_of(file) or file


def is_one_file(file: Path) -> bool:
    """Whether a name stands for the bytes of one file, not for a folder or for nothing. An address is believed."""
    return file.is_file() or shard_of(file) is not None or address_of(file) is not None


def size_of(file: Path) -> int:
    """In bytes. Raises InputError."""
    blob = blob_of(file)
    return file_facts(file).size if blob is None else blob.size


def read_bytes(file: Path) -> bytes:
    """All of a file. Raises OSError of a plain file, InputError of any other."""
    blob = blob_of(file)
    return file.read_bytes() if blob is None else blob.read()


def stamp_of(file: Path) -> str:
    """What changes when the bytes of a name do; empty where there are none. Raises LostError."""
    blob = None
    try:
        blob = blob_of(file)
        if blob is None:
            status = file.stat()
            return f"{file.absolute()} {status.st_size} {status.st_mtime_ns}"
    except LostError:
        raise
    except (OSError, InputError):
        return ""
    return blob.stamp
