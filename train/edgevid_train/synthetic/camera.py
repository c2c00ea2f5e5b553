"""How the head that carries the camera moves: shake, sway, turns and small steps forward."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.noise import log_uniform, minimum_jerk, wander

Floats = NDArray[np.float32]

MARGIN = 1.5  # a background is this much larger than the picture


@dataclass(frozen=True)
class CameraPath:
    """The view's shift (picture heights), turn (radians) and zoom at each of `T` frames."""

    shift: NDArray[np.float64]  # (T, 2)
    turn: NDArray[np.float64]  # (T,)
    zoom: NDArray[np.float64]  # (T,)

    def matrix(self, frame: int, width: int, height: int, background: tuple[int, int]) -> NDArray[np.float64]:
        """From picture pixels to pixels of a background of `(height, width)`."""
        bh, bw = background
        scale = (bh / height / MARGIN) * self.zoom[frame]
        c, s = np.cos(self.turn[frame]) * scale, np.sin(self.turn[frame]) * scale
        x, y = np.array([bw / 2, bh / 2]) + self.shift[frame] * bh / MARGIN
        return np.array([[c, -s, x - c * width / 2 + s * height / 2], [s, c, y - s * width / 2 - c * height / 2]])


def camera_path(rng: np.random.Generator, times_s: NDArray[np.float64], lively: bool) -> CameraPath:
    """A random movement; `lively` looks around, otherwise the wearer tries to keep still."""
    calm = log_uniform(rng, 0.001, 0.012)
    shift = np.stack([wander(rng, times_s, 0.2, 2.5, calm) + wander(rng, times_s, 3, 9, 0.15 * calm) for _ in "xy"], 1)
    turn = wander(rng, times_s, 0.2, 2.0, 0.6 * calm)
    zoom = 1 + wander(rng, times_s, 0.1, 0.8, 0.8 * calm)
    if rng.random() < (0.9 if lively else 0.25):  # a slow turn of the head
        far = log_uniform(rng, 0.05, 0.6 if lively else 0.2)
        angle, length_s = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 4.0)
        begin = rng.uniform(-0.5 * length_s, max(float(times_s[-1]), 0.5))
        part = minimum_jerk((times_s - begin) / length_s)[:, None] - 0.5
        shift = shift + far * part * (np.cos(angle), np.sin(angle))
        zoom = zoom + rng.normal(0, 0.1) * part[:, 0]
        turn = turn + rng.normal(0, 0.08) * part[:, 0]
    return CameraPath(shift, turn, np.clip(zoom, 0.75, 1.3))


def look_at(background: Floats, path: CameraPath, frame: int, width: int, height: int) -> Floats:
    """The background `(bh, bw, 3)` as that frame sees it, `(height, width, 3)`."""
    matrix = path.matrix(frame, width, height, (background.shape[0], background.shape[1]))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(background, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(view, np.float32)


def smear(picture: Floats, dx: float, dy: float) -> Floats:
    """Motion blur of a straight movement by `(dx, dy)` pixels while the shutter was open."""
    length = float(np.hypot(dx, dy))
    if length < 1.0:
        return picture
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    bits = 4  # the ends are placed to a sixteenth of a pixel
    ends = [(round((half + sign * d / 2) * 2**bits)) for sign in (-1, 1) for d in (dx, dy)]
    cv2.line(kernel, (ends[0], ends[1]), (ends[2], ends[3]), 1.0, 1, cv2.LINE_AA, bits)
    total = float(kernel.sum())
    if total <= 0:
        return picture
    return np.asarray(cv2.filter2D(picture, -1, kernel / total, borderType=cv2.BORDER_REPLICATE), np.float32)
