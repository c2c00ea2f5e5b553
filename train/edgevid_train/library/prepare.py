"""Re-encode a data set, so that training reads it fast: small pictures, keyframes close together, one clips.csv.

OUT/videos/…        one .mp4 for every video of the data, named after it; of a video in chunks a folder of such chunks
OUT/prepare.json    what was asked for: who asks for the same again goes on where it was interrupted
OUT/ledger.csv      the videos that could not be decoded, and why
OUT/clips.csv       the clips, with labels, groups, spans and splits as they were; written last
"""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import av
import numpy as np

from edgevid.errors import InputError
from edgevid.files import check_folder, exists, is_folder, replacing, write_json, write_text
from edgevid.frame import Frame
from edgevid.sources.images import IMAGE_ENDINGS
from edgevid.sources.opening import open_source
from edgevid_train.annotations import ClipRecord, read_data, tell
from edgevid_train.annotations.clips_csv import NAME as CLIPS_CSV
from edgevid_train.annotations.paths import files_below
from edgevid_train.annotations.reading import Say, some
from edgevid_train.decode.chunks import chunks_of, pieces
from edgevid_train.ledger import LEDGER, Ledger
from edgevid_train.marks import file_mark
from edgevid_train.runs.folder import run_folder
from edgevid_train.storage import absolute, blob_of, media, shown

ASKED, VIDEOS = "prepare.json", "videos"
TICKS_PER_S = 90_000
"""Of presentation times: an uneven rate stays as it is."""


@dataclass(frozen=True)
class Encoding:
    """How videos are written: H.264 with a short side of at most `short_side` pixels, a keyframe every `keyframes`."""

    short_side: int
    keyframes: int
    crf: int = 20
    threads: int = 1


@dataclass
class Prepared:
    """What became of a data set's videos: of `kept` an earlier call had made the file."""

    written: int = 0
    kept: int = 0
    lost_frames: int = 0
    records: list[ClipRecord] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


@contextlib.contextmanager
def begun(
    out: Path, data: Path, records: Sequence[ClipRecord], encoding: Encoding, *, force: bool, say: Callable[[str], None]
) -> Iterator[None]:
    """Make `out`, or go on in it if the same was asked for there before and not finished; nobody else may meanwhile.

    Raises:
        InputError: `out` holds anything else, or all of it already, and `force` is not given; or, whatever `force`
            says, it holds what this did not write, or videos that are to be read; or as `run_folder`.
    """
    rates_hz = sorted({record.rate_hz for record in records if record.rate_hz is not None})
    asked = {"data": str(absolute(data)), **asdict(encoding), "rates_hz": rates_hz}
    del asked["threads"]
    _refuse_sources(out, records)
    filled = is_folder(out) and any(not path.name.startswith(".") for path in out.iterdir())
    if force and (filled or not is_folder(out)):
        check_folder(out, ASKED, (VIDEOS, LEDGER, CLIPS_CSV, ".*"), force=True)
    goes_on = filled and not force
    if goes_on:
        _check_same(out, asked)
    with run_folder(out, force=True, say=say):
        if not goes_on:
            for old in sorted((out / VIDEOS).rglob("*.mp4"), reverse=True):  # what lies in a folder before the folder
                _remove(old)
            (out / CLIPS_CSV).unlink(missing_ok=True)
            write_json(out / ASKED, asked)
        yield


def _remove(old: Path) -> None:
    """A video, or the folder of one in chunks, whose chunks are gone already; it stays where it holds anything else."""
    if not old.is_dir():
        old.unlink()
    elif not any(old.iterdir()):
        old.rmdir()


def _refuse_sources(out: Path, records: Sequence[ClipRecord]) -> None:
    there = out.resolve()
    for file in {record.file for record in records} if exists(out) else ():
        if there in (real := Path(os.path.realpath(file))).parents:
            raise InputError(f"{out} holds {real.name}, which is to be read, and would be replaced: name another")


def _check_same(out: Path, asked: Mapping[str, Any]) -> None:
    """Raises InputError where `out` is finished, is something else, or was begun otherwise."""
    if (out / CLIPS_CSV).exists() or not (out / ASKED).is_file():
        raise InputError(f"{out} exists; give --force to replace it")
    try:
        before = json.loads((out / ASKED).read_bytes())
    except (OSError, ValueError):
        before = None
    if before != asked:
        raise InputError(f"{out} was begun with other settings ({ASKED}); give --force to begin again")


