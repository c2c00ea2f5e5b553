"""The one way from a frame to a model's pixels; training, evaluation and runtime all call it."""

import cv2
import numpy as np

from edgevid.frame import Pixels
from edgevid.manifest import InputSpec

_FILTERS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


def reduce(pixels: Pixels, short_side: int) -> Pixels:
    """Shrink to at most `short_side` pixels on the short side, keeping the aspect ratio; never enlarges.

    Sources apply it before a frame enters the ring: uint8 `(H, W, 3)` -> uint8 `(h, w, 3)`.
    """
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def fit(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Bring uint8 `(H, W, 3)` to uint8 `(spec.height, spec.width, 3)` as the manifest says."""
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return pixels
    if spec.fit == "crop":
        keep = min(width / spec.width, height / spec.height)
        w, h = max(1, round(spec.width * keep)), max(1, round(spec.height * keep))
        top, left = (height - h) // 2, (width - w) // 2
        pixels = pixels[top : top + h, left : left + w]
    elif spec.fit == "letterbox":
        scale = min(spec.width / width, spec.height / height)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((spec.height, spec.width, 3), np.uint8)
        top, left = (spec.height - h) // 2, (spec.width - w) // 2
        canvas[top : top + h, left : left + w] = _resized(pixels, (w, h), spec)
        return canvas
    return _resized(pixels, (spec.width, spec.height), spec)


def _resized(pixels: Pixels, size: tuple[int, int], spec: InputSpec) -> Pixels:
    """To `size`, width and height, by the manifest's filter."""
    height, width = pixels.shape[:2]
    shrinks, in_parts = width >= size[0] and height >= size[1], width % size[0] or height % size[1]
    if spec.filter == "area" and shrinks and in_parts:
        # OpenCV sums parts of pixels in floats: handed floats it needs a quarter less time for the same bytes
        means = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.rint(means, out=means).astype(np.uint8)
    return np.asarray(cv2.resize(pixels, size, interpolation=_FILTERS[spec.filter]), np.uint8)
