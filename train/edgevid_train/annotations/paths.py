"""Where the videos of a data folder are."""

import os
import unicodedata
from pathlib import Path

from edgevid.errors import InputError

VIDEO_ENDINGS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv"})


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


def videos_below(folder: Path) -> list[Path]:
    """Video files below `folder`, by their ending, hidden ones left out, in the order of their names."""
    found = []
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in VIDEO_ENDINGS and path.is_file():
            found.append(path)
    return sorted(found)
