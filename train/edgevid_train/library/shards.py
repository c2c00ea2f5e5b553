"""`edgevid data shards`: the videos of a data set in tar files of like size, in WebDataset's layout, with their labels.

OUT/train-000000.tar, …   the videos, in random order, so that a few shards are a fair sample; `shards` without splits
OUT/ledger.csv            the clips whose file is not there, or is a folder

`edgevid_train.annotations.shards` reads them back as the same clips.
"""

import io
import json
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edgevid.errors import InputError
from edgevid.files import replacing
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.paths import VIDEO_ENDINGS
from edgevid_train.ledger import LEDGER, Ledger
from edgevid_train.storage import LostError, blob_of, shown, size_of


@dataclass
class Sharded:
    """What was written: `shards` are names of files, `size` is theirs in bytes."""

    shards: list[str] = field(default_factory=list)
    videos: int = 0
    clips: int = 0
    size: int = 0
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True)
class _Video:
    file: Path
    clips: Sequence[ClipRecord]
    size: int


def write_shards(
    records: Sequence[ClipRecord],
    out: Path,
    size: int,
    seed: int = 0,
    on_video: Callable[[], None] = lambda: None,
) -> Sharded:
    """Write the videos of `records` into shards of about `size` bytes, as they are; nothing is decoded.

    Clips of one video stay together, each split has shards of its own. `out` appears when all of it is written.

    Raises:
        InputError: no video could be taken, or the disk is full.
    """
    found = Sharded()
    with replacing(out) as folder:
        folder.mkdir()
        for split, videos in _by_split(records, found.ledger).items():
            shuffled = [videos[i] for i in np.random.default_rng(seed).permutation(len(videos))]
            for number, part in enumerate(_cut(shuffled, size)):
                name = f"{split}-{number:06d}.tar"
                with tarfile.open(folder / name, "w", format=tarfile.PAX_FORMAT) as tar:
                    for video in part:
                        _write(tar, f"{found.videos:06d}", video)
                        found.videos, found.clips = found.videos + 1, found.clips + len(video.clips)
                        on_video()
                found.shards.append(name)
                found.size += (folder / name).stat().st_size
        if not found.clips:
            first, reason = next(iter(found.ledger.reasons.items()))
            raise InputError(f"none of the {len(records)} clips can be taken; the first: {first.id}: {reason}")
        found.ledger.write(folder / LEDGER)
    return found


def _by_split(records: Sequence[ClipRecord], ledger: Ledger) -> dict[str, list[_Video]]:
    """The videos of each split, which is that of a video's first clip; what cannot be taken goes into the ledger."""
    by_file: dict[Path, list[ClipRecord]] = {}
    for record in records:
        by_file.setdefault(record.file, []).append(record)
    splits: dict[str, list[_Video]] = {}
    for file, clips in by_file.items():
        try:
            if file.is_dir():
                raise InputError("a folder, not one video; edgevid data prepare makes one of it")
            if file.exists() and not file.is_file():  # a pipe would be waited for, a device has no end
                raise InputError("neither a file nor a folder")
            if file.suffix.lower() not in VIDEO_ENDINGS:  # by which a shard's reader tells videos from what is said
                raise InputError(
                    f"{file.suffix or 'no ending'} is not a video's ending; edgevid data prepare makes .mp4"
                )
            size = size_of(file)
            if blob_of(file) is None:
                file.open("rb").close()  # rather now than when half of a shard is written
            splits.setdefault(clips[0].split or "shards", []).append(_Video(file, clips, size))
        except LostError:
            raise
        except (InputError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{shown(file)}: ")
            for clip in clips:
                ledger.skip(clip, reason or str(error))
    return splits


def _cut(videos: Sequence[_Video], size: int) -> list[list[_Video]]:
    """Into parts of at most `size` bytes, or of one video."""
    parts: list[list[_Video]] = []
    filled = size
    for video in videos:
        if filled + video.size > size:
            parts.append([])
            filled = 0
        parts[-1].append(video)
        filled += video.size
    return parts


def _write(tar: tarfile.TarFile, folder: str, video: _Video) -> None:
    # The file keeps its name, by which a recording is known again. What follows a name's first dot is its ending here.
    stem = f"{folder}/{video.file.stem.replace('.', '_')}"
    with _opened(video.file) as data:
        _add(tar, f"{stem}{video.file.suffix}", data, video.size)
    about = json.dumps(_about(video.clips), ensure_ascii=False).encode()
    _add(tar, f"{stem}.json", io.BytesIO(about), len(about))


def _opened(file: Path) -> BinaryIO:
    blob = blob_of(file)
    return file.open("rb") if blob is None else blob.open()


def _add(tar: tarfile.TarFile, name: str, data: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    tar.addfile(member, data)


def _about(clips: Sequence[ClipRecord]) -> dict[str, Any]:
    described = [_clip(clip) for clip in clips]
    return described[0] if len(clips) == 1 else {"clips": described}


def _clip(clip: ClipRecord) -> dict[str, Any]:
    label = {"label": clip.label} if len(clip.labels) == 1 else {"labels": list(clip.labels)}
    span = {"start_s": clip.start_s, "end_s": clip.end_s}
    group = None if clip.group == clip.name else clip.group
    rest = {"name": clip.name, "group": group, "split": clip.split, **span, "origin": clip.origin}
    return label | {name: value for name, value in rest.items() if value is not None}


def parse_size(text: str) -> int:
    """`200MB` in bytes. Raises InputError."""
    found = re.fullmatch(r"(\d{1,6})\s*(kB|MB|GB)", text)
    if found is None or not int(found[1]):
        raise InputError(f"--size {text!r}: expected something like 200MB")
    return int(found[1]) * {"kB": 10**3, "MB": 10**6, "GB": 10**9}[found[2]]
