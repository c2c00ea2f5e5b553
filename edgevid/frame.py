"""A frame: pixels and the moment they show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""RGB, uint8, `(H, W, 3)`."""
NO_PIXELS: Pixels = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        pixels: RGB uint8 `(H, W, 3)`, rotation already applied; `NO_PIXELS` where nobody wanted them.
        time_s: presentation time in seconds of the source's clock; starts at 0 and never goes back.
        index: 0, 1, 2, … in the order in which the source gave its frames.
        captured_s: reading of `time.monotonic()` when the frame left the source; what latency is counted from.
    """

    pixels: Pixels
    time_s: float
    index: int
    captured_s: float = 0.0

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"a frame is uint8 (H, W, 3), not {self.pixels.dtype} {self.pixels.shape}")

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"Frame(#{self.index} at {self.time_s:.3f} s, {width}x{height})"
