"""From a record to its pixels, by the runtime's own file source: training sees what a device will see."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.sources.opening import open_source
from edgevid_train.annotations import ClipRecord

MAX_CLIP_S = 120.0
"""A longer span is not a clip: it would not fit into memory as one."""

RUNTIME_SHORT_SIDE = 240
"""What the runtime reduces frames to before a model's own resize."""


class DecodeError(Exception):
    """A clip that cannot be read; the message is the reason, one line."""


@dataclass(frozen=True)
class DecodedClip:
    """All frames of a record.

    Attributes:
        frames: RGB uint8 `(T, H, W, 3)`, T at least 1, reduced to the short side asked for, rotation applied.
        times_s: float64 `(T,)`, rising, in seconds of the file's clock (a record's span is on it too).
        first: index in the file of the first of these frames.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    record: ClipRecord
    first: int = 0

    def __repr__(self) -> str:
        t, height, width, _ = self.frames.shape
        return (
            f"DecodedClip({self.record.id}, {t} frames {width}x{height}, {self.times_s[0]:g}..{self.times_s[-1]:g} s)"
        )


Span = tuple[float, float | None]
"""Seconds of a file, end exclusive; None is the file's end."""


def decode_clip(record: ClipRecord, short_side: int = 120, span: Span | None = None) -> DecodedClip:
    """Decode the record's span, or another one, reduced to at most `short_side` pixels on the short side.

    Raises:
        DecodeError: no such file, not a video, cut short or damaged before the span's end, or longer than `MAX_CLIP_S`.
    """
    start_s, end_s = span or (record.start_s, record.end_s)
    frames: list[NDArray[np.uint8]] = []
    times_s: list[float] = []
    first = 0
    try:
        with open_source(record.file, short_side=short_side, pace="fast") as source:
            for frame in source:
                if end_s is not None and frame.time_s >= end_s:
                    break
                if frame.time_s < start_s:
                    first = frame.index + 1
                    continue
                if frame.time_s - start_s > MAX_CLIP_S:
                    raise DecodeError(f"longer than {MAX_CLIP_S:g} s; cut it, or give start_s and end_s")
                frames.append(frame.pixels)
                times_s.append(frame.time_s)
            else:
                if source.fault is not None:
                    raise DecodeError(source.fault)
    except InputError as error:
        raise DecodeError(str(error).removeprefix(f"{record.file}: ")) from None
    if not frames:
        raise DecodeError(f"no frames from {start_s:g} s on")
    if any(frame.shape != frames[0].shape for frame in frames):
        raise DecodeError("the picture changes its size within the clip")
    return DecodedClip(np.stack(frames), np.array(times_s, np.float64), record, first)


def with_context(records: Iterable[ClipRecord], before_s: float, after_s: float) -> dict[ClipRecord, Span]:
    """For each record that is a part of a file: its span with what happened around it, as far as no other record's.

    A stream does not begin with the action. Between two labelled actions of a file nothing that is labelled happens.
    """
    by_file: dict[Path, list[ClipRecord]] = {}
    for record in records:
        by_file.setdefault(record.file, []).append(record)
    spans: dict[ClipRecord, Span] = {}
    for found in by_file.values():
        for record in found:
            if record.end_s is None:
                continue
            others = [other for other in found if other is not record]
            ends = [o.end_s for o in others if o.end_s is not None and o.start_s < record.start_s]
            starts = [o.start_s for o in others if o.start_s >= record.start_s]
            begin_s = max([0.0, record.start_s - before_s, *ends])
            end_s = min([record.end_s + after_s, *starts])
            spans[record] = (min(begin_s, record.start_s), max(end_s, record.end_s))
    return spans


class ClipCache:
    """Decoded clips in memory, bounded in bytes; the one not used for longest goes first. Safe with many threads.

    A clip that several threads ask for at once is decoded once; so is one that cannot be read: its error is kept.
    `spans` says where more than the record's own span is wanted (see `with_context`).
    """

    def __init__(self, short_side: int, max_bytes: int, spans: Mapping[ClipRecord, Span] | None = None) -> None:
        self.short_side = short_side
        self.spans = spans or {}
        self.max_bytes = max_bytes
        self.bytes = 0
        self.decoded = 0
        """How many clips were decoded: more than there are records means that the cache is too small for the data."""
        self._lock = threading.Lock()
        self._clips: OrderedDict[ClipRecord, DecodedClip] = OrderedDict()
        self._errors: dict[ClipRecord, str] = {}
        self._busy: dict[ClipRecord, threading.Event] = {}

    def get(self, record: ClipRecord) -> DecodedClip:
        """The decoded clip; the arrays are shared and not to be written to. Raises DecodeError as `decode_clip`."""
        while True:
            with self._lock:
                if record in self._clips:
                    self._clips.move_to_end(record)
                    return self._clips[record]
                if record in self._errors:
                    raise DecodeError(self._errors[record])
                other = self._busy.get(record)
                if other is None:
                    self._busy[record] = done = threading.Event()
                    break
            other.wait()
        try:
            clip = decode_clip(record, self.short_side, self.spans.get(record))
            self.keep(clip)
            return clip
        except DecodeError as error:
            with self._lock:
                self._errors[record] = str(error)
            raise
        finally:
            with self._lock:
                del self._busy[record]
            done.set()

    def keep(self, clip: DecodedClip) -> None:
        """Remember a clip that was decoded here or elsewhere, while there is room."""
        clip.frames.flags.writeable = False
        with self._lock:
            self.decoded += 1
            if clip.frames.nbytes > self.max_bytes:
                return
            self._clips[clip.record] = clip
            self.bytes += clip.frames.nbytes
            while self.bytes > self.max_bytes:
                _, oldest = self._clips.popitem(last=False)
                self.bytes -= oldest.frames.nbytes
