"""How good a picture is, and a watch over a camera's: black, blown out, blurred, frozen.

Measures are functions of one frame as the runtime keeps it (short side at most 240), so that figures of large and small
cameras, and of training data, can be compared.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid.sampling import GAP_S

Grey = NDArray[np.uint8]
"""Luma, uint8 `(H, W)`."""

LOOK_EVERY_S = 0.5
LASTS_S, FROZEN_S = 3.0, 5.0
"""So long a fault lasts before it is told of; a camera may stand still for longer than a hand covers it."""
BLACK, BLOWN_OUT, VERY_BLURRED, SAME = 16.0, 0.6, 4.0, 0.02
"""Where a fault begins: mean luma, share of white pixels, variance of the Laplacian, mean difference in grey levels."""

FAULTS: Final = {
    "black": "the picture is nearly black",
    "blown out": "the picture is blown out: most of it is white",
    "blurred": "the picture is very blurred, or shows nothing that has an edge",
    "frozen": f"the picture has not changed at all for {FROZEN_S:.0f} s",
}
"""Fault -> what a person is told."""


def luma(frame: Pixels) -> Grey:
    """RGB `(H, W, 3)` to luma (BT.601)."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def sharpness(grey: Grey) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000): low where nothing has a sharp edge."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def brightness(grey: Grey) -> float:
    """Mean luma, 0..255."""
    return float(grey.mean())


def clipped(grey: Grey) -> float:
    """Share of pixels so dark or so bright that what was there is lost."""
    return float(((grey <= 5) | (grey >= 250)).mean())


def noise(grey: Grey) -> float:
    """Standard deviation of additive noise, in grey levels, blind to edges of first order (Immerkær 1996)."""
    if min(grey.shape) < 3:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    response = np.abs(cv2.filter2D(grey, cv2.CV_64F, kernel)[1:-1, 1:-1])
    return float(math.sqrt(math.pi / 2) / 6 * response.mean())


def motion(greys: Sequence[Grey]) -> float:
    """Mean absolute difference of each picture and the one before it, the median of them; 0 of a single picture."""
    return float(np.median([cv2.absdiff(a, b).mean() for a, b in itertools.pairwise(greys)] or [0.0]))


class PictureWatch:
    """Looks at a picture now and then, and tells of each fault that lasts once in a run."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._looked_s = -math.inf
        self._before: Grey | None = None
        self._now_s = 0.0

    def look(self, time_s: float, pixels: Pixels) -> str | None:
        """A fault of `FAULTS` that has now lasted long enough and was never told of, or None.

        `pixels`: uint8 `(H, W, 3)`, looked at every `LOOK_EVERY_S` of the source's clock, `time_s`.
        """
        if time_s - self._looked_s < LOOK_EVERY_S or not pixels.size:
            return None
        if time_s - self._looked_s > GAP_S:  # what nobody saw did not last
            self._since_s, self._before = {}, None
        self._looked_s = self._now_s = time_s
        found = self._faults(luma(pixels))
        self._since_s = {fault: self._since_s.get(fault, time_s) for fault in found}
        new = [fault for fault in self.lasting if fault not in self._told]
        self._told |= set(new[:1])
        return new[0] if new else None

    @property
    def lasting(self) -> tuple[str, ...]:
        """The faults that the picture has now, and has had for long enough."""
        lasted_s = {fault: self._now_s - since_s for fault, since_s in self._since_s.items()}
        return tuple(fault for fault, s in lasted_s.items() if s >= (FROZEN_S if fault == "frozen" else LASTS_S))

    def _faults(self, grey: Grey) -> list[str]:
        """A black or white picture is blurred and frozen too, which is not what is wrong with it."""
        before, self._before = self._before, grey
        if brightness(grey) < BLACK:
            return ["black"]
        if float((grey >= 250).mean()) > BLOWN_OUT:
            return ["blown out"]
        still = before is not None and before.shape == grey.shape and motion([before, grey]) < SAME
        return ["blurred"] * (sharpness(grey) < VERY_BLURRED) + ["frozen"] * still
