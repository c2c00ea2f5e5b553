"""The same clips, changed: what accuracy owes to the order of frames, their rate, a clean picture, light and framing.

Each change is a function of the clip alone: what is random in it comes from the clip's name. Spatial changes are made
at the runtime's size (short side 240).
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from edgevid.frame import Pixels
from edgevid_train.decode import DecodedClip
from edgevid_train.samples.augment import exposed

NOISE_SIGMA, BLUR_SIGMA_PX, JPEG_QUALITY, LOST, SPEED = 16.0, 3.0, 10, 0.5, 1.5
DARKER_STOPS, BRIGHTER_STOPS = 2.0, 1.0
LAMP = (1.2, 1.0, 0.7)  # of red, green and blue
TILT_DEG, NEARER = 15.0, 1.25


@dataclass(frozen=True)
class Perturbation:
    """`what`: one line for a person; `apply` gives a new clip and leaves the one it gets as it is."""

    what: str
    apply: Callable[[DecodedClip], DecodedClip]


def reverse(clip: DecodedClip) -> DecodedClip:
    """The last frame first; the pauses between frames are mirrored too."""
    times_s = clip.times_s[0] + (clip.times_s[-1] - clip.times_s[::-1])
    return replace(clip, frames=clip.frames[::-1], times_s=times_s)


def shuffle(clip: DecodedClip) -> DecodedClip:
    """The same frames in random order, at the same times."""
    return replace(clip, frames=clip.frames[_rng(clip).permutation(len(clip.frames))])


def drop(clip: DecodedClip) -> DecodedClip:
    """Each frame but the first is lost with probability `LOST`."""
    kept = _rng(clip).random(len(clip.frames)) >= LOST
    kept[0] = True
    return replace(clip, frames=clip.frames[kept], times_s=clip.times_s[kept])


def half_rate(clip: DecodedClip) -> DecodedClip:
    """Every second frame, as from a camera of half the rate."""
    return replace(clip, frames=clip.frames[::2], times_s=clip.times_s[::2])


def faster(clip: DecodedClip) -> DecodedClip:
    """Everything happens `SPEED` times as fast."""
    return replace(clip, times_s=clip.times_s[0] + (clip.times_s - clip.times_s[0]) / SPEED)


def noise(clip: DecodedClip) -> DecodedClip:
    """Gaussian noise of `NOISE_SIGMA` grey levels, independent in every pixel and channel."""
    rng = _rng(clip)

    def noisy(frame: Pixels) -> Pixels:
        added = rng.standard_normal(frame.shape, np.float32) * NOISE_SIGMA
        return np.asarray(np.clip(frame + added, 0, 255).round(), np.uint8)

    return _each(clip, noisy)


def blur(clip: DecodedClip) -> DecodedClip:
    """A Gaussian of `BLUR_SIGMA_PX` pixels."""
    return _each(clip, lambda frame: np.asarray(cv2.GaussianBlur(frame, (0, 0), BLUR_SIGMA_PX), np.uint8))


def compress(clip: DecodedClip) -> DecodedClip:
    """Each frame as a JPEG of quality `JPEG_QUALITY`."""

    def compressed(frame: Pixels) -> Pixels:
        encoded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])

    return _each(clip, compressed)


def darker(clip: DecodedClip) -> DecodedClip:
    """As with `DARKER_STOPS` less exposure."""
    return _scaled(clip, exposed(-DARKER_STOPS))


def brighter(clip: DecodedClip) -> DecodedClip:
    """As with `BRIGHTER_STOPS` more exposure: what was bright is white."""
    return _scaled(clip, exposed(BRIGHTER_STOPS))


def lamplight(clip: DecodedClip) -> DecodedClip:
    """A white balance that is off, by the factors `LAMP`."""
    return _scaled(clip, LAMP)


def tilted(clip: DecodedClip) -> DecodedClip:
    """The head held `TILT_DEG` askew; the picture's edges are repeated outwards."""
    return _turned(clip, TILT_DEG, 1.0)


def nearer(clip: DecodedClip) -> DecodedClip:
    """Everything `NEARER` times as large: what was near the edge is lost."""
    return _turned(clip, 0.0, NEARER)


CHANGES: Final[Mapping[str, Perturbation]] = {
    "reversed": Perturbation("the last frame first", reverse),
    "shuffled": Perturbation("frames in random order", shuffle),
    "dropped": Perturbation(f"each frame lost with probability {LOST:g}", drop),
    "half rate": Perturbation("every second frame", half_rate),
    "faster": Perturbation(f"{SPEED:g} times as fast", faster),
    "noise": Perturbation(f"Gaussian noise, sigma {NOISE_SIGMA:g} grey levels", noise),
    "blur": Perturbation(f"Gaussian blur, sigma {BLUR_SIGMA_PX:g} pixels of 240", blur),
    "compression": Perturbation(f"JPEG of quality {JPEG_QUALITY}", compress),
    "darker": Perturbation(f"{DARKER_STOPS:g} stops less exposure", darker),
    "brighter": Perturbation(f"{BRIGHTER_STOPS:g} stop more exposure", brighter),
    "lamplight": Perturbation("red times {:g}, green times {:g}, blue times {:g}".format(*LAMP), lamplight),
    "tilted": Perturbation(f"turned by {TILT_DEG:g} degrees", tilted),
    "nearer": Perturbation(f"{NEARER:g} times as large", nearer),
}


def _each(clip: DecodedClip, change: Callable[[Pixels], Pixels]) -> DecodedClip:
    return replace(clip, frames=np.stack([change(frame) for frame in clip.frames]))


def _scaled(clip: DecodedClip, factor: float | tuple[float, float, float]) -> DecodedClip:
    levels = np.arange(256)[:, None] * np.broadcast_to(factor, 3)
    table = np.clip(levels.round(), 0, 255).astype(np.uint8)
    return _each(clip, lambda frame: np.asarray(cv2.LUT(frame, table[None]), np.uint8))


def _turned(clip: DecodedClip, degrees: float, scale: float) -> DecodedClip:
    height, width = clip.frames.shape[1:3]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)

    def turned(frame: Pixels) -> Pixels:
        moved = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.uint8)

    return _each(clip, turned)


def _rng(clip: DecodedClip) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(clip.record.id.encode()))
