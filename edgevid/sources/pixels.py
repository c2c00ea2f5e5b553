"""From a decoded picture to upright, reduced RGB; whatever decodes video goes through here."""

from collections.abc import Mapping
from typing import Any, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter

from edgevid.frame import Pixels
from edgevid.preprocess import reduce

Matrix = tuple[int, int, int, int]
"""a, b, c, d: the pixel at (x, y) is shown at (a x + c y, b x + d y) and shifted back to (0, 0); y points down."""


class ToPixels:
    """Decoded frames of one stream -> uint8 RGB `(h, w, 3)`, short side at most `short_side`, upright.

    swscale converts with the matrix and range (limited or full) that the frame declares; the size is changed by
    `edgevid.preprocess.reduce` alone. Pixels that are not square are made so, by the stream's sample aspect ratio.
    High dynamic range is converted, not tone-mapped.
    """

    def __init__(self, short_side: int, aspect: float = 1.0, threads: int = 1) -> None:
        """`aspect`: width of a pixel over its height."""
        self._short_side = short_side
        self._aspect = aspect
        self._threads = threads
        self._reformatter = VideoReformatter()  # keeps swscale's tables from frame to frame
        self._rotation: int | None = None
        self._matrix: Matrix | None = None

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """Raises av.error.FFmpegError for a pixel format that swscale cannot convert."""
        rgb = self._reformatter.reformat(frame, format="rgb24", threads=self._threads)
        pixels = np.asarray(rgb.to_ndarray(), np.uint8)
        if not 0.99 < self._aspect < 1.01:
            height, width = pixels.shape[:2]
            pixels = np.asarray(cv2.resize(pixels, (max(1, round(width * self._aspect)), height)), np.uint8)
        return upright(reduce(pixels, self._short_side), self._matrix_of(frame))

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height of the upright picture with square pixels, before it is reduced."""
        width, height = max(1, round(frame.width * self._aspect)), frame.height
        matrix = self._matrix_of(frame)
        return (height, width) if matrix is not None and _quarter_turned(matrix) else (width, height)

    def _matrix_of(self, frame: av.VideoFrame) -> Matrix | None:
        if frame.rotation != self._rotation:  # asking for that is cheap, for the matrix it is not
            self._rotation = frame.rotation
            self._matrix = display_matrix(frame)
        return self._matrix


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """How the picture is to be shown (ISO/IEC 14496-12, 6.2.2), in 65536ths; None: as it is."""
    # In PyAV a frame whose side data was looked at refers to itself and stays until Python's collector happens to run,
    # by which time hundreds of megabytes of pictures may wait for it. So look at that of a copy the size of a stamp.
    stamp = frame.reformat(width=16, height=16, format="gray", threads=1)
    data = cast(Mapping[Any, Any], stamp.side_data).get(SideData.DISPLAYMATRIX)  # its stub knows other keys
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    return a, b, c, d


def upright(pixels: Pixels, matrix: Matrix | None) -> Pixels:
    """Apply quarter turns and mirroring; angles in between, which no camera writes, go to the nearest quarter turn."""
    if matrix is None:
        return pixels
    a, b, c, d = matrix
    if _quarter_turned(matrix):
        pixels = pixels.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    else:
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)


def _quarter_turned(matrix: Matrix) -> bool:
    return abs(matrix[1]) > abs(matrix[0])
