"""One reader per published layout of labelled videos; all give `ClipRecord`s."""

import math
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from edgevid.errors import InputError
from edgevid_train.annotations import ego4d_fho, ego4d_goalstep, ego4d_lta, ego4d_moments
from edgevid_train.annotations.class_folders import read_class_folders
from edgevid_train.annotations.clips_csv import NAME as CLIPS_CSV
from edgevid_train.annotations.clips_csv import read_clips_csv
from edgevid_train.annotations.coin import TARGETS as COIN_TARGETS
from edgevid_train.annotations.coin import read_coin
from edgevid_train.annotations.epic import TARGETS as EPIC_TARGETS
from edgevid_train.annotations.epic import read_epic
from edgevid_train.annotations.file_names import read_file_names
from edgevid_train.annotations.hmdb51 import read_hmdb51
from edgevid_train.annotations.jester import read_jester
from edgevid_train.annotations.kinetics import read_kinetics
from edgevid_train.annotations.lists import read_lists
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord, label_fault
from edgevid_train.annotations.shards import names_shards, read_shards
from edgevid_train.annotations.ssv2 import read_ssv2
from edgevid_train.annotations.ucf101 import read_ucf101
from edgevid_train.storage import address_of, named, shown, sign_as

__all__ = ["FORMATS", "ClipRecord", "ReadOptions", "read_data", "tell"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a published data set is read.

    Attributes:
        read: `path` is the data folder or, where the layout has one, the annotation file.
        targets: kinds of labels to choose from with --target; the first is taken when none is given.
        columns: whether its annotations have columns, of which --group may name one.
        remote: whether it can be read from an address, where folders cannot be looked into.
    """

    read: Callable[[Path, ReadOptions, Say], list[ClipRecord]]
    targets: tuple[str, ...] = ()
    columns: bool = False
    remote: bool = False


def _clips(path: Path, options: ReadOptions, _: Say) -> list[ClipRecord]:
    is_folder = path.suffix.lower() != ".csv" if address_of(path) else path.is_dir()
    table = path / CLIPS_CSV if is_folder else path
    sign_as(table, path)
    return read_clips_csv(table, options.group)


def _folders(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    return read_class_folders(_folder(path), say)


def _names(path: Path, options: ReadOptions, _: Say) -> list[ClipRecord]:
    if options.label_pattern is None:
        raise InputError("--format names needs --label-pattern")
    return read_file_names(_folder(path), options.label_pattern)


FORMATS = {
    "clips": Layout(_clips, columns=True, remote=True),
    "folders": Layout(_folders),
    "names": Layout(_names),
    "shards": Layout(read_shards, columns=True, remote=True),
    "list": Layout(read_lists),
    "ego4d-lta": Layout(ego4d_lta.read_ego4d_lta, ego4d_lta.TARGETS),
    "ego4d-fho": Layout(ego4d_fho.read_ego4d_fho, ego4d_fho.TARGETS),
    "ego4d-moments": Layout(ego4d_moments.read_ego4d_moments, ego4d_moments.TARGETS),
    "ego4d-goalstep": Layout(ego4d_goalstep.read_ego4d_goalstep, ego4d_goalstep.TARGETS),
    "epic": Layout(read_epic, EPIC_TARGETS, columns=True),
    "ucf101": Layout(read_ucf101),
    "hmdb51": Layout(read_hmdb51),
    "kinetics": Layout(read_kinetics, columns=True),
    "ssv2": Layout(read_ssv2),
    "jester": Layout(read_jester),
    "coin": Layout(read_coin, COIN_TARGETS),
}
"""What --format may say."""


EVERYTHING = ReadOptions()


def tell(line: str) -> None:
    """Say it beside what a command prints."""
    print(f"edgevid: {line}", file=sys.stderr)


def read_data(path: Path, options: ReadOptions = EVERYTHING, say: Say = tell) -> list[ClipRecord]:
    """The records of a data folder, in the order of the annotations, each span once; at least one.

    Args:
        say: takes a line for everything that was left out, cut or guessed.

    Raises:
        InputError: no such folder, nothing labelled in it, an unknown format, class or target, malformed annotations.
    """
    path = named(str(path)) if address_of(path) else path
    if not path.exists() and address_of(path) is None and not names_shards(path):
        raise InputError(f"{path}: no such data folder")
    name = options.format or _guess(path, options)
    layout = _layout(name, options, path)
    target = options.target or next(iter(layout.targets), None)
    records = layout.read(path, replace(options, target=target), say)
    if not records:
        expected = f"{CLIPS_CSV}, one sub-folder per class, --label-pattern or --format" if not options.format else name
        raise InputError(f"{shown(path)}: no labelled videos; expected {expected}")
    records = _composed(records, say)
    classes = options.classes and tuple(normalize("NFC", name) for name in options.classes)
    for record in records:
        for label in record.labels:
            fault = label_fault(label)
            if fault is not None:
                raise InputError(f"{path}: {record.name!r}: {fault}")
    return _of_length(_keep(_each_once(records, say), classes, path), options, path, say)


def _composed(records: Sequence[ClipRecord], say: Say) -> list[ClipRecord]:
    """With each label in one form: a Mac writes `é` in names of folders as two characters."""
    composed = [replace(r, labels=tuple(dict.fromkeys(normalize("NFC", label) for label in r.labels))) for r in records]
    alike: dict[str, set[str]] = {}
    for label in {label for record in composed for label in record.labels}:
        alike.setdefault(label.casefold(), set()).add(label)
    for names in alike.values():
        if len(names) > 1:
            say(f"{' and '.join(map(repr, sorted(names)))} are different labels")
    return composed


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
    if names_shards(path) and not (path / CLIPS_CSV).is_file():
        return "shards"
    return "clips" if address_of(path) or path.is_file() or (path / CLIPS_CSV).is_file() else "folders"


def _layout(name: str, options: ReadOptions, path: Path) -> Layout:
    if name not in FORMATS:
        raise InputError(f"--format {name!r} is not one of {', '.join(FORMATS)}")
    layout = FORMATS[name]
    if address_of(path) and not layout.remote:
        having = " and ".join(name for name, layout in FORMATS.items() if layout.remote)
        raise InputError(f"{shown(path)}: format {name} is read from folders; at addresses there are {having}")
    if options.label_pattern is not None and name != "names":
        raise InputError(f"--label-pattern is for --format names, not for {name}")
    if options.group is not None and not layout.columns:
        having = ", ".join(name for name, layout in FORMATS.items() if layout.columns)
        raise InputError(f"--group names a column of {CLIPS_CSV}; {path} has none (formats with columns: {having})")
    if options.target is not None and options.target not in layout.targets:
        choice = f"takes {', '.join(layout.targets)}" if layout.targets else "has labels of one kind only"
        raise InputError(f"--target {options.target!r}: format {name} {choice}")
    return layout


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is not a folder")
    return path


def _each_once(records: Sequence[ClipRecord], say: Say) -> list[ClipRecord]:
    """Spans that are annotated several times become one record, with all their labels."""
    once: dict[tuple[Path, float, float | None], ClipRecord] = {}
    for record in records:
        key = (record.file, record.start_s, record.end_s)
        before = once.setdefault(key, record)
        once[key] = replace(before, labels=tuple(dict.fromkeys((*before.labels, *record.labels))))
    if len(once) < len(records):
        say(f"{plural(len(records) - len(once), 'annotation')} of a span that has one already: their labels are joined")
    several = sum(len(record.labels) > 1 for record in once.values())
    if several:
        say(f"{plural(several, 'clip')} with more than one label")
    return list(once.values())


def _keep(records: list[ClipRecord], classes: Collection[str] | None, path: Path) -> list[ClipRecord]:
    """Those with at least one label of `classes`, and of their labels those."""
    if classes is None:
        return records
    known = {label for record in records for label in record.labels}
    for label in classes:
        if label not in known:
            shown = sorted(known)[:20]
            more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
            raise InputError(f"--classes: {path} has no label {label!r}; it has {', '.join(shown)}{more}")
    kept = [(record, tuple(label for label in record.labels if label in classes)) for record in records]
    return [replace(record, labels=labels) for record, labels in kept if labels]


def _of_length(records: list[ClipRecord], options: ReadOptions, path: Path, say: Say) -> list[ClipRecord]:
    if options.min_clip_s is None and options.max_clip_s is None:
        return records
    least_s = options.min_clip_s or 0.0
    most_s = math.inf if options.max_clip_s is None else options.max_clip_s
    if least_s > most_s:
        raise InputError(f"--min-clip-s {least_s:g} is more than --max-clip-s {most_s:g}")
    kept = [record for record in records if record.seconds is None or least_s <= record.seconds <= most_s]
    if not kept:
        raise InputError(f"--min-clip-s, --max-clip-s: none of the {len(records)} clips of {path} is that long")
    if len(kept) < len(records):
        say(f"{plural(len(records) - len(kept), 'clip')} left out: shorter or longer than asked for")
    unknown = sum(record.seconds is None for record in kept)
    if unknown:
        say(f"{plural(unknown, 'clip')} kept whose annotation does not say how long they are")
    return kept
