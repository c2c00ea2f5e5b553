"""Where the videos of a data folder are."""

import os
from pathlib import Path

from edgevid.errors import InputError

VIDEO_ENDINGS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv"})


def inside(root: Path, name: str, where: str) -> tuple[Path, str]:
    """`name` in the data folder `root`: the file, and its name with forward slashes.

    Raises:
        InputError: the path is absolute or leads out of the folder by `..`; an annotation file must not be able to
            name any file of the machine. (Links that the person has put into the folder are followed.)
    """
    normal = os.path.normpath(name.replace("\\", "/"))
    if "\0" in name or Path(normal).is_absolute() or normal.split("/")[0] in ("..", "."):
        raise InputError(f"{where}: field 'file': {name!r} is not inside the data folder")
    return root / normal, normal


def videos_below(folder: Path) -> list[Path]:
    """Video files below `folder`, by their ending, hidden ones left out, in the order of their names."""
    found = []
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in VIDEO_ENDINGS and path.is_file():
            found.append(path)
    return sorted(found)