def prepare(
    records: Sequence[ClipRecord], out: Path, encoding: Encoding, on_video: Callable[[str], None] = lambda _: None
) -> Prepared:
    """Re-encode every file of `records` into `out`, then write the ledger and clips.csv.

    `on_video` is called after each file with a text about the unreadable ones. Whole files are encoded, so that spans
    stay what they are. A file that is cut short or damaged goes into the ledger with all of its clips; of a video in
    chunks those that need the damaged chunk.

    Raises:
        InputError: the disk is full, two files would get one name, or a label cannot be written beside others.
    """
    clips_csv(records)  # what cannot be written down is found before hours of encoding
    found = Prepared()
    by_source: dict[tuple[Path, float | None], list[ClipRecord]] = {}
    for record in records:
        by_source.setdefault((record.file, record.rate_hz), []).append(record)
    names: dict[str, Path] = {}
    for (file, rate_hz), clips in by_source.items():
        name = f"{VIDEOS}/{clips[0].name}" + ("" if clips[0].name.endswith(".mp4") else ".mp4")
        if ".." in PurePosixPath(name).parts:  # readers refuse such names; nothing is written elsewhere if one does not
            raise InputError(f"{shown(file)}: {name} is not inside {out}")
        if names.setdefault(name, file) != file:
            raise InputError(f"{names[name]} and {file} would both become {name}")
        origin = clips[0].origin or file_mark(file)
        faults = _encode_each(_parts(clips[0], out / name), encoding, rate_hz, found)
        for clip in clips:
            fault = _fault(clip, faults)
            if fault is None:
                found.records.append(replace(clip, file=out / name, name=name, rate_hz=None, origin=origin))
            else:
                found.ledger.skip(clip, fault)
        on_video(f"{len(found.ledger)} unreadable" if len(found.ledger) else "")
    found.ledger.write(out / LEDGER)
    write_text(out / CLIPS_CSV, clips_csv(found.records))
    return found


def _parts(clip: ClipRecord, target: Path) -> list[tuple[Path, Path]]:
    """The files of a clip's video, and what each becomes."""
    try:
        chunks = chunks_of(clip)
    except InputError:
        chunks = []  # trying to encode the folder gives the reason
    return [(part, target / f"{part.stem}.mp4") for _, part in chunks] or [(clip.file, target)]


def _fault(clip: ClipRecord, faults: Mapping[Path, str]) -> str | None:
    """Why a clip cannot be used, of whose video these files could not be encoded; None when it can."""
    try:
        chunks = chunks_of(clip)
        needed = [part for _, part, _, _ in pieces(chunks, clip.start_s, clip.end_s)] if chunks else []
    except InputError as error:
        return str(error).removeprefix(f"{shown(clip.file)}: ")
    of_chunk = next((f"{part.name}: {faults[part]}" for part in needed if part in faults), None)
    return of_chunk or faults.get(clip.file)


def _encode_each(
    parts: Sequence[tuple[Path, Path]], encoding: Encoding, rate_hz: float | None, found: Prepared
) -> dict[Path, str]:
    """Encode what is not made yet. Returns: the reason of each file that cannot be."""
    faults = {}
    for part, target in parts:
        try:
            if _is_made(part, target):
                found.kept += 1
            else:
                found.lost_frames += encode(part, target, encoding, rate_hz)
                found.written += 1
        except SourceError as error:
            faults[part] = str(error).removeprefix(f"{shown(part)}: ")
    return faults


class SourceError(Exception):
    """A video that cannot be decoded to its end, or written; the message is the reason, one line."""


