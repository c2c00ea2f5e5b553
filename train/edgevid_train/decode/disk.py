"""Decoded clips on disk, for data that memory does not hold and that takes longer to decode than to read."""

import json
import zipfile
from dataclasses import dataclass, field

import av
import numpy as np

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode.clip import DecodedClip, Span
from edgevid_train.storage import BoundedFolder, cache_folder, is_one_file, stamp_of

_VERSION = 1
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile)
"""What reading a damaged entry raises; the sums of a zip file tell."""


@dataclass
class DiskClips:
    """One uncompressed file for each clip, size and span; valid for its video's size, time of change and this FFmpeg.

    Bounded, and safe with many threads and processes, as `BoundedFolder` is. A damaged entry is none. A folder that
    cannot be written to is no fault: `unwritable` says why. Clips of folders are not kept: what is in these is not
    known to be the same.
    """

    folder: BoundedFolder
    unwritable: str | None = field(default=None, init=False)

    def get(self, record: ClipRecord, short_side: int, span: Span) -> DecodedClip | None:
        key = _key(record, short_side, span)
        if key is None:
            return None
        entry = self.folder.entry(key, ".npz")
        try:
            with np.load(entry, allow_pickle=False) as arrays:
                about = json.loads(bytes(arrays["about"]))
                if about["key"] != key:
                    return None
                clip = DecodedClip(arrays["frames"], arrays["times_s"], record, about["first"])
        except _UNREADABLE:
            return None
        self.folder.used(entry)
        return clip

    def put(self, clip: DecodedClip, short_side: int, span: Span) -> None:
        """Keep a clip, unless it is more than a quarter of all that may be kept."""
        key = _key(clip.record, short_side, span)
        if key is None or clip.frames.nbytes > self.folder.max_bytes // 4:
            return
        about = np.frombuffer(json.dumps({"key": key, "first": clip.first}).encode(), np.uint8)
        try:
            with self.folder.writing(self.folder.entry(key, ".npz")) as temporary:
                np.savez(temporary, allow_pickle=False, about=about, frames=clip.frames, times_s=clip.times_s)
        except InputError as error:
            self.unwritable = str(error)


def disk_clips(max_mb: int) -> DiskClips | None:
    """Those in the cache folder; None where nothing may be kept."""
    return DiskClips(BoundedFolder(cache_folder() / "clips", max_mb << 20)) if max_mb else None


def _key(record: ClipRecord, short_side: int, span: Span) -> str | None:
    stamp = stamp_of(record.file) if record.rate_hz is None and is_one_file(record.file) else ""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    start_s, end_s = span
    return f"{_VERSION} {stamp} libavcodec {codec} short side {short_side} {start_s!r} {end_s!r}" if stamp else None
