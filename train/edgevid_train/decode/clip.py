"""From a record to its pixels, by the runtime's own file source: training sees what a device will see."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.sources.opening import open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode.chunks import Piece, chunks_of, pieces
from edgevid_train.decode.index import FrameIndex
from edgevid_train.decode.seek import SeekError, read_frames
from edgevid_train.decode.store import IndexStore
from edgevid_train.storage import LostError, media, shown

MAX_CLIP_S = 120.0
"""A longer span is not a clip: it would not fit into memory as one."""

RUNTIME_SHORT_SIDE = 240
"""What the runtime reduces frames to before a model's own resize."""


class DecodeError(Exception):
    """A clip that cannot be read; the message is the reason, one line."""


class _NoFramesError(DecodeError):
    """Nothing is wrong with the file: no frame of it lies in the span."""


@dataclass(frozen=True)
class DecodedClip:
    """All frames of a record.

    Attributes:
        frames: RGB uint8 `(T, H, W, 3)`, T at least 1, reduced to the short side asked for, rotation applied.
        times_s: float64 `(T,)`, rising, in seconds of the file's clock (a record's span is on it too).
        first: index in the file of the span's first frame; these frames follow it one by one unless some were picked.
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


_TOO_LONG = "longer than {:g} s; cut it, or give start_s and end_s"
NO_FRAMES = "no frames from {:g} s on"

Span = tuple[float, float | None]
"""Seconds of a file, end exclusive; None is the file's end."""


Pick = Callable[[NDArray[np.float64]], NDArray[np.intp]]
"""From the times of a clip's frames to the positions among them of those that are wanted, never falling."""


def decode_clip(
    record: ClipRecord,
    short_side: int = 120,
    span: Span | None = None,
    indexes: IndexStore | None = None,
    pick: Pick | None = None,
) -> DecodedClip:
    """Decode the record's span, or another one, reduced to at most `short_side` pixels on the short side.

    `pick` chooses among its frames, by their times; one that is picked twice is there twice. With `indexes` only what
    is needed is decoded, from the keyframe before it on; the frames are the same.

    Raises:
        DecodeError: no such file, not a video, cut short or damaged before the span's end, or longer than `MAX_CLIP_S`.
        LostError: it is far away, and nobody answers.
    """
    start_s, end_s = span or (record.start_s, record.end_s)
    try:
        chunks = chunks_of(record)
        if chunks:
            return _joined(record, start_s, pieces(chunks, start_s, end_s), short_side, indexes, pick)
        if indexes is not None and record.rate_hz is None:
            index = indexes.get(record.file)
            if index.seekable:
                inside = clip_frames(index, start_s, end_s)
                try:
                    return _sought(record, index, inside, short_side, pick)
                except SeekError:
                    pass  # damaged, or not what its packets say: decoding from the start tells
        clip = _from_start(record, short_side, start_s, end_s)
    except LostError:
        raise
    except InputError as error:
        raise DecodeError(str(error).removeprefix(f"{shown(record.file)}: ")) from None
    if pick is None:
        return clip
    positions = pick(clip.times_s)
    return DecodedClip(clip.frames[positions], clip.times_s[positions], record, clip.first)


def clip_frames(index: FrameIndex, start_s: float, end_s: float | None) -> slice:
    """The frames of a span, if they can be a clip.

    Raises:
        DecodeError: none, more than `MAX_CLIP_S`, or the file ends before its natural end, and the span with it.
    """
    inside = index.span(start_s, end_s)
    if inside.start < inside.stop and index.times_s[inside.stop - 1] - start_s > MAX_CLIP_S:
        raise DecodeError(_TOO_LONG.format(MAX_CLIP_S))
    if inside.stop == len(index.times_s) and index.fault is not None:
        raise DecodeError(index.fault)
    if inside.start >= inside.stop:
        raise _NoFramesError(NO_FRAMES.format(start_s))
    return inside


