"""Decoded clips on disk, for data that memory does not hold and that takes longer to decode than to read."""

import av

from edgevid_train.annotations import ClipRecord
from edgevid_train.decode.clip import DecodedClip, Span
from edgevid_train.storage import BoundedArrays, BoundedFolder, cache_folder, is_one_file, stamp_of

_VERSION = 1


class DiskClips:
    """One entry for each clip, size and span; valid for its video's size, time of change and this FFmpeg.

    Clips of folders are not kept: what is in these is not known to be the same.
    """

    def __init__(self, folder: BoundedFolder) -> None:
        self.folder = folder
        self._arrays = BoundedArrays(folder)

    @property
    def unwritable(self) -> str | None:
        """Why the folder cannot be written to, where it cannot; that is no fault."""
        return self._arrays.unwritable

    def get(self, record: ClipRecord, short_side: int, span: Span) -> DecodedClip | None:
        key = _key(record, short_side, span)
        if key is None:
            return None
        clip = self._arrays.read(
            key, key, lambda arrays, about: DecodedClip(arrays["frames"], arrays["times_s"], record, about["first"])
        )
        if clip is not None:
            self._arrays.used(key)
        return clip

    def put(self, clip: DecodedClip, short_side: int, span: Span) -> None:
        """Keep a clip, unless it is more than a quarter of all that may be kept."""
        key = _key(clip.record, short_side, span)
        if key is not None and clip.frames.nbytes <= self.folder.max_bytes // 4:
            self._arrays.write(key, key, {"frames": clip.frames, "times_s": clip.times_s}, first=clip.first)


def disk_clips(max_mb: int) -> DiskClips | None:
    """Those in the cache folder; None where nothing may be kept."""
    return DiskClips(BoundedFolder(cache_folder() / "clips", max_mb << 20)) if max_mb else None


def _key(record: ClipRecord, short_side: int, span: Span) -> str | None:
    stamp = stamp_of(record.file) if record.rate_hz is None and is_one_file(record.file) else ""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    start_s, end_s = span
    return f"{_VERSION} {stamp} libavcodec {codec} short side {short_side} {start_s!r} {end_s!r}" if stamp else None
