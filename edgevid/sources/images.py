"""A folder of images, one per frame."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgevid.errors import InputError
from edgevid.frame import Frame, Pixels
from edgevid.preprocess import reduce
from edgevid.sources.contract import Source, SourceCounts, SourceInfo
from edgevid.sources.quiet import quiet_opencv

IMAGE_ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class ImageSource(Source):
    """The images of a folder in the order of the numbers in their names, `rate_hz` of them a second.

    Orientation that a camera wrote into them (EXIF) is applied. An image that cannot be read is counted and leaves a
    hole in time: those after it keep theirs.

    Raises:
        InputError: the folder has no image, or none that can be read.
    """

    def __init__(
        self,
        folder: Path,
        rate_hz: float,
        *,
        short_side: int,
        counts: SourceCounts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(counts)
        try:
            images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")]
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}") from None
        if not images:
            raise InputError(f"{folder}: a folder without images")
        self._images = sorted(images, key=lambda path: _natural(path.name))
        self._rate_hz = rate_hz
        self._short_side = short_side
        self._clock = clock
        self._position = 0  # of the image read next; what times are counted by
        self._index = 0
        self._first = self._next_readable()
        if self._first is None:
            raise InputError(f"{folder}: none of its {len(images)} images can be read")
        height, width = self._first[0].shape[:2]
        self.info = SourceInfo(str(folder), width, height, rate_hz, len(images) / rate_hz, live=False)

    def _read(self) -> Frame | None:
        picture, self._first = self._first or self._next_readable(), None
        if picture is None:
            return None
        pixels, time_s = picture
        frame = Frame(reduce(pixels, self._short_side), time_s, self._index, self._clock())
        self._index += 1
        self.counts.frames += 1
        return frame

    def _release(self) -> None:
        self._first = None

    def _next_readable(self) -> tuple[Pixels, float] | None:
        while self._position < len(self._images):
            pixels = read_image(self._images[self._position])
            time_s = self._position / self._rate_hz
            self._position += 1
            if pixels is not None:
                return pixels, time_s
            self.counts.undecodable += 1
        return None


def read_image(path: Path) -> Pixels | None:
    """RGB uint8 `(H, W, 3)`, orientation (EXIF) applied; None where it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open every name on Windows
        with quiet_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _natural(name: str) -> list[tuple[int, str]]:
    """`frame_2` before `frame_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
