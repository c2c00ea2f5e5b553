"""Indices of files, kept on disk between runs and shared by all processes; bounded, and rebuilt when in doubt."""

import threading
from collections import OrderedDict
from pathlib import Path

import av
import numpy as np

from edgevid_train.decode.index import FrameIndex, read_index
from edgevid_train.decode.turns import Turns
from edgevid_train.storage import BoundedArrays, BoundedFolder, absolute, cache_folder, stamp_of

MAX_BYTES = 256 << 20
"""Of the index folder; 17 bytes a frame, so more than a hundred hours of video at 30 frames a second."""
_MEMORY_BYTES = 64 << 20
_VERSION = 2
_ARRAYS = ("times_s", "pts", "key_pts", "key_dts", "decoded")


class IndexStore:
    """One file per video, named by its path, valid for its size, its time of change and this FFmpeg.

    Safe with many threads and processes: entries appear by renaming, and whoever finds none, or a damaged one, makes
    it again, one thread for all of its process. A folder that cannot be written to is no fault: indices are then made
    again by the next run, and `unwritable` says why. `built` counts the indices made here.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.folder = BoundedFolder((folder or cache_folder()) / "index", max_bytes)
        self.built = 0
        self._arrays = BoundedArrays(self.folder)
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[str, FrameIndex]] = OrderedDict()
        self._kept_bytes = 0
        self._turns = Turns()

    @property
    def unwritable(self) -> str | None:
        return self._arrays.unwritable

    def get(self, file: Path) -> FrameIndex:
        """The index of a file as it is now. Raises InputError as `read_index`."""
        stamp = _stamp(file)
        with self._turns.turn(file):
            with self._lock:
                kept = self._kept.get(file)
                if kept is not None and kept[0] == stamp:
                    self._kept.move_to_end(file)
                    return kept[1]
            return self._find(file, stamp)

    def mark_decoded(self, file: Path, spans: list[slice]) -> None:
        """Remember that these frames of a file were decoded. Raises InputError as `read_index`."""
        stamp, index = _stamp(file), self.get(file)
        marked = index
        for span in spans:
            marked = marked.marked(span)
        if not np.array_equal(marked.decoded, index.decoded):
            self._save(file, stamp, marked)
            self._keep(file, stamp, marked)

    def _find(self, file: Path, stamp: str) -> FrameIndex:
        """From the disk, or made anew. Raises InputError as `read_index`."""
        index = self._load(file, stamp)
        if index is None:
            index = read_index(file)
            with self._lock:
                self.built += 1
            self._save(file, stamp, index)
        self._keep(file, stamp, index)
        return index

    def _keep(self, file: Path, stamp: str, index: FrameIndex) -> None:
        with self._lock:
            if file in self._kept:
                self._kept_bytes -= self._kept.pop(file)[1].nbytes
            self._kept[file] = (stamp, index)
            self._kept_bytes += index.nbytes
            while self._kept_bytes > _MEMORY_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1][1].nbytes

    def _save(self, file: Path, stamp: str, index: FrameIndex) -> None:
        arrays = {name: getattr(index, name) for name in _ARRAYS}
        self._arrays.write(_key(file), stamp, arrays, fault=index.fault)

    def _load(self, file: Path, stamp: str) -> FrameIndex | None:
        """None where there is no entry, or a damaged one, or one of another file or time."""
        index = self._arrays.read(
            _key(file),
            stamp,
            lambda arrays, about: FrameIndex(**{name: arrays[name] for name in _ARRAYS}, fault=about["fault"]),
        )
        if index is not None:
            self._arrays.used(_key(file))
        return index


def _key(file: Path) -> str:
    return str(absolute(file))


def _stamp(file: Path) -> str:
    """What an index is valid for; of a file that is not there, what no index has."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    stamp = stamp_of(file)
    return f"{_VERSION} {stamp} libavcodec {codec}" if stamp else ""
