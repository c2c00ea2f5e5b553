"""Indices of files, kept on disk between runs and shared by all processes; bounded, and rebuilt when in doubt."""

import contextlib
import hashlib
import json
import os
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path

import av
import numpy as np

from edgevid.errors import InputError
from edgevid.files import replacing
from edgevid_train.decode.index import FrameIndex, read_index

CACHE_SETTING = "EDGEVID_CACHE"
"""Environment variable that names the cache folder."""
MAX_BYTES = 256 << 20
"""Of the index folder; 17 bytes a frame, so more than a hundred hours of video at 30 frames a second."""
_MEMORY_BYTES = 64 << 20
_WRITES_BETWEEN_PRUNINGS = 256
_VERSION = 1
_ARRAYS = ("times_s", "pts", "key_pts", "key_dts", "decoded")
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile)
"""What reading a damaged entry raises."""


def cache_folder() -> Path:
    """`$EDGEVID_CACHE`, else `edgevid` in the user's cache folder (XDG Base Directory Specification)."""
    if named := os.environ.get(CACHE_SETTING):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevid"


class IndexStore:
    """One file per video, named by its path, valid for its size, its time of change and this FFmpeg.

    Safe with many threads and processes: entries appear by renaming, and whoever finds none, or a damaged one, makes
    it again. A folder that cannot be written to is no fault: indices are then made again by the next run, and
    `unwritable` says why. `built` counts the indices made here.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self.folder = (folder or cache_folder()) / "index"
        self.max_bytes = max_bytes
        self.built = 0
        self.unwritable: str | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[str, FrameIndex]] = OrderedDict()
        self._kept_bytes = 0
        self._writes = 0

    def get(self, file: Path) -> FrameIndex:
        """The index of a file as it is now. Raises InputError as `read_index`."""
        stamp = _stamp(file)
        with self._lock:
            kept = self._kept.get(file)
            if kept is not None and kept[0] == stamp:
                self._kept.move_to_end(file)
                return kept[1]
        index = _load(self._entry(file), stamp)
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
        return self.folder / f"{hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:32]}.npz"

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
            with replacing(self._entry(file)) as temporary, temporary.open("wb") as out:
                np.savez(out, about=np.frombuffer(about, np.uint8), **arrays)
        except InputError as error:
            self.unwritable = str(error)
            return
        with self._lock:
            due = self._writes % _WRITES_BETWEEN_PRUNINGS == 0
            self._writes += 1
        if due:
            _prune(self.folder, self.max_bytes)


def _stamp(file: Path) -> str:
    """What an index is valid for; of a file that is not there, what no index has."""
    try:
        status = file.stat()
    except OSError:
        return ""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"{_VERSION} {file.absolute()} {status.st_size} {status.st_mtime_ns} libavcodec {codec}"


def _load(entry: Path, stamp: str) -> FrameIndex | None:
    """None where there is no entry, or a damaged one, or one of another file or time."""
    try:
        with np.load(entry, allow_pickle=False) as arrays:
            about = json.loads(bytes(arrays["about"]))
            if about["stamp"] != stamp:
                return None
            index = FrameIndex(**{name: arrays[name] for name in _ARRAYS}, fault=about["fault"])
    except _UNREADABLE:
        return None
    with contextlib.suppress(OSError):
        os.utime(entry)  # used now: pruned last
    return index


def _prune(folder: Path, max_bytes: int) -> None:
    """Remove the entries not used for longest, down to three quarters of what there may be, when there is more."""
    entries = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process removed it
            status = path.stat()
            entries.append((status.st_mtime_ns, status.st_size, path))
    left = sum(size for _, size, _ in entries)
    if left <= max_bytes:
        return
    for _, size, path in sorted(entries):
        if left <= max_bytes * 3 // 4:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        left -= size