def _joined(
    record: ClipRecord,
    start_s: float,
    parts: Sequence[Piece],
    short_side: int,
    indexes: IndexStore | None,
    pick: Pick | None,
) -> DecodedClip:
    """A span from `start_s` of a video that lies in several files. It may lie between two frames of one of them."""
    clips: list[tuple[float, DecodedClip]] = []
    for begins_s, file, from_s, to_s in parts:
        try:
            clip = decode_clip(replace(record, file=file), short_side, (from_s, to_s), indexes)
        except _NoFramesError:
            continue
        clips.append((begins_s, clip))
        if begins_s + clip.times_s[-1] - (clips[0][0] + clips[0][1].times_s[0]) > MAX_CLIP_S:
            raise DecodeError(_TOO_LONG.format(MAX_CLIP_S))
    if not clips:
        raise _NoFramesError(NO_FRAMES.format(start_s))
    times_s = np.concatenate([clip.times_s + begins_s for begins_s, clip in clips])
    frames = _stacked([frame for _, clip in clips for frame in clip.frames])
    picked = np.arange(len(times_s)) if pick is None else pick(times_s)
    return DecodedClip(frames if pick is None else frames[picked], times_s[picked], record)


def _sought(record: ClipRecord, index: FrameIndex, inside: slice, short_side: int, pick: Pick | None) -> DecodedClip:
    times_s = index.times_s[inside]
    picked = np.arange(len(times_s)) if pick is None else pick(times_s)
    positions, again = np.unique(picked, return_inverse=True)
    frames = _stacked(read_frames(record.file, index, inside.start + positions, short_side))
    return DecodedClip(frames if pick is None else frames[again], times_s[picked], record, inside.start)


def _from_start(record: ClipRecord, short_side: int, start_s: float, end_s: float | None) -> DecodedClip:
    frames: list[NDArray[np.uint8]] = []
    times_s: list[float] = []
    first = 0
    with open_source(media(record.file), short_side=short_side, pace="fast", rate_hz=record.rate_hz) as source:
        source.wanted = lambda time_s: time_s >= start_s and (end_s is None or time_s < end_s)
        for frame in source:
            if end_s is not None and frame.time_s >= end_s:
                break
            if frame.time_s < start_s:
                first = frame.index + 1
                continue
            if frame.time_s - start_s > MAX_CLIP_S:
                raise DecodeError(_TOO_LONG.format(MAX_CLIP_S))
            frames.append(frame.pixels)
            times_s.append(frame.time_s)
        else:
            if source.fault is not None:
                raise DecodeError(source.fault)
    if not frames:
        raise _NoFramesError(NO_FRAMES.format(start_s))
    return DecodedClip(_stacked(frames), np.array(times_s, np.float64), record, first)


def _stacked(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    if any(frame.shape != frames[0].shape for frame in frames):
        raise DecodeError("the picture changes its size within the clip")
    return np.stack(frames)


def with_context(records: Iterable[ClipRecord], before_s: float, after_s: float) -> dict[ClipRecord, Span]:
    """For each record that is a part of a file: its span with what happened around it, as far as no other record's.

    A stream does not begin with the action. What is added is no labelled action's, of this or of another label.
    """
    by_file: dict[Path, list[ClipRecord]] = {}
    for record in records:
        by_file.setdefault(record.file, []).append(record)
    spans: dict[ClipRecord, Span] = {}
    for found in by_file.values():
        for record in found:
            if record.end_s is None:
                continue
            # Others may lie in it, around it or across one of its ends; without an end they last as long as the file.
            others = [(o.start_s, math.inf if o.end_s is None else o.end_s) for o in found if o is not record]
            ends = [end_s for start_s, end_s in others if start_s < record.start_s]
            starts = [start_s for start_s, end_s in others if end_s > record.end_s]
            begin_s = max([0.0, record.start_s - before_s, *ends])
            end_s = min([record.end_s + after_s, *starts])
            spans[record] = (min(begin_s, record.start_s), max(end_s, record.end_s))
    return spans
