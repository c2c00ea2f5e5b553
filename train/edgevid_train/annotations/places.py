"""Where a hand points in each frame of a clip, for data that knows it: `places.npz` beside clips.csv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError, first_line
from edgevid.files import replacing
from edgevid_train.npz import NpzError, read_npz

FILE = "places.npz"
Places = NDArray[np.float32]
"""float32 `(T, 2)`: x and y in 0..1 of the picture for every frame of a file, NaN where nothing points."""


def write_places(folder: Path, places: Mapping[str, Places]) -> None:
    """Write `places`, by name of the video relative to `folder`. The same places give the same bytes."""
    arrays: Any = places
    with replacing(folder / FILE) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_places(folder: Path) -> dict[Path, Places]:
    """The places of every video in a data folder, by file; empty where the folder has none.

    Raises:
        InputError: `places.npz` is damaged, or a place is not a pair for each frame.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        places = {name: np.asarray(values, np.float32) for name, values in read_npz(path).items()}
    except (OSError, NpzError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {first_line(error)}") from None
    for name, values in places.items():
        if values.ndim != 2 or values.shape[1] != 2:
            raise InputError(f"{path}: {name!r} is {values.shape}, not (frames, 2)")
    return {folder / name: values for name, values in places.items()}
