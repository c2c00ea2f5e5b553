"""Lay a drawn hand over a picture: motion blur, transparency, the shadow it casts."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.camera import smear
from edgevid_train.synthetic.noise import log_uniform
from edgevid_train.synthetic.relief import Layer

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shadow:
    """The hand's shadow on what is behind it."""

    offset: tuple[float, float]  # picture heights
    softness: float  # picture heights
    strength: float

    @staticmethod
    def random(rng: np.random.Generator) -> "Shadow":
        return Shadow(
            (rng.normal(0, 0.12), rng.normal(0.03, 0.08)), log_uniform(rng, 0.008, 0.05), rng.uniform(0.1, 0.5)
        )

    def cast(self, view: Floats, layer: Layer) -> None:
        """Darken `view` in place."""
        h, w = view.shape[:2]
        small = 4  # soft things need few pixels
        matrix = np.array([[small, 0, -layer.x - self.offset[0] * h], [0, small, -layer.y - self.offset[1] * h]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        alpha = np.ascontiguousarray(layer.rgba[..., 3])
        cover = cv2.warpAffine(alpha, matrix, (w // small + 1, h // small + 1), flags=flags)
        cover = cv2.GaussianBlur(cover, (0, 0), max(self.softness * h / small, 0.5))
        light = 1 - self.strength * cv2.resize(cover, (w, h))
        for channel in range(3):  # a last axis of three is numpy's slowest inner loop
            view[..., channel] *= light


def composite(view: Floats, layer: Layer, dx: float, dy: float) -> None:
    """Lay a hand that moves by (dx, dy) pixels while the shutter is open over `view`, in place."""
    rgba, x, y = layer.rgba, layer.x, layer.y
    h, w = view.shape[:2]
    reach = int(np.ceil(np.hypot(dx, dy) / 2))
    if reach >= 1:
        # Room for the smear, except at the picture's border, beyond which the arm goes on.
        top, left = min(reach, y), min(reach, x)
        bottom, right = min(reach, h - y - rgba.shape[0]), min(reach, w - x - rgba.shape[1])
        padded = cv2.copyMakeBorder(rgba, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        rgba, x, y = smear(np.asarray(padded, np.float32), dx, dy), x - left, y - top
    part = view[y : y + rgba.shape[0], x : x + rgba.shape[1]]
    under = 1 - rgba[..., 3]
    for channel in range(3):
        part[..., channel] *= under
        part[..., channel] += rgba[..., channel]
