"""Figures from predictions: scikit-learn's metrics, and an interval for a share of few clips."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from edgevid.manifest import BACKGROUND
from edgevid.models.scores import LIKELY, Scores
from edgevid_train.annotations import ClipRecord
from edgevid_train.evaluate.figures.multilabel import table_of


@dataclass(frozen=True)
class Prediction:
    """What a model said of one clip. `scores`: label -> score, or None for a clip that could not be read: missing.

    `several`: the labels are independent of one another, and any number of them is true of a clip, or none of them: the
    background. Then the best answer is right when it is one of the true ones.
    """

    record: ClipRecord
    scores: Mapping[str, float] | None
    several: bool = False

    @classmethod
    def of(cls, record: ClipRecord, labels: Sequence[str], scores: Scores | None, *, several: bool) -> Self:
        """From scores `(labels,)`, or None for a clip that could not be read."""
        return cls(record, None if scores is None else dict(zip(labels, map(float, scores), strict=True)), several)

    @property
    def label(self) -> str:
        """What is true; of several labels the one that was predicted, if that is among them, else the first."""
        if self.several and self.predicted in self.record.labels:
            assert self.predicted is not None
            return self.predicted
        return self.record.label

    @property
    def predicted(self) -> str | None:
        """The label with the highest score, the earlier one of equals; None for a missing clip.

        Of independent labels the background, where every score is below 0.5.
        """
        if not self.scores:
            return None
        return BACKGROUND if self.several and max(self.scores.values()) < LIKELY else self.ranked()[0]

    @property
    def right(self) -> bool:
        return self.predicted == self.label

    @property
    def confidence(self) -> float:
        """The score of what is predicted; 0 of a missing clip."""
        best = max(self.scores.values(), default=0.0) if self.scores else 0.0
        return 1 - best if self.scores and self.several and best < LIKELY else best

    def ranked(self) -> list[str]:
        """Labels from the highest score to the lowest, equals in the model's order; nothing for a missing clip."""
        scores = self.scores or {}
        return sorted(scores, key=lambda label: -scores[label])

    def to_json(self) -> dict[str, Any]:
        """One entry of `predictions` in `evaluate --json`; the span only where the clip is not the whole file."""
        entry: dict[str, Any] = {"file": self.record.name}
        if self.record.id != self.record.name:
            entry |= {"start_s": self.record.start_s, "end_s": self.record.end_s}
        scores = None if self.scores is None else {label: round(score, 6) for label, score in self.scores.items()}
        entry |= {"label": self.label, "predicted": self.predicted, "scores": scores}
        return entry | ({"labels": list(self.record.labels)} if self.several else {})


def wilson_interval(hits: float, n: float, confidence_z: float = 1.959964) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927), right also near 0 and 1 and for few trials; `(0, 1)` for none.

    `confidence_z`: quantile of the normal distribution, 1.959964 for 95%.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    if n == 0:
        return 0.0, 1.0
    z2 = confidence_z**2
    share = hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = confidence_z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # The share itself is inside, whatever rounding says.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def grouped_interval(hits: Sequence[float], sizes: Sequence[float], shown: int = 1) -> tuple[float, float]:
    """The 95% interval of a share of trials that hang together in groups (a scene's, a person's): Wilson's, of as many
    independent trials as say the same (the design effect of a ratio; Kish 1965, Korn and Graubard 1998).

    `hits` and `sizes`, of each group; `shown`: how often every trial is in them, which adds nothing new. Groups in
    which every trial is right, or none, tell nothing of their spread: there trials count by themselves.
    """
    right, n, groups = sum(hits), sum(sizes), len(sizes)
    effect = float(shown)
    if groups > 1 and 0 < right < n:
        share = right / n
        spread = groups / (groups - 1) * sum((hit - share * size) ** 2 for hit, size in zip(hits, sizes, strict=True))
        effect = max(effect, spread / (n * share * (1 - share)))
    return wilson_interval(right / effect, n / effect)


