"""A folder of a cache on disk: bounded in bytes, the entry not used for longest goes first."""

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edgevid.files import replacing

CACHE_SETTING = "EDGEVID_CACHE"
"""Environment variable that names the cache folder."""

_ABANDONED_S = 24 * 3600.0
"""A temporary file that old is of a process that was killed."""


def cache_folder() -> Path:
    """`$EDGEVID_CACHE`, else `edgevid` in the user's cache folder (XDG Base Directory Specification)."""
    if named := os.environ.get(CACHE_SETTING):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevid"


_OWN = re.compile(r"\.?[0-9a-f]{32}(\..+)?")
"""Names of entries, and of temporary files that become one. Whatever else lies in the folder is somebody's."""


class BoundedFolder:
    """One file an entry, which appears by renaming. Safe with many threads and processes.

    What is in it is counted before the first write, and again after each eighth of `max_bytes` that is written here:
    then what others wrote is known too. Where there would be too much, the folder is emptied to three quarters.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None
        self._since = 0

    def entry(self, key: str, suffix: str = "") -> Path:
        """Where the entry of a key is, or would be."""
        return self.folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}{suffix}"

    def used(self, entry: Path) -> None:
        """It was of use now, and goes last."""
        with contextlib.suppress(OSError):
            os.utime(entry)

    @contextlib.contextmanager
    def writing(self, entry: Path) -> Iterator[Path]:
        """A temporary file that becomes the entry. Raises InputError where the folder cannot be written to."""
        with replacing(entry) as temporary:
            yield temporary
            self._make_room(temporary.stat().st_size)

    def _make_room(self, size: int) -> None:
        with self._lock:
            if self._bytes is None or self._bytes + size > self.max_bytes or self._since + size > self.max_bytes // 8:
                self._bytes, self._since = self._prune(size), 0
            self._bytes += size
            self._since += size

    def _prune(self, size: int) -> int:
        """Remove the oldest where `size` more bytes would be too many. Returns how many bytes are left."""
        entries = []
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another process removed it
                status = path.stat()
                if not _OWN.fullmatch(path.name):
                    continue
                if not path.name.startswith(".") or status.st_mtime < time.time() - _ABANDONED_S:
                    entries.append((status.st_mtime_ns, status.st_size, path))
        left = sum(length for _, length, _ in entries)
        if left + size <= self.max_bytes:
            return left
        for _, length, path in sorted(entries):
            if left + size <= self.max_bytes * 3 // 4:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            left -= length
        return left
