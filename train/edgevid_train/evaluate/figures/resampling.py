"""Drawing whole groups again, with replacement: what every interval here over persons or scenes is made of."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
DRAWS = 2000


def draw(rng: np.random.Generator, units: int, draws: int) -> NDArray[np.int64]:
    """How often each of so many units is in each draw, `(draws, units)`."""
    return rng.multinomial(units, np.full(units, 1 / units), size=draws)


def drawn_means(values: ArrayLike, unit: NDArray[np.intp], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of `values` `(n,)`, each of which belongs to a unit, in every draw: `(draws,)`."""
    total, size = np.bincount(unit, values), np.bincount(unit).astype(float)
    return np.asarray((times @ total) / (times @ size))


def middle_95(values: NDArray[np.float64]) -> Interval:
    """The percentile interval at 95%."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
