"""The clips that a run was begun with: what is held out of a fold stays held out, however often the run is resumed."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from edgevid.errors import InputError, first_line
from edgevid.files import write_json
from edgevid_train.annotations import ClipRecord
from edgevid_train.loop import processes
from edgevid_train.runs.splits import RunSplit

SPLITS = "splits.json"


def keep_splits(out: Path, splits: Sequence[RunSplit], readable: Collection[ClipRecord], *, resume: bool) -> None:
    """Write which clips are on which side of every split, as digests; of a run that is resumed compare them.

    One clip more or less cuts other folds: what a finished fold was trained on would be held out of it.

    Raises:
        InputError: they are others than the run was begun with, or cannot be written.
    """
    now = {
        name: {"train": _digest(split.train, readable), "held_out": _digest(split.val, readable)}
        for name, _, split in splits
    }
    path = out / SPLITS
    if resume and path.is_file():
        try:
            before = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"--resume: {path} is damaged: {first_line(error)}") from None
        if before != now:
            raise InputError(
                f"--resume: the clips are not those that the run in {out} was begun with, and what it was trained on "
                "would be held out now; put the data back as it was, or begin a new run"
            )
    elif processes.leads():
        write_json(path, now)


def _digest(records: Sequence[ClipRecord], readable: Collection[ClipRecord]) -> str:
    """Of names, spans and labels of those that can be read, in order, since the order of training follows from it."""
    told = hashlib.sha256()
    for record in records:
        if record in readable:
            told.update(f"{record.id}\t{record.group}\t{';'.join(record.labels)}\n".encode(errors="surrogateescape"))
    return told.hexdigest()[:16]
