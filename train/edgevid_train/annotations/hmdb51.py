"""HMDB51: a list a class and split, `brush_hair_test_split1.txt`, whose lines end in 0 (unused), 1 (train) or 2 (test).

Videos are called `SOURCE_brush_hair_…_0.avi`; those of one source were cut from one film.
"""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import shown
from edgevid_train.annotations.media import annotation_files, find_media, located
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_lines

_LIST = re.compile(r"(?P<label>.+)_test_split(?P<number>\d)\.txt")
_SPLITS = {"0": None, "1": "train", "2": "test"}


def read_hmdb51(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    """One official split of all classes: the first, or that of the list which `path` is.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, ["*_test_split?.txt"])
    named = [match for file in files if (match := _LIST.fullmatch(file.name))]
    if not named:
        raise InputError(f"{path}: a list of HMDB51 is called brush_hair_test_split1.txt")
    number = min(match["number"] for match in named)
    others = sorted({match["number"] for match in named} - {number})
    if others:
        say(f"split {number} is taken; give {named[0]['label']}_test_split{others[0]}.txt for another")
    unused = 0
    videos = []
    for file in sorted(files[0].parent.glob(f"*_test_split{number}.txt")):
        label = file.name.removesuffix(f"_test_split{number}.txt")
        for row, line in read_lines(file):
            where = f"{file}: row {row}"
            given, mark = line[:-1], line[-1]
            if mark not in _SPLITS or not given.strip() or given == given.rstrip():
                raise InputError(f"{where}: expected a video and 0, 1 or 2, found {shown(line)}")
            split = _SPLITS[mark]
            unused += split is None
            if split is not None:
                videos.append((where, given.strip(), label, split))
    if unused:
        say(f"{plural(unused, 'video')} left out: neither to train nor to test on in split {number}")
    media = find_media(root, {Path(given).stem for _, given, _, _ in videos})
    records = []
    for where, given, label, split in videos:
        video, name = located(root, media.get(Path(given).stem), f"{label}/{given}", where, "video")
        source = given.split(f"_{label}_")[0]
        records.append(ClipRecord(video, name, (label,), source, split=split))
    return records
