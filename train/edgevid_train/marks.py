"""What a model was trained on, in a form that fits into its manifest: 12 hex digits a recording, and one a group.

A recording's mark is a hash of its file's name and size in bytes, so that it is known again wherever it has been moved
to; where it was re-encoded, of the file that it was made from. A group's is a hash of its name. Drawn clips are known
by their seeds, and a whole range of seeds is one mark: `1000-2599` are 1600 clips. So they crowd no recording out, and
freshly drawn ones are never taken for those.

Of many marks `MOST` are kept: the lowest of the data's own, then the lowest of the others. Hashes are as good as
random, so that these are a fair sample, and data that was trained on shows as surely in it as it needs to.
"""

import bisect
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.storage import is_one_file, size_of
from edgevid_train.synthetic.seeds import seed_of

MOST = 4096


class Known:
    """Marks, ready to be asked whether a record is among them."""

    def __init__(self, marks: Collection[str]) -> None:
        self.hashes = _hashes(marks)
        self.ranges = _merged(_ranges(marks))

    def __contains__(self, record: ClipRecord) -> bool:
        seed = seed_of(record.group)
        if seed is None:
            return not self.hashes.isdisjoint(marks_of(record))
        place = bisect.bisect_right(self.ranges, seed, key=lambda seeds: seeds[0]) - 1
        return place >= 0 and seed <= self.ranges[place][1]


def marks_of(record: ClipRecord) -> tuple[str, ...]:
    """Of the file, and of the group where it is not the file's own name; of a drawn clip its seed.

    A file that is not there has no mark.
    """
    seed = seed_of(record.group)
    if seed is not None:
        return (f"{seed}-{seed}",)
    file = record.origin or file_mark(record.file)
    marks = [] if file is None else [file]
    if record.group != record.name:
        marks.append(_mark(f"group {record.group}"))
    return tuple(marks)


def file_mark(file: Path) -> str | None:
    """None where it is not one file, or not there."""
    return _mark(f"file {file.name} {size_of(file)}") if is_one_file(file) else None


def marks_of_all(
    records: Iterable[ClipRecord],
    others: Iterable[ClipRecord] = (),
    before: Collection[str] = (),
    drawn: range = range(0),
) -> tuple[str, ...]:
    """The marks of all of these, sorted; where they are too many, those of `records` come before the rest.

    `others`: more that was trained on; `before`: marks of what an earlier network was trained on; `drawn`: seeds.
    """
    own, more = ({mark for record in found for mark in marks_of(record)} for found in (records, others))
    more |= {*before, *([f"{drawn[0]}-{drawn[-1]}"] if drawn else ())}
    merged = [f"{first}-{last}" for first, last in _merged(_ranges(own | more))]
    hashes = [*sorted(_hashes(own)), *sorted(_hashes(more - own))]
    return (*sorted(hashes[:MOST]), *merged)


def trained_among(records: Sequence[ClipRecord], trained_on: Collection[str]) -> list[ClipRecord]:
    """Those of `records` that a model with these marks has seen, or others of whose group it has."""
    known = Known(trained_on)
    return [record for record in records if record in known]


@dataclass(frozen=True)
class Seen:
    """Those of some clips that a network has seen, or others of whose group it has; all of them where `complete`."""

    clips: frozenset[ClipRecord]
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """What reports keep of it; `how_many` puts it into words."""
        return {"n": len(self.clips), "complete": self.complete}

    @property
    def in_words(self) -> str:
        """How many there are, for people."""
        return how_many(len(self.clips), complete=self.complete)


def how_many(count: int, *, complete: bool) -> str:
    """Of clips that a network has seen, for people: `3`, or `at least 3` where it keeps a sample of its marks."""
    return str(count) if complete else f"at least {count}"


def seen_among(records: Sequence[ClipRecord], trained_on: Collection[str]) -> Seen | None:
    """None where a network does not say what it was trained on."""
    if not trained_on:
        return None
    return Seen(frozenset(trained_among(records, trained_on)), len(trained_on) < MOST)


def refuse_trained(
    records: Sequence[ClipRecord], trained_on: Collection[str], model: str, data: str, purpose: str
) -> None:
    """Raises InputError when the model has seen some of `records`, those of `data`; `purpose` says what for."""
    seen = seen_among(records, trained_on)
    if seen and seen.clips:
        first = min(record.id for record in seen.clips)
        raise InputError(
            f"{model} was trained on {seen.in_words} of the {len(records)} clips of {data}, or on their groups "
            f"({first} for one); {purpose} clips that it has never seen"
        )


def _hashes(marks: Iterable[str]) -> set[str]:
    return {mark for mark in marks if "-" not in mark}


def _ranges(marks: Iterable[str]) -> list[tuple[int, int]]:
    """First and last of every range of seeds among the marks, in order."""
    return sorted((int(first), int(last)) for first, dash, last in (mark.partition("-") for mark in marks) if dash)


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that touch or overlap as one; of more than `MOST` the longest."""
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    longest = sorted(merged, key=lambda seeds: seeds[0] - seeds[1])[:MOST]
    return sorted(longest)


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
