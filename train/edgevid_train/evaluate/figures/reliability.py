"""Whether a model's scores are what they say: expected calibration error and the bins of a reliability diagram."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevid_train.evaluate.figures.metrics import Prediction

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Clips whose best score is above `low` and at most `high`: how many, their mean score, the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Bins that hold clips, from low to high. Missing clips have no score and are in none."""

    bins: tuple[Bin, ...]

    @property
    def n(self) -> int:
        return sum(b.n for b in self.bins)

    @property
    def ece(self) -> float:
        """Mean distance between score and accuracy, bins weighted by their clips (Guo et al. 2017); 0 of no clips."""
        return sum(b.n * abs(b.accuracy - b.confidence) for b in self.bins) / max(1, self.n)

    def to_json(self) -> dict[str, Any]:
        return {"ece": self.ece, "n": self.n, "bins": [asdict(b) for b in self.bins]}


def reliability(predictions: Sequence[Prediction], bins: int = BINS) -> Reliability:
    """Sort the clips that have scores into `bins` bins of equal width by their best score."""
    scored = [p for p in predictions if p.scores]
    best = np.array([p.confidence for p in scored])
    right = np.array([p.right for p in scored], bool)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, best, side="left") - 1, 0, bins - 1)
    return Reliability(
        tuple(
            Bin(
                float(edges[i]),
                float(edges[i + 1]),
                int((place == i).sum()),
                float(best[place == i].mean()),
                float(right[place == i].mean()),
            )
            for i in range(bins)
            if (place == i).any()
        )
    )
