"""Two models on the same clips: McNemar's exact test, and how much better one is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.figures.resampling import DRAWS, Interval, draw, drawn_means, middle_95


@dataclass(frozen=True)
class Paired:
    """How many clips both, only one or none of two models `a` and `b` got right.

    `difference`: top-1 of `a` minus that of `b`; `interval`: its 95% interval over groups, None with fewer than two.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    interval: Interval | None

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        return (self.only_a - self.only_b) / self.n

    @property
    def p_value(self) -> float:
        return mcnemar_exact(self.only_a, self.only_b)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval or (None, None)
        return {
            "both": self.both,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "neither": self.neither,
            "difference": self.difference,
            "difference_low": low,
            "difference_high": high,
            "p_value": self.p_value,
        }


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p: how likely so uneven a split of the clips on which two equally good models differ is.

    McNemar 1947 in its exact form: the smaller of the two counts is binomial with one half. 1 where they never differ.
    """
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**n))


def pair(a: Sequence[Prediction], b: Sequence[Prediction], draws: int = DRAWS, seed: int = 0) -> Paired:
    """Compare two models' predictions of the same clips in the same order; a missing clip counts as wrong."""
    if [p.record for p in a] != [p.record for p in b]:
        raise ValueError("two models are compared on the same clips")
    right_a, right_b = (np.array([p.right for p in of], bool) for of in (a, b))
    return Paired(
        both=int((right_a & right_b).sum()),
        only_a=int((right_a & ~right_b).sum()),
        only_b=int((~right_a & right_b).sum()),
        neither=int((~right_a & ~right_b).sum()),
        interval=_interval(right_a.astype(float) - right_b, [p.record.group for p in a], draws, seed),
    )


def _interval(differences: np.ndarray, groups: Sequence[str], draws: int, seed: int) -> Interval | None:
    """Of their mean, by drawing whole groups with replacement."""
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return None
    return middle_95(drawn_means(differences, place, draw(np.random.default_rng(seed), len(names), draws)))
