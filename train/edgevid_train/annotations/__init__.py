"""One reader per published layout of labelled videos; all give `ClipRecord`s."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.class_folders import read_class_folders
from edgevid_train.annotations.clips_csv import NAME as CLIPS_CSV
from edgevid_train.annotations.clips_csv import read_clips_csv
from edgevid_train.annotations.file_names import read_file_names
from edgevid_train.annotations.record import ClipRecord, label_fault

__all__ = ["FORMATS", "ClipRecord", "ReadOptions", "read_data"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person may say about a data folder on the command line.

    Attributes:
        format: one of `FORMATS`; None finds it out.
        group: the column that says what must not be split.
        label_pattern: regular expression that finds the label in a file's name.
        classes: labels to keep; None keeps all.
    """

    format: str | None = None
    group: str | None = None
    label_pattern: str | None = None
    classes: tuple[str, ...] | None = None


def _clips(path: Path, options: ReadOptions) -> list[ClipRecord]:
    return read_clips_csv(path / CLIPS_CSV if path.is_dir() else path, options.group)


def _folders(path: Path, _: ReadOptions) -> list[ClipRecord]:
    return read_class_folders(_folder(path))


def _names(path: Path, options: ReadOptions) -> list[ClipRecord]:
    if options.label_pattern is None:
        raise InputError("--format names needs --label-pattern")
    return read_file_names(_folder(path), options.label_pattern)


FORMATS: dict[str, Callable[[Path, ReadOptions], list[ClipRecord]]] = {
    "clips": _clips,
    "folders": _folders,
    "names": _names,
}
"""Name of a layout -> its reader. `path` is the data folder or, where the layout has one, the annotation file."""


def read_data(path: Path, options: ReadOptions = ReadOptions()) -> list[ClipRecord]:
    """The records of a data folder, in the order of the annotations; at least one.

    Raises:
        InputError: no such folder, nothing labelled in it, an unknown format or class, or malformed annotations.
    """
    if not path.exists():
        raise InputError(f"{path}: no such data folder")
    name = options.format or _guess(path, options)
    if name not in FORMATS:
        raise InputError(f"--format {name!r} is not one of {', '.join(FORMATS)}")
    if options.group is not None and name != "clips":
        raise InputError(f"--group names a column of {CLIPS_CSV}; {path} has none")
    records = FORMATS[name](path, options)
    if not records:
        raise InputError(
            f"{path}: no labelled videos; expected {CLIPS_CSV}, one sub-folder per class, or --label-pattern"
        )
    for record in records:
        for label in record.labels:
            fault = label_fault(label)
            if fault is not None:
                raise InputError(f"{path}: {record.name!r}: {fault}")
    return _keep(records, options.classes, path)


def of_split(records: list[ClipRecord], split: str | None, path: Path) -> list[ClipRecord]:
    """Those of one split of the data at `path`; all of them where none is asked for.

    Raises:
        InputError: there are none.
    """
    if split is None:
        return records
    chosen = [record for record in records if record.split == split]
    if not chosen:
        raise InputError(f"{path} has no clip of split {split!r}")
    return chosen


def _guess(path: Path, options: ReadOptions) -> str:
    if options.label_pattern is not None:
        return "names"
    return "clips" if path.is_file() or (path / CLIPS_CSV).is_file() else "folders"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is not a folder")
    return path


def _keep(records: list[ClipRecord], classes: tuple[str, ...] | None, path: Path) -> list[ClipRecord]:
    if classes is None:
        return records
    known = {label for record in records for label in record.labels}
    for label in classes:
        if label not in known:
            raise InputError(f"--classes: {path} has no label {label!r}; it has {', '.join(sorted(known))}")
    return [record for record in records if set(record.labels) & set(classes)]
