"""Looks as a strip: some frames side by side, each with its map laid over it and its places as dots.

Where there is attention, the same frames stand below with that laid over them.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.strips import FRAMES, HEIGHT_PX, one_below_another, side_by_side, spread_over, write_jpeg

_MOST_COLOUR = 0.75
"""Of a pixel where the map is 1; the picture stays visible."""
_RING, _DOT = (0, 255, 255), (255, 255, 255)


def look_strip(looks: Looks, aspect: float, frames: int = FRAMES, height_px: int = HEIGHT_PX) -> Pixels:
    """uint8 `(height_px, W, 3)`, RGB, of `frames` frames spread evenly over the time that was looked at.

    With attention it is `(2 * height_px + GAP_PX, W, 3)`.

    `aspect`: width over height that a frame is shown with: that of the clip, where the network was given it stretched.
    """
    size = (max(1, round(aspect * height_px)), height_px)
    taken = spread_over(looks.times_s, frames)
    rows = [side_by_side([_dotted(_shown(looks.frames[i], looks.maps[i], size), looks, i) for i in taken])]
    if looks.attention is not None:
        rows.append(side_by_side([_shown(looks.frames[i], looks.attention[i], size) for i in taken]))
    return one_below_another(rows)


def write_look_strip(looks: Looks, aspect: float, path: Path) -> None:
    """`look_strip` as a JPEG."""
    write_jpeg(look_strip(looks, aspect), path)


def _shown(frame: Pixels, found: NDArray[np.float32], size: tuple[int, int]) -> Pixels:
    grey = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_RGB2GRAY)
    found = np.sqrt(np.clip(cv2.resize(found, size, interpolation=cv2.INTER_LINEAR), 0, 1))
    colour = cv2.applyColorMap((255 * (0.25 + 0.75 * found)).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    strength = np.minimum(_MOST_COLOUR, 2 * found)  # the square root: few frames decide, and the others are to be seen
    share = strength[..., None]
    return np.ascontiguousarray((grey[..., None] * (1 - share) + colour * share).round().astype(np.uint8))


def _dotted(picture: Pixels, looks: Looks, i: int) -> Pixels:
    if looks.places is not None:
        _dots(picture, looks.places[i])
    return picture


def _dots(picture: NDArray[np.uint8], places: NDArray[np.float32]) -> None:
    """The first place as a ring, the others as dots; those outside of the picture are not seen."""
    height, width = picture.shape[:2]
    for number, (x, y) in reversed(list(enumerate(places))):
        if np.isfinite((x, y)).all():
            at = (round(float(x) * width), round(float(y) * height))
            if number:
                cv2.circle(picture, at, 1, _DOT, -1, cv2.LINE_AA)
            else:
                cv2.circle(picture, at, 5, (0, 0, 0), 3, cv2.LINE_AA)
                cv2.circle(picture, at, 5, _RING, 1, cv2.LINE_AA)
