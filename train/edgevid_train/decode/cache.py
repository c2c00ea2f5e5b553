"""Decoded clips in memory."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode.clip import DecodedClip, DecodeError, Span, clip_frames, decode_clip
from edgevid_train.decode.disk import DiskClips
from edgevid_train.decode.store import IndexStore
from edgevid_train.decode.turns import Turns
from edgevid_train.storage import LostError, is_one_file


class ClipCache:
    """Decoded clips in memory, bounded in bytes; the one not used for longest goes first. Safe with many threads.

    A clip that several threads ask for at once is decoded once; so is one that cannot be read: its error is kept.
    `spans` says where more than the record's own span is wanted (see `with_context`). With `indexes` files are sought
    in, and what is once known to decode needs not be decoded to be known again. `disk` is asked before decoding.
    """

    def __init__(
        self,
        short_side: int,
        max_bytes: int,
        spans: Mapping[ClipRecord, Span] | None = None,
        indexes: IndexStore | None = None,
        disk: DiskClips | None = None,
    ) -> None:
        self.short_side = short_side
        self.spans = spans or {}
        self.indexes = indexes
        self.disk = disk
        self.max_bytes = max_bytes
        self.bytes = 0
        self.decoded = 0
        """How many clips were decoded: more than there are records means that the cache is too small for the data."""
        self._lock = threading.Lock()
        self._clips: OrderedDict[ClipRecord, DecodedClip] = OrderedDict()
        self._errors: dict[ClipRecord, str] = {}
        self._turns = Turns()
        self._proven: dict[Path, set[tuple[int, int]]] = {}

    def known_times_s(self, record: ClipRecord) -> NDArray[np.float64] | None:
        """Times of a clip's frames, if the index knows that every one of them was decoded before; else None.

        An index alone is no proof: packets may stand where they should and hold nothing that can be decoded.
        """
        if self.indexes is None or not is_one_file(record.file):
            return None
        try:
            index = self.indexes.get(record.file)
            inside = clip_frames(index, *self.spans.get(record, (record.start_s, record.end_s)))
        except LostError:
            raise
        except (InputError, DecodeError):
            return None  # decoding gives the reason
        return index.times_s[inside] if index.decoded[inside].all() else None

    def remember_decoded(self) -> None:
        """Write into the indices what `get` decoded since the last time, for `known_times_s` of the next run."""
        with self._lock:
            proven, self._proven = self._proven, {}
        if self.indexes is not None:
            for file, spans in proven.items():
                self.indexes.mark_decoded(file, [slice(*span) for span in spans])

    def get(self, record: ClipRecord) -> DecodedClip:
        """The decoded clip; the arrays are shared and not to be written to. Raises DecodeError as `decode_clip`."""
        with self._turns.turn(record):
            with self._lock:
                if record in self._clips:
                    self._clips.move_to_end(record)
                    return self._clips[record]
                if record in self._errors:
                    raise DecodeError(self._errors[record])
            try:
                return self._find(record)
            except DecodeError as error:
                with self._lock:
                    self._errors[record] = str(error)
                raise

    def keep(self, clip: DecodedClip) -> None:
        """Remember a clip that was decoded here or elsewhere, while there is room."""
        with self._lock:
            self.decoded += 1
        self._remember(clip)

    def _find(self, record: ClipRecord) -> DecodedClip:
        """On disk, or else by decoding it. Raises DecodeError."""
        span = self.spans.get(record, (record.start_s, record.end_s))
        kept = None if self.disk is None else self.disk.get(record, self.short_side, span)
        if kept is not None:
            self._remember(kept)
            return kept
        clip = decode_clip(record, self.short_side, span, self.indexes)
        self.keep(clip)
        self._note_decoded(clip)
        if self.disk is not None:
            self.disk.put(clip, self.short_side, span)
        return clip

    def _remember(self, clip: DecodedClip) -> None:
        clip.frames.flags.writeable = False
        with self._lock:
            if clip.frames.nbytes > self.max_bytes:
                return
            self._clips[clip.record] = clip
            self.bytes += clip.frames.nbytes
            while self.bytes > self.max_bytes:
                _, oldest = self._clips.popitem(last=False)
                self.bytes -= oldest.frames.nbytes

    def _note_decoded(self, clip: DecodedClip) -> None:
        file, first, end = clip.record.file, clip.first, clip.first + len(clip.times_s)
        if self.indexes is None or not is_one_file(file):
            return
        # Of a damaged file other frames may come than its packets promise: it is decoded anew by every run.
        if np.array_equal(self.indexes.get(file).times_s[first:end], clip.times_s):
            with self._lock:
                self._proven.setdefault(file, set()).add((first, end))
