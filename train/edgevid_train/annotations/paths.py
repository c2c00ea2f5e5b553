"""Where the videos of a data folder are."""

import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from edgevid.errors import InputError

VIDEO_ENDINGS = frozenset(
    {
        *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv"),
        *(".3gp", ".3g2", ".asf", ".flv", ".m2ts", ".mts", ".mxf", ".ogv", ".vob"),
    }
)


LONGEST_NAME = 255
"""Bytes that file systems allow in the name of a file or folder."""


def inside(root: Path, name: str, where: str, field: str = "file") -> tuple[Path, str]:
    """`name` in the data folder `root`: the file, and its name with forward slashes.

    Raises:
        InputError: it cannot be a file's name, or the path leads out of the folder; an annotation file must not be able
            to name any file of the machine. (Links that the person has put into the folder are followed.)
    """
    normal = os.path.normpath(name.replace("\\", "/"))
    if Path(normal).is_absolute():
        normal = os.path.relpath(normal, root.absolute())
    longest = max(len(part.encode(errors="replace")) for part in normal.split("/"))
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name) or longest > LONGEST_NAME:
        shown = ascii(name) if len(name) <= 60 else f"{ascii(name)[:57]}..."
        raise InputError(f"{where}: field {field!r}: {shown} cannot be a file's name")
    if Path(normal).is_absolute() or normal.split("/")[0] in ("..", "."):
        raise InputError(f"{where}: field {field!r}: {name!r} is not inside the data folder")
    return root / normal, normal


def videos_below(folder: Path, other: Callable[[Path], None] = lambda _: None) -> list[Path]:
    """Video files below `folder`, by their ending, hidden ones left out, in the order of their names.

    Links to folders are followed, but never back to where they come from: people keep the videos elsewhere. `other` is
    told every other file.

    Raises:
        InputError: a folder cannot be looked into, or a video's name cannot be printed, as every report would have to.
    """
    found = []
    for path in files_below(folder):
        if path.suffix.lower() in VIDEO_ENDINGS:
            name = path.relative_to(folder).as_posix()
            if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
                shown = ascii(name) if len(name) <= 60 else f"{name[:57]!a}..."
                raise InputError(f"{folder}: {shown} holds characters that cannot be printed; rename it")
            found.append(path)
        else:
            other(path)
    return sorted(found)


def files_below(folder: Path) -> Iterator[Path]:
    """Files below `folder` that are not hidden, nor in a hidden folder. Raises InputError as `videos_below`."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename!a}: {error.strerror or error}")

    root = Path(os.path.realpath(folder))
    came_by = {folder: {root}}
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        above = came_by.pop(Path(place))
        inner = {name: Path(os.path.realpath(Path(place, name))) for name in folders if not name.startswith(".")}
        folders[:] = [
            name for name, real in inner.items() if real not in above and not _met(Path(place, name), real, root)
        ]
        came_by |= {Path(place, name): {*above, inner[name]} for name in folders}
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _met(path: Path, real: Path, root: Path) -> bool:
    """Whether a link leads to what is found below `root` anyway."""
    inside_it = path.is_symlink() and real.is_relative_to(root)
    return inside_it and not any(part.startswith(".") for part in real.relative_to(root).parts)
