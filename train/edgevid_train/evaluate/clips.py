"""The clips that a model is judged on, and what of them it was never taught."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, ReadOptions, of_split, read_data
from edgevid_train.annotations.overlaps import with_overlapping


def clips_to_judge(
    data: Path, options: ReadOptions, split: str | None, say: Callable[[str], None], *, several: bool
) -> list[ClipRecord]:
    """Of a split or all of them; `several`: the models' labels do not exclude one another. Raises InputError."""
    records = read_data(data, options, say)
    if several:
        records = with_overlapping(records, say)
    return of_split(records, split, data)


def say_unknown(
    name: str, labels: Collection[str], records: Sequence[ClipRecord], data: Path, say: Callable[[str], None]
) -> None:
    """What a person should know before two models are compared, or one is blamed for what it was never taught.

    Raises InputError when it was taught nothing of what the data has.
    """
    found = [label for record in records for label in record.labels]
    taught = {*labels, BACKGROUND}
    if not set(found) & (taught - {BACKGROUND}):
        knows, has = ", ".join(labels), ", ".join(sorted(set(found)))
        raise InputError(f"{name} knows {knows}; {data} has none of them but {has}")
    lost = [label for label in found if label not in taught]
    if lost:
        names = ", ".join(repr(label) for label in sorted(set(lost)))
        say(f"warning: {name} was not taught {names}: {len(lost)} of the clips count as errors")
