"""What is in a tar shard: names, places and sizes of its members, and the text of the small ones.

It is found by reading the headers once, and kept on disk beside the indices of videos.
"""

import io
import json
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from edgevid.errors import InputError
from edgevid_train.storage.address import absolute, address_of, shown
from edgevid_train.storage.bounded import BoundedFolder, cache_folder
from edgevid_train.storage.contract import Facts
from edgevid_train.storage.part import Part, file_facts

ENDING = ".tar"
TEXTS = (".json", ".cls", ".txt")
"""Endings of members whose text is kept in the index."""
_LONGEST_TEXT = 1 << 20
_MAX_BYTES = 256 << 20
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a shard: bytes `[start, start + size)` of it; `text` where it is a small one that says something."""

    name: str
    start: int
    size: int
    text: str | None = None


@dataclass(frozen=True)
class ShardIndex:
    """The members of a shard in their order, up to where it is damaged; `fault` says how, one line, or is None."""

    facts: Facts
    members: dict[str, Member]
    fault: str | None = None


def read_shard(shard: Path) -> ShardIndex:
    """The index of a tar file, or of one at an address; made once, until the file changes.

    Raises:
        InputError: it is not there, cannot be read, or is no tar file.
    """
    return _index(shard, file_facts(shard))


@lru_cache(maxsize=64)
def _index(shard: Path, facts: Facts) -> ShardIndex:
    folder = BoundedFolder(cache_folder() / "shards", _MAX_BYTES)
    stamp = f"{_VERSION} {absolute(shard)} {facts.size} {facts.version}"
    entry = folder.entry(str(absolute(shard)), ".json")
    kept = _load(entry, stamp, facts)
    if kept is not None:
        folder.used(entry)
        return kept
    made = _scan(shard, facts)
    values = {
        "stamp": stamp,
        "fault": made.fault,
        "members": [[member.name, member.start, member.size, member.text] for member in made.members.values()],
    }
    try:
        with folder.writing(entry) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")
    except InputError:
        if address_of(shard) is not None:
            raise
    return made


def _load(entry: Path, stamp: str, facts: Facts) -> ShardIndex | None:
    try:
        values = json.loads(entry.read_bytes())
        if values["stamp"] != stamp:
            return None
        return ShardIndex(facts, {name: Member(name, *rest) for name, *rest in values["members"]}, values["fault"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan(shard: Path, facts: Facts) -> ShardIndex:
    name = shown(shard)
    members: dict[str, Member] = {}
    fault = None
    with io.BufferedReader(Part(shard, facts, 0, facts.size, name)) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    if info.isreg() and not info.issparse():
                        path = _inside(info.name, name)
                        members[path] = Member(path, info.offset_data, info.size, _text(file, info))
                fault = _missing_end(file, tar.offset, facts.size)
        except tarfile.TarError as error:
            if not members:
                raise InputError(f"{name}: not a tar file, or a compressed one ({error})") from None
            fault = f"damaged after {len(members)} members: {error}"
    return ShardIndex(facts, members, fault)


def _inside(member: str, shard: str) -> str:
    """A member's path in its shard. What is written below it elsewhere must lie there too."""
    path = PurePosixPath(member)  # `tar cf x.tar .` calls it ./000001.mp4
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{shard}: the member {member!r} is not inside the shard")
    return path.as_posix()


def _text(file: "io.BufferedReader[Part]", info: tarfile.TarInfo) -> str | None:
    if not info.name.lower().endswith(TEXTS) or info.size > _LONGEST_TEXT:
        return None
    file.seek(info.offset_data)
    try:
        return file.read(info.size).decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _missing_end(file: "io.BufferedReader[Part]", offset: int, size: int) -> str | None:
    """A tar file ends with zeros; `tarfile` takes anything that is no header for its end."""
    file.seek(min(offset, size))
    end = file.read(tarfile.BLOCKSIZE)
    if end and not any(end):
        return None
    return f"damaged or cut short at byte {offset} of {size}"
