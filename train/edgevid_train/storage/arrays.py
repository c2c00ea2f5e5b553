"""Arrays in the bounded folder of a cache: numpy's own files, uncompressed, with what is known about them as JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid_train.npz import UNREADABLE
from edgevid_train.storage.bounded import BoundedFolder

Arrays = dict[str, NDArray[Any]]
Made = TypeVar("Made")


class BoundedArrays:
    """One file for each key, valid for a stamp. Bounded, and safe with many threads and processes, as the folder is.

    A damaged entry, or one with another stamp, is none. A folder that cannot be written to is no fault: `unwritable`
    says why.
    """

    def __init__(self, folder: BoundedFolder) -> None:
        self.folder = folder
        self.unwritable: str | None = None

    def read(self, key: str, stamp: str, make: Callable[[Arrays, Mapping[str, Any]], Made]) -> Made | None:
        """What `make` makes of an entry's arrays and what is known about them, or None where there is no such entry."""
        try:
            with np.load(self.folder.entry(key, ".npz"), allow_pickle=False) as arrays:
                about = json.loads(bytes(arrays["about"]))
                if about["stamp"] != stamp:
                    return None
                return make({name: arrays[name] for name in arrays.files if name != "about"}, about)
        except (*UNREADABLE, SystemError):  # the last by CPython 3.11, whose parser several threads confuse (gh-106905)
            return None

    def used(self, key: str) -> None:
        """It was of use now, and goes last."""
        self.folder.used(self.folder.entry(key, ".npz"))

    def write(self, key: str, stamp: str, arrays: Mapping[str, NDArray[Any]], **about: object) -> bool:
        """Whether it could be written."""
        told = np.frombuffer(json.dumps({"stamp": stamp, **about}).encode(), np.uint8)
        try:
            with self.folder.writing(self.folder.entry(key, ".npz")) as temporary:
                np.savez(temporary, allow_pickle=False, about=told, **arrays)
        except InputError as error:
            self.unwritable = str(error)
            return False
        return True
