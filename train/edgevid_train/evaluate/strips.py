"""A clip at one look: some of its frames side by side, from its start to its end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.files import replacing
from edgevid.frame import Pixels
from edgevid_train.decode import DecodedClip

FRAMES, HEIGHT_PX, GAP_PX = 8, 96, 2
WIDEST = 4
"""A frame that is wider than so many times its height is drawn narrower: a JPEG has at most 65535 pixels a side."""
_QUALITY = 80


def strip(clip: DecodedClip, frames: int = FRAMES, height_px: int = HEIGHT_PX) -> Pixels:
    """`frames` frames spread evenly over the clip's time, the last among them: uint8 `(height_px, W, 3)`, RGB.

    A clip with fewer frames shows some of them several times: its strip is as long as the others.
    """
    height, width = clip.frames.shape[1:3]
    size = (max(1, round(min(width / height, WIDEST) * height_px)), height_px)
    taken = spread_over(clip.times_s, frames)
    return side_by_side([cv2.resize(clip.frames[i], size, interpolation=cv2.INTER_AREA) for i in taken])


def spread_over(times_s: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Positions of `count` of these times, evenly spread from the first to the last."""
    ticks = np.linspace(times_s[0], times_s[-1], count)
    return np.minimum(np.searchsorted(times_s, ticks - 1e-6), len(times_s) - 1)


def side_by_side(pictures: Sequence[NDArray[Any]]) -> Pixels:
    """uint8 pictures of one size in a row, a gap between."""
    gap = np.full((len(pictures[0]), GAP_PX, 3), 128, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.asarray(np.concatenate(parts[1:], axis=1), np.uint8)


def one_below_another(rows: Sequence[Pixels]) -> Pixels:
    """uint8 pictures of one width, a gap between."""
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 128, np.uint8)
    parts = [part for row in rows for part in (gap, row)]
    return np.asarray(np.concatenate(parts[1:]), np.uint8)


def write_strip(clip: DecodedClip, path: Path) -> None:
    """`strip` as a JPEG."""
    write_jpeg(strip(clip), path)


def write_jpeg(picture: Pixels, path: Path) -> None:
    encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
