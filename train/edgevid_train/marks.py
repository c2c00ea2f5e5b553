"""What a model was trained on, in a form that fits into its manifest: 12 hex digits a recording, and one a group.

A recording's mark is a hash of its file's name and size in bytes, so that it is known again wherever it has been moved
to; a group's is a hash of its name. Of many marks the lowest `MOST` are kept: hashes are as good as random, so that
these are a fair sample, and data that was trained on shows as surely in it as it needs to.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord

MOST = 4096


def marks_of(record: ClipRecord) -> tuple[str, ...]:
    """Of the file, and of the group where it is not the file's own name. A file that is not there has no mark."""
    marks = []
    if record.file.is_file():
        marks.append(_mark(f"file {record.file.name} {record.file.stat().st_size}"))
    if record.group != record.name:
        marks.append(_mark(f"group {record.group}"))
    return tuple(marks)


def marks_of_all(records: Iterable[ClipRecord], others: Collection[str] = ()) -> tuple[str, ...]:
    """The marks of all of these records and `others`, sorted, the lowest `MOST` of them."""
    marks = {mark for record in records for mark in marks_of(record)} | set(others)
    return tuple(sorted(marks)[:MOST])


def trained_among(records: Sequence[ClipRecord], trained_on: Collection[str]) -> list[ClipRecord]:
    """Those of `records` that a model with these marks has seen, or others of whose group it has."""
    known = set(trained_on)
    return [record for record in records if not known.isdisjoint(marks_of(record))]


def refuse_trained(
    records: Sequence[ClipRecord], trained_on: Collection[str], model: str, data: Path, purpose: str
) -> None:
    """Raises InputError when the model has seen some of `records`, the clips of `data`; `purpose` says what for."""
    seen = trained_among(records, trained_on)
    if seen:
        raise InputError(
            f"{model} was trained on {len(seen)} of the {len(records)} clips of {data}, or on their groups "
            f"({seen[0].id} for one); {purpose} clips that it has never seen"
        )


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
