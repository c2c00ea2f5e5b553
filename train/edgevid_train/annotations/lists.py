"""Lists as SlowFast and VideoMAE read them: a line is `path label` or `path n label`, `n` being a number of frames."""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import shown
from edgevid_train.annotations.media import annotation_files, beside, split_in
from edgevid_train.annotations.paths import VIDEO_ENDINGS, inside
from edgevid_train.annotations.reading import ReadOptions, Say
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_lines

LISTS = tuple(f"{split}{end}" for split in ("train*", "val*", "test*") for end in (".csv", ".txt", ".list"))
NAMES = ("labels.txt", "classes.txt", "label_map.txt")
RATE_HZ = 30.0
"""Of folders of images: the lists do not say it, and most were made of videos at this rate."""

_LABEL = re.compile(r"(?P<rest>.*\S)[\s,]+(?P<label>\S+)")
_QUOTED = re.compile(r'(["\'])(?P<path>.+?)\1(?:[\s,]+(?P<n>\d+))?')
_COUNTED = re.compile(r"(?P<path>.*\S)[\s,]+(?P<n>\d+)")


def read_lists(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    """`train.csv`, `val.txt`, … whose lines are split from the right, so that paths may hold spaces.

    Labels are numbers from 0; a file `labels.txt` beside the lists, one name a line, gives them names. A path is
    relative to the data folder or lies in it; one that ends in a number of its own (`clip 12`) needs quotes.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, LISTS, but=NAMES)
    names_file = beside(files[0], root, *NAMES)
    names = None if names_file is None else _names_in(names_file)
    if names is None:
        say(f"no {NAMES[0]} beside {files[0].name}: labels are numbers")
    records = []
    images = False
    for list_file in files:
        split = split_in(list_file.name)
        for number, line in read_lines(list_file):
            where = f"{list_file}: row {number}"
            given, label = _parts(line, where)
            file, name = inside(root, given, where, "path")
            is_video = file.suffix.lower() in VIDEO_ENDINGS
            images = images or not is_video
            rate_hz = None if is_video else RATE_HZ
            records.append(ClipRecord(file, name, (_name(label, names, where),), name, split=split, rate_hz=rate_hz))
    if images:
        say(f"folders of images are taken to hold {RATE_HZ:g} a second")
    return records


def _names_in(file: Path) -> list[str]:
    lines = read_lines(file)
    for place, (number, _) in enumerate(lines, start=1):
        if number != place:
            raise InputError(f"{file}: row {place} is empty: a label's number is its row, so none may be left out")
    return [name for _, name in lines]


def _parts(line: str, where: str) -> tuple[str, str]:
    """Path and label."""
    whole = _LABEL.fullmatch(line)
    if whole is None:
        raise InputError(f"{where}: field 'label' is missing; expected: path label, or: path n label")
    rest = whole["rest"].rstrip(" ,\t")
    quoted = _QUOTED.fullmatch(rest)
    if quoted is None and rest[:1] in ('"', "'"):
        raise InputError(f"{where}: field 'path': the quote is not closed")
    match = quoted or _COUNTED.fullmatch(rest)
    return (match["path"].rstrip(" ,\t") if match else rest), whole["label"]


def _name(label: str, names: list[str] | None, where: str) -> str:
    if not (label.isascii() and label.isdecimal() and len(label) < 10):
        raise InputError(f"{where}: field 'label': {shown(label)} is not a number from 0 on")
    if names is None:
        return str(int(label))
    if int(label) >= len(names):
        raise InputError(f"{where}: field 'label': {int(label)} is outside the taxonomy, which has {len(names)} labels")
    return names[int(label)]
