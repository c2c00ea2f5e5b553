"""A video that was cut into files of some seconds each: a folder `UID.mp4` with `0.mp4`, `15.mp4`, `30.mp4`, …

So those who train on Ego4D and EPIC-KITCHENS lay them out (LaViLa, AVION), to read any span without seeking far.
"""

from itertools import pairwise
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.paths import VIDEO_ENDINGS

Chunks = list[tuple[float, Path]]
"""The second of the whole video at which a file begins, and the file; in order of time."""

Piece = tuple[float, Path, float, float | None]
"""When a file begins, the file, and start and end of a span in its own seconds."""


def chunks_of(record: ClipRecord) -> Chunks:
    """The files of the record's folder of chunks; none when its file is a video, or a folder of images.

    Raises:
        InputError: a folder without chunks.
    """
    if record.rate_hz is not None or not record.file.is_dir():
        return []
    files = [file for file in record.file.iterdir() if file.suffix.lower() in VIDEO_ENDINGS and file.stem.isdecimal()]
    if not files:
        raise InputError(f"{record.file}: a folder without chunks of video (0.mp4, 15.mp4, …)")
    return sorted((float(file.stem), file) for file in files)


def pieces(chunks: Chunks, start_s: float, end_s: float | None) -> list[Piece]:
    """The parts of a span, in order.

    Raises:
        InputError: one of the files that hold the span is not there.
    """
    starts = [begins_s for begins_s, _ in chunks]
    lasts_s = min((b - a for a, b in pairwise(starts)), default=None)
    found = []
    reached_s = start_s
    for (begins_s, file), next_s in zip(chunks, [*starts[1:], None], strict=True):
        if next_s is not None and next_s <= reached_s:
            continue
        if end_s is not None and begins_s >= end_s:
            break
        stops_s = next_s
        if next_s is not None and lasts_s is not None:
            stops_s = min(next_s, begins_s + lasts_s)
        if begins_s > reached_s or (stops_s is not None and stops_s <= reached_s):
            raise InputError(f"no chunk holds {reached_s:g} s")
        last_s = end_s if stops_s is None else stops_s if end_s is None else min(stops_s, end_s)
        found.append((begins_s, file, reached_s - begins_s, None if last_s is None else last_s - begins_s))
        if stops_s is None or (end_s is not None and end_s <= stops_s):
            break
        reached_s = stops_s
    return found
