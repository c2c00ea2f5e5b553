"""The few shapes of randomness that everything synthetic is made of."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number between `low` and `high` (> 0) whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def wander(
    rng: np.random.Generator, times_s: NDArray[np.float64], low_hz: float, high_hz: float, amplitude: float
) -> NDArray[np.float64]:
    """A smooth aimless signal `(T,)` with that standard deviation: six sines with random frequency and phase.

    It is a function of time rather than of the frame number, so another frame rate sees the same movement.
    """
    freq_hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), 6))
    phase = rng.uniform(0, 2 * np.pi, 6)
    weight = (freq_hz / low_hz) ** -0.5
    weight *= amplitude / np.sqrt(0.5 * np.sum(weight**2))
    return np.asarray(np.sin(2 * np.pi * freq_hz * times_s[:, None] + phase) @ weight)


def fractal(
    rng: np.random.Generator, height: int, width: int, coarsest: float = 3.0, octaves: int = 5, decay: float = 0.5
) -> Floats:
    """Cloudy noise `(height, width)` with mean 0 and standard deviation 1; `coarsest` counts the blobs per height."""
    out = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = max(2, round(coarsest * 2**octave))
        cols = max(2, round(rows * width / height))
        if rows > height:
            break
        grid = rng.standard_normal((rows, cols), dtype=np.float32)
        out += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= decay
    out -= out.mean()
    out /= max(float(out.std()), 1e-6)
    return out


def minimum_jerk(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 0..1 position of a reaching hand at the 0..1 part of its time (Flash and Hogan 1985); clipped outside."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)
