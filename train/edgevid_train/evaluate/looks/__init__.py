"""Where a network looked in a clip: class activation and attention over places and times, and places an eye found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]
"""`(N, h, w)` of N frames, 0..1; 1 where in the clip the most was found."""


@dataclass(frozen=True)
class Looks:
    """What spoke for one label, in every frame that a network was given of a clip.

    Attributes:
        frames: uint8 `(N, H, W, 3)`, as the network was given them.
        times_s: `(N,)`, seconds from the clip's first frame.
        maps: of the same frames, however coarse.
        places: float32 `(N, points, 2)`, x and y in 0..1 of the frames: where its eye looked, the place where a hand
            points first; None of a network without such an eye.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    maps: Maps
    places: NDArray[np.float32] | None = None
    attention: Maps | None = None
