"""Photographs and videos of the user's own, to stand behind drawn clips."""

from pathlib import Path

import cv2
import numpy as np

from edgevid.errors import InputError
from edgevid.frame import Pixels
from edgevid.preprocess import reduce
from edgevid.sources import open_source
from edgevid.sources.images import IMAGE_ENDINGS, read_image
from edgevid_train.annotations.paths import VIDEO_ENDINGS, files_below
from edgevid_train.synthetic.textures import Floats

_MAX_BYTES = 512 * 2**20
_KEPT_SIDE = 480  # pixels of the short side that are kept in memory
_FRAMES_PER_VIDEO, _EVERY = 8, 30  # so many pictures of a video, each so many frames after the one before


class BackgroundBank:
    """Photographs and videos in a folder, one of which stands behind a clip.

    They are searched below it too; hidden ones are left out. Of a video, a still frame is taken when the clip is
    rendered; the synthetic camera moves over it. Files that cannot be read are listed in `unreadable`; of a damaged
    video what comes before the fault is used. What comes after the first 512 MB of pictures, in the order of their
    names, is counted in `left_out`.

    Raises:
        InputError: the folder does not exist, cannot be looked into or holds neither.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of backgrounds")
        endings = IMAGE_ENDINGS | VIDEO_ENDINGS
        found = sorted(path for path in files_below(folder) if path.suffix.lower() in endings)
        self.unreadable: list[Path] = []
        self.pictures: list[Pixels] = []
        self.left_out = 0
        for file in found:
            if sum(picture.nbytes for picture in self.pictures) > _MAX_BYTES:
                self.left_out += 1
                continue
            pictures = _of_image(file) if file.suffix.lower() in IMAGE_ENDINGS else _of_video(file)
            self.pictures += pictures
            if not pictures:
                self.unreadable.append(file)
        if not self.pictures:
            raise InputError(f"{folder}: no image or video that can be read ({len(self.unreadable)} could not)")

    def left_out_lines(self) -> list[str]:
        """What a person should know of the folder, one line each."""
        lines = [f"skipped, not readable: {file}" for file in self.unreadable]
        return lines + ([f"skipped, memory is full of backgrounds: {self.left_out} files"] if self.left_out else [])

    def pick(self, rng: np.random.Generator, height: int, width: int) -> Floats:
        """A random part of a random picture, `(height, width, 3)`."""
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        h, w = picture.shape[:2]
        scale = max(height / h, width / w) * rng.uniform(1.0, 1.4)
        resized = cv2.resize(picture, (max(round(w * scale), width), max(round(h * scale), height)))
        y = int(rng.integers(resized.shape[0] - height + 1))
        x = int(rng.integers(resized.shape[1] - width + 1))
        part = np.asarray(resized[y : y + height, x : x + width] / 255, np.float32)
        return part[:, ::-1] if rng.random() < 0.5 else part


def _of_image(file: Path) -> list[Pixels]:
    picture = read_image(file)
    return [] if picture is None else [reduce(picture, _KEPT_SIDE)]


def _of_video(file: Path) -> list[Pixels]:
    pictures: list[Pixels] = []
    following = 1  # the number of the frame that is read next; the first one is read when the file is opened
    try:
        with open_source(file, short_side=_KEPT_SIDE, pace="fast") as source:
            source.wanted = lambda _: following % _EVERY == 0
            for frame in source:
                following = frame.index + 1
                if frame.index % _EVERY == 0:
                    pictures.append(frame.pixels)
                if len(pictures) == _FRAMES_PER_VIDEO:
                    break
    except InputError:
        pass  # no video, or one without a picture
    return pictures
