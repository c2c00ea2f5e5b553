"""Videos without labels: found in folders, decoded once, cut into pieces, some of them held out."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.sources.opening import open_source
from edgevid_train.annotations import ClipRecord, read_data, tell
from edgevid_train.annotations.clips_csv import NAME as CLIPS_CSV
from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.shards import names_shards, shard_videos
from edgevid_train.decode import ClipCache, DecodedClip
from edgevid_train.ledger import Ledger
from edgevid_train.storage import LostError, address_of, media, shown

UNLABELLED = ""
"""The label of a record that has none."""


def find_videos(sources: Sequence[Path], say: Callable[[str], None] = tell) -> list[ClipRecord]:
    """Every video file of these folders, tar shards and addresses, each once, as a record of the whole file.

    Where there is a clips.csv, its files are taken, and its groups; of shards all videos, with the groups that these
    say; elsewhere each file is a group of its own. `say` takes a line for everything that is left out.

    Raises:
        InputError: no such folder, no video in one of them, a malformed clips.csv, or what cannot be read far away.
    """
    found: dict[str, ClipRecord] = {}
    for source in sources:
        for video in _videos(source, say):
            local = address_of(video.file) is None
            where = os.path.realpath(video.file) if local else str(video.file)
            found.setdefault(where, ClipRecord(video.file, video.name, (UNLABELLED,), video.group))
    return list(found.values())


def _videos(source: Path, say: Callable[[str], None]) -> list[ClipRecord]:
    """As `train-distill` finds them, but for labels."""
    far = address_of(source) is not None
    has_table = not far and (source / CLIPS_CSV).is_file()
    if not has_table and (names_shards(source) or (far and source.suffix.lower() == ".txt")):
        return shard_videos(source, say)
    if far or has_table:
        return read_data(source, say=say)
    if not source.is_dir():
        raise InputError(f"{source}: {'not a folder' if source.exists() else 'no such data folder'}")
    names = [(path, path.relative_to(source).as_posix()) for path in videos_below(source)]
    if not names:
        raise InputError(f"{source}: no videos")
    return [ClipRecord(path, name, (UNLABELLED,), name) for path, name in names]


def read_pieces(
    videos: Sequence[ClipRecord],
    cache: ClipCache,
    ledger: Ledger,
    piece_s: float,
    on_video: Callable[[], None] = lambda: None,
) -> list[ClipRecord]:
    """Decode every video once, into `cache`, cut into pieces of `piece_s` seconds; the last one may be shorter.

    What cannot be read goes into the ledger. Of a file that is damaged further on, the pieces before that are used,
    and the ledger says so.

    Returns: a record of each piece.
    """
    pieces = []
    for video in videos:
        try:
            for piece in _pieces_of(video, cache.short_side, piece_s):
                cache.keep(piece)
                pieces.append(piece.record)
        except LostError:
            raise
        except InputError as error:
            ledger.skip(video, str(error).removeprefix(f"{shown(video.file)}: "))
        on_video()
    return pieces


def hold_out(pieces: Sequence[ClipRecord], k: int, seed: int) -> tuple[list[ClipRecord], list[ClipRecord]]:
    """Pieces to train on, and about one in `k` to hold out, by whole groups; of a single group the last in time.

    One piece alone cannot be split: nothing is held out then.
    """
    groups = sorted({piece.group for piece in pieces})
    if len(groups) < 2:
        count = min(len(pieces) - 1, -(-len(pieces) // k))
        return list(pieces[: len(pieces) - count]), list(pieces[len(pieces) - count :])
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    held: set[str] = set()
    for i in shuffled[:-1]:  # one group is always left to train on
        if sum(piece.group in held for piece in pieces) * k >= len(pieces):
            break
        held.add(groups[i])
    return [p for p in pieces if p.group not in held], [p for p in pieces if p.group in held]


@dataclass
class _Open:
    """Frames of the piece that is being read."""

    number: int
    first: int
    frames: list[NDArray[np.uint8]]
    times_s: list[float]

    def closed(self, video: ClipRecord, start_s: float, end_s: float | None) -> DecodedClip:
        record = ClipRecord(video.file, video.name, video.labels, video.group, start_s, end_s)
        return DecodedClip(np.stack(self.frames), np.array(self.times_s, np.float64), record, self.first)


def _pieces_of(video: ClipRecord, short_side: int, piece_s: float) -> Iterator[DecodedClip]:
    """The pieces of a file, as they are read. Raises InputError when the file ends in a fault, or has but one frame."""
    piece: _Open | None = None
    with open_source(media(video.file), short_side=short_side, pace="fast") as source:
        for frame in source:
            number = int(frame.time_s / piece_s)
            if piece is not None and number != piece.number:
                yield piece.closed(video, piece.number * piece_s, (piece.number + 1) * piece_s)
                piece = None
            if piece is None:
                piece = _Open(number, frame.index, [], [])
            if piece.frames and frame.pixels.shape != piece.frames[0].shape:
                raise InputError("the picture changes its size within the video")
            piece.frames.append(frame.pixels)
            piece.times_s.append(frame.time_s)
        if source.fault is not None:
            used = f"; the first {piece.number * piece_s:g} s are used" if piece is not None and piece.number else ""
            raise InputError(source.fault + used)
    if piece is None or (piece.number == 0 and len(piece.frames) < 2):
        raise InputError("fewer than two frames: nothing moves")
    yield piece.closed(video, piece.number * piece_s, None)
