"""How good a clip's picture is: blur, exposure, noise (see `edgevid.picture`), and how few bits it was given."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevid.picture import Grey, brightness, clipped, luma, motion, noise, sharpness
from edgevid.sources import SourceInfo, open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, DecodeError, IndexStore, decode_clip
from edgevid_train.storage import is_one_file, media, size_of

LOOKED_AT = 12
"""Frames of a clip that are measured, spread evenly."""

BLURRED, DARK, BRIGHT, CLIPPED, NOISY, STARVED, STILL = 15.0, 40.0, 215.0, 0.25, 6.0, 0.01, 0.3
"""Where a fault begins: see `Quality.faults`, and there the units."""


@dataclass(frozen=True)
class Quality:
    """Medians over the frames of a clip.

    Attributes:
        sharpness: variance of the Laplacian, in grey levels squared; a picture without edges has little too.
        brightness: mean luma, 0..255.
        clipped: share of pixels that are black (at most 5) or white (at least 250).
        noise: standard deviation of the noise, in grey levels.
        motion: mean absolute difference of frames that are looked at one after the other, in grey levels.
        kbit_s: bit rate of the whole file, 1000 bits a second; None where its length is unknown.
        bits_per_pixel: of the whole file at its own size and rate; None where one of them is unknown.
    """

    sharpness: float
    brightness: float
    clipped: float
    noise: float
    motion: float
    kbit_s: float | None = None
    bits_per_pixel: float | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """What a person should look at, in words; nothing for most clips."""
        found = {
            "blurred": self.sharpness < BLURRED,
            "dark": self.brightness < DARK,
            "bright": self.brightness > BRIGHT,
            "clipped": self.clipped > CLIPPED,
            "noisy": self.noise > NOISY,
            "blocky": self.bits_per_pixel is not None and self.bits_per_pixel < STARVED,
            "still": self.motion < STILL,
        }
        return tuple(name for name, is_so in found.items() if is_so)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "faults": list(self.faults)}


def quality_of(clip: DecodedClip, info: SourceInfo | None = None) -> Quality:
    """Measure a decoded clip. `info`: what its file says of itself, for the bit rate."""
    taken = np.unique(np.linspace(0, len(clip.frames) - 1, LOOKED_AT).round().astype(int))
    greys = [luma(clip.frames[i]) for i in taken]

    def median(measure: Callable[[Grey], float]) -> float:
        return float(np.median([measure(grey) for grey in greys]))

    kbit_s, bits = (None, None) if info is None else bit_rate(size_of(clip.record.file), info)
    return Quality(median(sharpness), median(brightness), median(clipped), median(noise), motion(greys), kbit_s, bits)


def look_at_quality(record: ClipRecord, indexes: IndexStore) -> tuple[DecodedClip, Quality]:
    """Decode a record at the runtime's size and measure it. Raises DecodeError."""
    clip = decode_clip(record, RUNTIME_SHORT_SIDE, indexes=indexes)
    if not is_one_file(record.file):  # images, or chunks of a video: their bits say little about one clip
        return clip, quality_of(clip)
    with open_source(media(record.file), pace="fast") as source:
        return clip, quality_of(clip, source.info)


def quality_of_all(records: Iterable[ClipRecord]) -> dict[str, Any]:
    """How many clips have which fault, and the figures of each clip; one that cannot be read has none.

    Returns: ready for JSON: `{"faults": {name: clips}, "clips": [{"clip", …}], "unreadable": [{"clip", "reason"}]}`.
    """
    clips: list[dict[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    indexes = IndexStore()
    for record in records:
        try:
            clips.append({"clip": record.id, **look_at_quality(record, indexes)[1].to_json()})
        except DecodeError as error:
            unreadable.append({"clip": record.id, "reason": str(error)})
    faults = Counter(fault for clip in clips for fault in clip["faults"])
    return {"faults": dict(faults.most_common()), "clips": clips, "unreadable": unreadable}


def bit_rate(size_bytes: int, info: SourceInfo) -> tuple[float | None, float | None]:
    """1000 bits a second, and bits for each pixel of each frame; sound and container are counted as picture."""
    if not info.duration_s:
        return None, None
    bits_s = 8 * size_bytes / info.duration_s
    pixels_s = info.width * info.height * (info.rate_hz or 0)
    return bits_s / 1000, bits_s / pixels_s if pixels_s else None