def summarise(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    """`n`, `top1` with its interval, `top5`, `macro_f1`, `per_class`. A missing clip counts, as an error.

    Intervals of shares (top-1, precision, recall) are Wilson's, 95%.

    The macro average is over the labels that the data has: a label nobody could have got right says nothing.

    Of independent labels also `map`, in `per_class` `ap`; precision, recall and F1 are of every score from 0.5 on, and
    top-1 and top-5 say whether one of the true labels is the best or among the five best.
    """
    if any(prediction.several for prediction in predictions):
        return _summarise_several(predictions, labels)
    n = len(predictions)
    hits = sum(prediction.right for prediction in predictions)
    among_five = sum(prediction.label in prediction.ranked()[:5] for prediction in predictions)
    truth = [prediction.label for prediction in predictions]
    answers = [prediction.predicted or "" for prediction in predictions]
    present = [label for label in _all_labels(predictions, labels) if label in set(truth)]
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, answers, labels=present, average=None, zero_division=0.0
    )
    low, high = wilson_interval(hits, n)
    right = Counter(prediction.label for prediction in predictions if prediction.right)
    said = Counter(answers)
    return {
        "n": n,
        "top1": hits / n if n else 0.0,
        "top1_low": low,
        "top1_high": high,
        "top5": among_five / n if n else 0.0,
        "macro_f1": float(np.mean(f1)) if present else 0.0,
        "per_class": {
            label: {
                "n": int(s),
                "precision": float(p),
                **_bounds("precision", right[label], said[label]),
                "recall": float(r),
                **_bounds("recall", right[label], int(s)),
                "f1": float(f),
            }
            for label, p, r, f, s in zip(present, precision, recall, f1, support, strict=True)
        },
    }


def _summarise_several(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    n, table = len(predictions), table_of(predictions, labels, BACKGROUND)
    hits = sum(p.right for p in predictions)
    among_five = sum(p.right or bool({*p.ranked()[:5]} & {*p.record.labels}) for p in predictions)
    low, high = wilson_interval(hits, n)
    right, true, said = ((x).sum(0) for x in (table.truth & table.said, table.truth, table.said))
    ap, f1 = table.average_precisions, table.f1
    return {
        "n": n,
        "map": _mean(ap),
        "top1": hits / n,
        "top1_low": low,
        "top1_high": high,
        "top5": among_five / n,
        "macro_f1": _mean(f1),
        "per_class": {
            label: {
                "n": int(true[i]),
                "ap": float(ap[i]),
                "precision": float(right[i] / max(1, said[i])),
                **_bounds("precision", int(right[i]), int(said[i])),
                "recall": float(right[i] / true[i]),
                **_bounds("recall", int(right[i]), int(true[i])),
                "f1": float(f1[i]),
            }
            for i, label in enumerate(table.labels)
            if true[i]
        },
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Over those that there are; 0 of none."""
    return 0.0 if np.isnan(values).all() else float(np.nanmean(values))


def headline(summary: Mapping[str, Any]) -> str:
    """What `summarise` found, in one line."""
    line = (
        f"top-1 {summary['top1']:.3f} ({summary['top1_low']:.3f} to {summary['top1_high']:.3f}, 95%) "
        f"of {summary['n']} clips, macro F1 {summary['macro_f1']:.3f}"
    )
    return f"mAP {summary['map']:.3f}, {line}" if "map" in summary else line


def _bounds(name: str, hits: int, n: int) -> dict[str, float]:
    low, high = wilson_interval(hits, n)
    return {f"{name}_low": low, f"{name}_high": high}


def confusion(predictions: Sequence[Prediction], labels: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Row and column names, and how often a label (row) was taken for another (column); the last name is `missing`."""
    names = [*_all_labels(predictions, labels), "missing"]
    truth = [prediction.label for prediction in predictions]
    answers = [prediction.predicted or "missing" for prediction in predictions]
    return names, np.asarray(confusion_matrix(truth, answers, labels=names), np.int64)


def _all_labels(predictions: Sequence[Prediction], labels: Sequence[str]) -> list[str]:
    """The model's labels, then those that only the data has, or that mean no label."""
    found = {p.label for p in predictions} | {p.predicted for p in predictions if p.predicted is not None}
    return [*labels, *sorted(found - set(labels))]


def figures(predictions: Sequence[Prediction]) -> dict[str, float]:
    """What an epoch is judged by: `top1`, and `loss`, the mean negative logarithm of the true label's score.

    Of independent labels `map`, and the binary cross-entropy, summed over labels.
    """
    if any(prediction.several for prediction in predictions):
        return _figures_several(predictions)
    hits = [prediction.right for prediction in predictions]
    return {"top1": float(np.mean(hits)), "loss": float(np.mean([log_loss(p.scores, p.label) for p in predictions]))}


def log_loss(scores: Mapping[str, float] | None, label: str) -> float:
    """The negative logarithm of the true label's score, that of a missing clip included; no clip makes it infinite."""
    return -math.log(max((scores or {}).get(label, 0.0), 1e-6))


def _figures_several(predictions: Sequence[Prediction]) -> dict[str, float]:
    labels = next((tuple(p.scores) for p in predictions if p.scores), ())
    table = table_of(predictions, labels, BACKGROUND)
    given = np.where(table.truth, table.scores, 1 - np.maximum(table.scores, 0))
    loss = -np.log(np.clip(given, 1e-6, 1)).sum(1).mean()
    return {"map": _mean(table.average_precisions), "loss": float(loss)}