def encode(file: Path, target: Path, encoding: Encoding, rate_hz: float | None = None) -> int:
    """Write a video, or a folder of images at `rate_hz`, as `target`; times stay what they are.

    Returns: how many frames could not be decoded and are missing.

    Raises:
        SourceError: it cannot be decoded to its end, or x264 or mp4 does not take it.
        InputError: `target` cannot be written.
    """
    try:
        source = open_source(media(file), short_side=encoding.short_side, pace="fast", rate_hz=rate_hz)
    except InputError as error:
        raise SourceError(str(error)) from None
    with source, replacing(target) as temporary:
        try:
            _write(temporary, iter(source), encoding)
        except OSError:  # some of FFmpeg's errors are this too: the disk is at fault, not the video
            raise
        except (av.error.FFmpegError, OverflowError) as error:
            reason = error.strerror if isinstance(error, av.error.FFmpegError) else "a time is too late"
            raise SourceError(f"cannot be written as H.264 in an .mp4: {reason}") from None
        if source.fault is not None:
            raise SourceError(source.fault)
    return source.counts.undecodable


def _write(path: Path, frames: Iterator[Frame], encoding: Encoding) -> None:
    options = {"crf": str(encoding.crf), "preset": "veryfast", "g": str(encoding.keyframes)}
    unit, last = Fraction(1, TICKS_PER_S), -1
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", encoding.threads
        stream.time_base = stream.codec_context.time_base = unit
        shape: tuple[int, ...] = ()
        for frame in frames:
            if min(frame.pixels.shape[:2]) < 2:
                raise SourceError("the picture is 1 pixel wide or high, and H.264 needs 2")
            height, width = (side // 2 * 2 for side in frame.pixels.shape[:2])  # its colours are half as fine
            pixels = np.ascontiguousarray(frame.pixels[:height, :width])
            if not shape:
                shape = pixels.shape
                stream.height, stream.width = height, width
            if pixels.shape != shape:
                raise SourceError("the picture changes its size within the video")
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            last = max(last + 1, round(frame.time_s * TICKS_PER_S))  # two frames of one time, a tick apart
            picture.pts, picture.time_base = last, unit
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _is_made(file: Path, target: Path) -> bool:
    """Whether an interrupted call made it, from the source as it is now: files appear when they are complete.

    Of what is no file of its own it is not known when it changed.
    """
    try:
        return target.stat().st_mtime >= (0 if blob_of(file) else file.stat().st_mtime)
    except OSError:
        return False


def clips_csv(records: Sequence[ClipRecord]) -> str:
    """The table that `read_clips_csv` reads back as these records."""
    several = any(len(record.labels) > 1 for record in records)
    for label in (label for record in records if several for label in record.labels):
        if ";" in label or "|" in label:
            raise InputError(f"label {label!r}: where clips have several labels, ; and | stand between them; rename it")
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "labels" if several else "label", "group", "start_s", "end_s", "split", "origin"])
    for record in records:
        end_s = "" if record.end_s is None else repr(record.end_s)
        label = "|".join(record.labels)
        span = (repr(record.start_s), end_s)
        rows.writerow([record.name, label, record.group, *span, record.split or "", record.origin or ""])
    return text.getvalue()


def image_folders(root: Path, rate_hz: float, say: Say = tell) -> list[ClipRecord]:
    """Folders of images as clips: those that clips.csv names, or CLASS/…/CLIP below `root`, each a group of its own.

    Args:
        say: takes a line that names the folders whose images are left out, since they lie in no folder of a clip.

    Raises:
        InputError: no such folder, no image in any folder of a class, or a malformed clips.csv.
    """
    if (root / CLIPS_CSV).is_file():
        return [replace(record, rate_hz=rate_hz) for record in read_data(root, say=say)]
    if not root.is_dir():
        raise InputError(f"{root}: {'not a folder' if root.exists() else 'no such data folder'}")
    folders = sorted({path.parent for path in files_below(root) if path.suffix.lower() in IMAGE_ENDINGS})
    names = [(folder, folder.relative_to(root).as_posix()) for folder in folders]
    records = [
        ClipRecord(folder, name, (name.split("/")[0],), name, rate_hz=rate_hz) for folder, name in names if "/" in name
    ]
    if not records:
        raise InputError(f"{root}: no folders of images; expected {CLIPS_CSV}, or CLASS/CLIP/*.jpg")
    outside = [name for _, name in names if "/" not in name]
    if outside:
        say(f"images left out, directly in {some(outside)}: expected CLASS/CLIP/*.jpg")
    return records
