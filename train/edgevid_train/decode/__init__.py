"""From a record to its pixels, by the runtime's own rules: training sees what a device will see."""

from edgevid_train.decode.cache import ClipCache
from edgevid_train.decode.clip import (
    MAX_CLIP_S,
    NO_FRAMES,
    RUNTIME_SHORT_SIDE,
    DecodedClip,
    DecodeError,
    Pick,
    Span,
    decode_clip,
    with_context,
)
from edgevid_train.decode.disk import DiskClips, disk_clips
from edgevid_train.decode.index import FrameIndex, read_index
from edgevid_train.decode.store import IndexStore

__all__ = [
    "MAX_CLIP_S",
    "NO_FRAMES",
    "RUNTIME_SHORT_SIDE",
    "ClipCache",
    "DecodeError",
    "DecodedClip",
    "DiskClips",
    "FrameIndex",
    "IndexStore",
    "Pick",
    "Span",
    "decode_clip",
    "disk_clips",
    "read_index",
    "with_context",
]
