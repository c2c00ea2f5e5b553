"""Indices of files, kept on disk between runs and shared by all processes; bounded, and rebuilt when in doubt."""

import json
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path

import av
import numpy as np

from edgevid.errors import InputError
from edgevid_train.decode.index import FrameIndex, read_index
from edgevid_train.storage import BoundedFolder, absolute, cache_folder, stamp_of

MAX_BYTES = 256 << 20
"""Of the index folder; 17 bytes a frame, so more than a hundred hours of video at 30 frames a second."""
_MEMORY_BYTES = 64 << 20
_VERSION = 1
_ARRAYS = ("times_s", "pts", "key_pts", "key_dts", "decoded")
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile)
"""What reading a damaged entry raises."""


class IndexStore:
    """One file per video, named by its path, valid for its size, its time of change and this FFmpeg.

    Safe with many threads and processes: entries appear by renaming, and whoever finds none, or a damaged one, makes
    it again. A folder that cannot be written to is no fault: indices are then made again by the next run, and
    `unwritable` says why. `built` counts the indices made here.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.folder = BoundedFolder((folder or cache_folder()) / "index", max_bytes)
        self.built = 0
        self.unwritable: str | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[str, FrameIndex]] = OrderedDict()
        self._kept_bytes = 0

    def get(self, file: Path) -> FrameIndex:
        """The index of a file as it is now. Raises InputError as `read_index`."""
        stamp = _stamp(file)
        with self._lock:
            kept = self._kept.get(file)
            if kept is not None and kept[0] == stamp:
                self._kept.move_to_end(file)
                return kept[1]
        index = self._load(self._entry(file), stamp)
        if index is None:
            index = read_index(file)
            self.built += 1
            self._save(file, stamp, index)
        self._keep(file, stamp, index)
        return index

    def mark_decoded(self, file: Path, spans: list[slice]) -> None:
        """Remember that these frames of a file were decoded. Raises InputError as `read_index`."""
        stamp, index = _stamp(file), self.get(file)
        marked = index
        for span in spans:
            marked = marked.marked(span)
        if not np.array_equal(marked.decoded, index.decoded):
            self._save(file, stamp, marked)
            self._keep(file, stamp, marked)

    def _entry(self, file: Path) -> Path:
        return self.folder.entry(str(absolute(file)), ".npz")

    def _keep(self, file: Path, stamp: str, index: FrameIndex) -> None:
        with self._lock:
            if file in self._kept:
                self._kept_bytes -= self._kept.pop(file)[1].nbytes
            self._kept[file] = (stamp, index)
            self._kept_bytes += index.nbytes
            while self._kept_bytes > _MEMORY_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1][1].nbytes

    def _save(self, file: Path, stamp: str, index: FrameIndex) -> None:
        about = json.dumps({"stamp": stamp, "fault": index.fault}).encode()
        arrays = {name: getattr(index, name) for name in _ARRAYS}
        try:
            with self.folder.writing(self._entry(file)) as temporary:
                np.savez(temporary, allow_pickle=False, about=np.frombuffer(about, np.uint8), **arrays)
        except InputError as error:
            self.unwritable = str(error)

    def _load(self, entry: Path, stamp: str) -> FrameIndex | None:
        """None where there is no entry, or a damaged one, or one of another file or time."""
        try:
            with np.load(entry, allow_pickle=False) as arrays:
                about = json.loads(bytes(arrays["about"]))
                if about["stamp"] != stamp:
                    return None
                index = FrameIndex(**{name: arrays[name] for name in _ARRAYS}, fault=about["fault"])
        except _UNREADABLE:
            return None
        self.folder.used(entry)
        return index


def _stamp(file: Path) -> str:
    """What an index is valid for; of a file that is not there, what no index has."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    stamp = stamp_of(file)
    return f"{_VERSION} {stamp} libavcodec {codec}" if stamp else ""
