"""A clip at one look: some of its frames side by side, from its start to its end."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.files import replacing
from edgevid.frame import Pixels
from edgevid_train.decode import DecodedClip

FRAMES, HEIGHT_PX, GAP_PX = 8, 96, 2
_QUALITY = 80


def strip(clip: DecodedClip, frames: int = FRAMES, height_px: int = HEIGHT_PX) -> Pixels:
    """`frames` frames spread evenly over the clip's time, the last among them: uint8 `(height_px, W, 3)`, RGB.

    A clip with fewer frames shows some of them several times: its strip is as long as the others.
    """
    ticks = np.linspace(clip.times_s[0], clip.times_s[-1], frames)
    taken = np.minimum(np.searchsorted(clip.times_s, ticks - 1e-6), len(clip.times_s) - 1)
    height, width = clip.frames.shape[1:3]
    size = (max(1, round(width * height_px / height)), height_px)
    gap = np.full((height_px, GAP_PX, 3), 128, np.uint8)
    shown: list[NDArray[np.uint8]] = []
    for i in taken:
        shown += [gap, np.asarray(cv2.resize(clip.frames[i], size, interpolation=cv2.INTER_AREA), np.uint8)]
    return np.concatenate(shown[1:], axis=1)


def write_strip(clip: DecodedClip, path: Path) -> None:
    """`strip` as a JPEG."""
    encoded = cv2.imencode(".jpg", strip(clip)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
