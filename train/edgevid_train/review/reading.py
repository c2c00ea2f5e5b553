"""Whether the clips of a run are fit to be seen: a few frames of each are looked at while it is read.

A dark or blurred clip is trained on like any other; a person should know how many there are.
"""

import csv
import io
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from edgevid.errors import InputError
from edgevid.files import write_text
from edgevid.picture import brightness, luma, sharpness
from edgevid.preprocess import reduce
from edgevid.sources import open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, DecodedClip, DecodeError, decode_clip
from edgevid_train.review.quality import STARVED, bit_rate

FRAMES, SHORT_SIDE = 3, 120
"""Of a clip so many frames are measured, at this size: blur depends on it."""
MOST_KNOWN = 64
"""Of clips that an earlier run decoded, and this one need not, so many are looked at, spread evenly."""
HARDLY_LIT, HARDLY_SHARP = 30.0, 12.0
"""Mean luma, and variance of the Laplacian at `SHORT_SIDE`: below that little is to be seen."""

Faults = Mapping[ClipRecord, tuple[str, ...]]
"""What is wrong with each clip that was looked at; nothing with most."""


class Glances:
    """What was seen of clips at a glance. Safe with many threads."""

    def __init__(self) -> None:
        self.faults: dict[ClipRecord, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def take(self, clip: DecodedClip) -> None:
        """Look at a clip that was decoded anyway."""
        found = faults_of(clip)
        with self._lock:
            self.faults[clip.record] = found

    def take_some(self, records: Sequence[ClipRecord], cache: ClipCache) -> None:
        """Look at some of those that were not decoded, at those frames only that are measured."""
        left = [record for record in records if record not in self.faults]
        for i in np.unique(np.linspace(0, len(left) - 1, min(MOST_KNOWN, len(left))).round().astype(int)):
            try:
                clip = decode_clip(left[i], cache.short_side, cache.spans.get(left[i]), cache.indexes, _few)
            except DecodeError:
                continue  # training says so if it comes to that
            self.take(clip)


def faults_of(clip: DecodedClip) -> tuple[str, ...]:
    """`very dark`, `very blurred`, `blocky`: what of this is so, by medians over a few frames."""
    frames = clip.frames[_few(clip.times_s)]
    greys = [luma(reduce(frame, SHORT_SIDE)) for frame in frames]
    found = {
        "very dark": float(np.median([brightness(grey) for grey in greys])) < HARDLY_LIT,
        "very blurred": float(np.median([sharpness(grey) for grey in greys])) < HARDLY_SHARP,
        "blocky": _is_starved(clip.record.file),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def summary(faults: Faults, total: int) -> str | None:
    """One line: how many clips have which fault, and an example; None where nothing is wrong."""
    counts = Counter(fault for found in faults.values() for fault in found)
    if not counts:
        return None
    looked_at = f"{len(faults)} clips" if len(faults) == total else f"{len(faults)} of {total} clips looked at"
    first = next(record for record, found in faults.items() if found)
    kinds = ", ".join(f"{n} {fault}" for fault, n in counts.most_common())
    return f"warning: picture quality: of {looked_at} {kinds}; {first.id} for one; `edgevid data review` shows them"


def write_faults(path: Path, faults: Faults) -> None:
    """`clip,label,faults`, one row for each clip with a fault; the header alone when there is none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", "faults"])
    writer.writerows([record.id, record.label, "; ".join(found)] for record, found in faults.items() if found)
    write_text(path, text.getvalue())


def _few(times_s: np.ndarray) -> np.ndarray:
    """Positions of `FRAMES` frames from the middle of each part of a clip."""
    return ((np.arange(FRAMES) + 0.5) / FRAMES * len(times_s)).astype(np.intp)


@lru_cache(1024)
def _is_starved(file: Path) -> bool:
    """Whether a file has so few bits for its pixels that it must be blocky; not of images, chunks and remote files."""
    if not file.is_file():
        return False
    try:
        with open_source(file, pace="fast") as source:
            bits = bit_rate(file.stat().st_size, source.info)[1]
    except (InputError, OSError):
        return False
    return bits is not None and bits < STARVED
