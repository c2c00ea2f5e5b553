"""Videos in which none of the actions happens: found, cut into clips of the background, dealt among folds.

A network that has only ever seen its own actions takes everything else for one of them. What must not be on both sides
of a split is a video, or what the `group` of a `clips.csv` beside the videos says (a person, a scene).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.annotations.clips_csv import NAME as CLIPS_CSV
from edgevid_train.annotations.paths import VIDEO_ENDINGS, videos_below
from edgevid_train.decode import IndexStore
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.reporter import Reporter

PIECE_S = 4.0
"""A video is cut into pieces of about this length: a stream's past has room for some of them."""


def find_negatives(places: Sequence[Path]) -> list[Path]:
    """The video files that are given, or lie below the folders that are given, each once, by its first name.

    Raises:
        InputError: no such file or folder, or a folder without videos.
    """
    found: dict[str, Path] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"--negatives {place}: no such file or folder")
        files = videos_below(place) if place.is_dir() else [place]
        if not files:
            raise InputError(f"--negatives {place}: no videos in it ({', '.join(sorted(VIDEO_ENDINGS))})")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def whole_negatives(places: Sequence[Path]) -> list[ClipRecord]:
    """Those of `find_negatives`, each whole, as a clip of the background.

    Their groups are those of a `clips.csv` in one of `places`, together with that folder's name; else their own names.

    Raises: as `find_negatives`, and as `read_data` for such a `clips.csv`.
    """
    groups: dict[str, str] = {}
    for place in places:
        if (place / CLIPS_CSV).is_file():
            groups |= {os.path.realpath(record.file): f"{place.name}/{record.group}" for record in read_data(place)}
    files = find_negatives(places)
    return [ClipRecord(file, file.name, (BACKGROUND,), groups.get(os.path.realpath(file), file.name)) for file in files]


def refuse_actions(negatives: Sequence[Path], records: Sequence[ClipRecord]) -> None:
    """Raises InputError where an action happens in a negative: what is right would count, or be learned, as wrong."""
    acted = {os.path.realpath(r.file): r.labels[0] for r in records if set(r.labels) - {BACKGROUND}}
    for file in negatives:
        if label := acted.get(os.path.realpath(file)):
            raise InputError(f"--negatives {file}: it is one of the clips, {label}")


def read_negatives(
    places: Sequence[Path], indexes: IndexStore, report: Reporter, stop: Callable[[], bool] = lambda: False
) -> list[ClipRecord]:
    """Pieces of all videos in `places`, in order; what cannot be opened is left out and told of.

    Raises: StoppedError when `stop` said so; else as `whole_negatives`.
    """
    pieces: list[ClipRecord] = []
    videos = whole_negatives(places)
    with report.bar("reading negatives", len(videos)) as advance:
        for video in videos:
            if stop():
                raise StoppedError("stopped before the first step")
            advance("")
            try:
                times_s = indexes.get(video.file).times_s
            except InputError as error:
                report.say(f"--negatives: left out: {video.file}: {str(error).removeprefix(f'{video.file}: ')}")
                continue
            pieces += _cut(video, float(times_s[-1]) if len(times_s) else 0.0)
    if places and not pieces:
        raise InputError(f"--negatives {places[0]}: none of its videos can be used")
    return pieces


def _cut(whole: ClipRecord, seconds: float) -> list[ClipRecord]:
    """As many pieces of like length as come closest to `PIECE_S` each; the last one goes to the end of the file."""
    count = max(1, round(seconds / PIECE_S))
    ends = [*(round(seconds * i / count, 3) for i in range(1, count)), None]
    starts = [0.0, *(end for end in ends if end is not None)]
    spans = zip(starts, ends, strict=True)
    return [replace(whole, start_s=start, end_s=end) for start, end in spans]


def deal(records: Iterable[ClipRecord], folds: int, seed: int) -> list[set[str]]:
    """Which groups each fold leaves out: every group one fold's, alike many a fold, in an order drawn from `seed`."""
    names = sorted({record.group for record in records})
    np.random.default_rng([seed, 78]).shuffle(names)
    return [set(names[fold::folds]) for fold in range(folds)]
