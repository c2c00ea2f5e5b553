"""What a student's eyes saw, kept on disk: looking takes far longer than the lesson that is learned from it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgevid.errors import InputError
from edgevid.files import replacing
from edgevid_train.npz import NpzError, read_npz
from edgevid_train.samples.sights import SeenClip

_BY_STEP = ("what", "places", "pointing", "since_s")
_BY_VIEW = ("length_s", "label", "before", "after", "hold")


def write_seen(path: Path, seen: Sequence[SeenClip]) -> None:
    """Keep these views, in this order. Raises InputError: the disk is full or the place cannot be written."""
    columns = {name: np.concatenate([getattr(one, name) for one in seen]) for name in _BY_STEP}
    columns |= {name: np.array([getattr(one, name) for one in seen]) for name in _BY_VIEW}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, steps=np.array([len(one.since_s) for one in seen]), **columns)


def read_seen(path: Path) -> list[SeenClip]:
    """The views that `write_seen` kept. Raises InputError: the file is none of its."""
    try:
        stored = read_npz(path)
        ends = stored["steps"].cumsum()[:-1]
        by_step = [np.split(stored[name], ends) for name in _BY_STEP]
        by_view = [stored[name].tolist() for name in _BY_VIEW]
    except (OSError, NpzError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged, delete it: {error}") from None
    return [SeenClip(*of_view) for of_view in zip(*by_step, *by_view, strict=True)]
