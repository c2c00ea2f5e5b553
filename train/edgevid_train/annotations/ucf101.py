"""UCF101: `classInd.txt` (from 1), `trainlist01.txt` with numbers, `testlist01.txt` without; three official splits.

Videos are called `v_ApplyEyeMakeup_g08_c01.avi`; those of one class and `gNN` were cut from one recording.
"""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import shown
from edgevid_train.annotations.media import annotation_files, beside, find_media, located
from edgevid_train.annotations.reading import ReadOptions, Say
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_lines

_LIST = re.compile(r"(?P<split>train|test)list(?P<number>\d\d)\.txt")
_VIDEO = re.compile(r"(?P<group>v_(?P<label>\w+)_g\d+)_c\d+")


def read_ucf101(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    """One official split, both sides: the first, or that of the list which `path` is.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, ["trainlist??.txt", "testlist??.txt"])
    named = [match for file in files if (match := _LIST.fullmatch(file.name))]
    if not named:
        raise InputError(f"{path}: a list of UCF101 is called trainlist01.txt or testlist01.txt")
    number = min(match["number"] for match in named)
    others = sorted({match["number"] for match in named} - {number})
    if others:
        say(f"split {number} is taken; give trainlist{others[0]}.txt for another")
    classes = _classes(files[0], root)
    lines = [
        (split, f"{file}: row {row}", line)
        for split in ("train", "test")
        if (file := files[0].with_name(f"{split}list{number}.txt")).is_file()
        for row, line in read_lines(file)
    ]
    videos = [(split, where, *_parts(line, where, classes)) for split, where, line in lines]
    media = find_media(root, {Path(given).stem for _, _, given, _, _ in videos})
    records = []
    for split, where, given, label, group in videos:
        file, name = located(root, media.get(Path(given).stem), given, where, "path")
        records.append(ClipRecord(file, name, (label,), group, split=split))
    return records


def _classes(list_file: Path, root: Path) -> dict[int, str] | None:
    path = beside(list_file, root, "classInd.txt")
    if path is None:
        return None
    classes = {}
    for row, line in read_lines(path):
        number, _, label = line.partition(" ")
        if not (number.isascii() and number.isdecimal() and len(number) < 10 and label.strip()):
            raise InputError(f"{path}: row {row}: expected a number and a label, found {shown(line)}")
        classes[int(number)] = label.strip()
    return classes


def _parts(line: str, where: str, classes: dict[int, str] | None) -> tuple[str, str, str]:
    """Path, label and group. Raises InputError when name and number do not say the same label."""
    given, _, number = line.rpartition(" ")
    if not (number.isascii() and number.isdecimal()):
        given, number = line, ""
    match = _VIDEO.fullmatch(Path(given.strip()).stem)
    if match is None:
        raise InputError(f"{where}: field 'path': {shown(line)} is not called like v_ApplyEyeMakeup_g08_c01.avi")
    label = match["label"]
    if classes is not None and _plain(label) not in map(_plain, classes.values()):
        raise InputError(f"{where}: field 'path': label {shown(label)} is outside the taxonomy, classInd.txt")
    if number and classes is not None and _plain(classes.get(int(number[:9]), "")) != _plain(label):
        raise InputError(f"{where}: field 'label': {number} is not the number of {shown(label)} in classInd.txt")
    return given.strip(), label, match["group"]


def _plain(label: str) -> str:
    """The class HandstandPushups has videos called v_HandStandPushups_…"""
    return label.lower()
