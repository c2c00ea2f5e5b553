"""`edgevid data index`: the indices of all videos of a folder, made before training asks for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.errors import InputError
from edgevid.sources.opening import open_source
from edgevid_train.annotations.paths import videos_below
from edgevid_train.decode import IndexStore


@dataclass
class Indexed:
    """What was found. `from_start`: files that cannot be sought in; `built`: indices that were not there before."""

    files: int = 0
    built: int = 0
    frames: int = 0
    keyframes: int = 0
    seconds: float = 0.0
    decoded: int = 0
    from_start: list[str] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def videos_in(path: Path) -> list[Path]:
    """The videos of a folder, or a file itself. Raises InputError when there are none."""
    found = [path] if path.is_file() else videos_below(path) if path.is_dir() else []
    if not found:
        raise InputError(f"{path}: {'no videos' if path.exists() else 'no such file or folder'}")
    return found


def index_videos(
    files: Sequence[Path], indexes: IndexStore, *, decode: bool, on_file: Callable[[], None] = lambda: None
) -> Indexed:
    """Index every file. With `decode` also decode every frame once, so that training needs not do so to trust them.

    Files that cannot be indexed or decoded to their end are named with their reason.

    Raises:
        InputError: the cache folder cannot be written to.
    """
    found = Indexed(files=len(files))
    for file in files:
        try:
            index = indexes.get(file)
            if index.fault is not None:
                raise InputError(index.fault)
            found.frames += len(index.times_s)
            found.keyframes += len(index.key_pts)
            found.seconds += float(index.times_s[-1])
            if not index.seekable:
                found.from_start.append(str(file))
            if decode:
                _decode(file, indexes)
            found.decoded += int(indexes.get(file).decoded.sum())
        except InputError as error:
            found.unreadable.append({"file": str(file), "reason": str(error).removeprefix(f"{file}: ")})
        if indexes.unwritable is not None:
            raise InputError(indexes.unwritable)
        on_file()
    found.built = indexes.built
    return found


def _decode(file: Path, indexes: IndexStore) -> None:
    """Mark the frames of a file as decoded. Raises InputError when others come than its packets promise."""
    index = indexes.get(file)
    if index.decoded.all():
        return
    with open_source(file, short_side=16, pace="fast") as source:
        times_s = np.array([frame.time_s for frame in source], np.float64)
    if source.fault is not None:
        raise InputError(source.fault)
    if not np.array_equal(times_s, index.times_s):
        raise InputError(f"{len(times_s)} of {len(index.times_s)} frames can be decoded")
    indexes.mark_decoded(file, [slice(0, len(times_s))])
