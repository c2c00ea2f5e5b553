"""Where the annotations and the videos of a published data set lie below a folder."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.paths import VIDEO_ENDINGS, inside

DEEPEST = 5
"""Folders below the data folder in which media are looked for."""

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What data sets call their splits -> what a `ClipRecord` calls them."""

_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})(?![a-z])")
_ANNOTATIONS = ("annotations", "labels", "ucfTrainTestlist", "testTrainMulti_7030_splits")


def split_in(name: str) -> str | None:
    """`train`, `val` or `test`, as in `EPIC_100_validation.csv`; None where a file's name has no such word."""
    found = _SPLIT.search(name.lower())
    return SPLIT_NAMES[found[1]] if found else None


def annotation_files(path: Path, patterns: Sequence[str], but: Sequence[str] = ()) -> tuple[Path, list[Path]]:
    """The data folder, and the annotation files that match any of `patterns` and none of `but`, by name.

    `path` is one of these files (then no other is read), or the data folder: the files lie in it, in a folder called
    `annotations` or the like, or in any other one or two levels down; those of the first folder that has some.

    Raises:
        InputError: there are none.
    """
    if path.is_file():
        folder = path.parent
        return (folder.parent if folder.name in _ANNOTATIONS else folder), [path]
    for folder in _folders(path) if path.is_dir() else ():
        found = sorted(file for pattern in patterns for file in folder.glob(pattern) if file.is_file())
        found = [file for file in found if not any(fnmatch(file.name, pattern) for pattern in but)]
        if found:
            return path, sorted(set(found))
    raise InputError(f"{path}: no {' or '.join(patterns)} in it or one or two folders below")


def beside(annotations: Path, root: Path, *names: str) -> Path | None:
    """The first of `names` that lies in the annotations' folder, in the data folder, or just above the latter."""
    for folder in (annotations.parent, root, root.parent):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def find_media(root: Path, names: Collection[str]) -> dict[str, Path]:
    """Videos, and folders of images or of a video's chunks, below `root` that bear one of `names`, an ending apart.

    Where several do, videos come before folders, then the first in the order of paths: `full_scale` before
    `video_540ss`. A folder found is not looked into, nor are hidden folders and those of optical flow.
    """
    found: dict[str, Path] = {}
    wanted = set(names)
    for folder, below, files in os.walk(root, followlinks=True):
        here = Path(folder)
        taken = {name for name in below if _stem(name) in wanted}
        deeper = here == root or len(here.relative_to(root).parts) < DEEPEST
        below[:] = sorted(n for n in below if deeper and n not in taken and not n.startswith((".", "flow")))
        for name in sorted(files):
            stem = _stem(name)
            if stem != name and stem in wanted:
                before = found.get(stem)
                if before is None or before.is_dir():
                    found[stem] = here / name
        for name in sorted(taken):
            found.setdefault(_stem(name), here / name)
    return found


def located(root: Path, found: Path | None, expected: str, where: str, field: str) -> tuple[Path, str]:
    """A media file and its name relative to the data folder: the one found, else where it is expected.

    Raises:
        InputError: `expected`, made of what an annotation says, leads out of the data folder.
    """
    file, name = inside(root, expected, where, field)
    return (file, name) if found is None else (found, found.relative_to(root).as_posix())


def within_video(
    start_s: float, end_s: float, last_s: float | None, counts: Counter[str]
) -> tuple[float, float] | None:
    """A span as far as its video goes, which ends at `last_s` if that is known; None where the span begins beyond it.

    Spans that are cut, or left out, are counted by what is to be said of them.
    """
    if last_s is not None and start_s >= last_s:
        counts["beyond the end of their video, left out"] += 1
        return None
    if last_s is not None and end_s > last_s:
        counts["reaching past the end of their video, cut to it"] += 1
        end_s = last_s
    return start_s, end_s


def holds_images(file: Path) -> bool:
    """Whether a media file is a folder of images; one of a video's chunks is called like a video."""
    return file.suffix.lower() not in VIDEO_ENDINGS and file.is_dir()


def _stem(name: str) -> str:
    """`UID` of a video, or a folder of chunks, called `UID.mp4`; other names as they are."""
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending.lower()}" in VIDEO_ENDINGS else name


def _folders(root: Path) -> Iterator[Path]:
    yield root
    yield from (root / name for name in _ANNOTATIONS if (root / name).is_dir())
    below = sorted(folder for folder in root.iterdir() if folder.is_dir())
    yield from (folder / name for folder in below for name in _ANNOTATIONS if (folder / name).is_dir())
    yield from below
