"""Figures of independent labels: average precision of each and its mean (mAP), F1 at one threshold, and intervals.

The mean is over the labels that some clip has: of one that nobody has there is no precision to speak of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.models.scores import LIKELY
from edgevid_train.evaluate.figures.resampling import draw

DRAWS = 500
_MISSING = -1.0
"""Score of a clip that could not be read, below all others."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """What is true of clips and what was said of them: `truth` and `scores` `(clips, labels)`, `groups` `(clips,)`."""

    labels: tuple[str, ...]
    truth: Bools
    scores: Floats
    groups: NDArray[np.intp]

    @property
    def said(self) -> Bools:
        """Which labels a clip got."""
        return np.asarray(self.scores >= LIKELY)

    @property
    def average_precisions(self) -> Floats:
        """`(labels,)`, NaN of a label that no clip has."""
        once = np.ones((1, len(self.truth)))
        columns = zip(self.truth.T, self.scores.T, strict=True)
        return np.array([weighted_average_precision(t, s, once)[0] for t, s in columns])

    @property
    def f1(self) -> Floats:
        """`(labels,)`, NaN of a label that no clip has."""
        return f1_of((self.truth & self.said).sum(0), self.truth.sum(0), self.said.sum(0))


@dataclass(frozen=True)
class Intervals:
    """95% intervals: `map_` and `macro_f1` `(2,)`, `ap` and `f1` `(2, labels)`, low and high."""

    map_: Floats
    macro_f1: Floats
    ap: Floats
    f1: Floats


def table_of(predictions: Sequence[Any], labels: Sequence[str], background: str) -> Table:
    """From predictions of clips (`metrics.Prediction`). Labels that only the data has come last, as missing scores."""
    known = set(labels)
    more = sorted({label for p in predictions for label in p.record.labels} - known - {background})
    names = (*labels, *more)
    truth = np.array([[name in p.record.labels for name in names] for p in predictions], bool)
    scores = np.array([[(p.scores or {}).get(name, _MISSING) for name in names] for p in predictions], float)
    groups = np.unique([p.record.group for p in predictions], return_inverse=True)[1]
    return Table(names, truth, scores, groups)


def intervals(table: Table, draws: int = DRAWS, seed: int = 0) -> Intervals | None:
    """By the bootstrap over groups, as `bootstrap.f1_intervals`; None with fewer than two groups."""
    groups = int(table.groups.max()) + 1
    if groups < 2:
        return None
    drawn = draw(np.random.default_rng(seed), groups, draws)
    times = np.asarray(drawn[:, table.groups], float)  # (draws, clips)
    columns = zip(table.truth.T, table.scores.T, strict=True)
    ap = np.stack([weighted_average_precision(t, s, times) for t, s in columns], axis=1)
    f1 = f1_of(times @ (table.truth & table.said), times @ table.truth, times @ table.said)

    def between(values: Floats) -> Floats:
        """NaN of a label that no draw has a clip of."""
        none = np.isnan(values).all(0)
        return np.where(none, np.nan, np.nanpercentile(np.where(none, 0, values), [2.5, 97.5], axis=0))

    some = ~np.isnan(ap).all(1)
    return Intervals(
        between(np.nanmean(ap[some], axis=1)),
        between(np.nanmean(f1[some], axis=1)),
        between(ap),
        between(f1),
    )


def with_intervals(figures: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """What `intervals` adds to the figures of `metrics.summarise`: null where there is one group only."""
    found = intervals(table)
    more: dict[str, Any] = {"groups": int(table.groups.max()) + 1}
    more |= _bounds("map", found.map_ if found else None)
    more |= _bounds("macro_f1", found.macro_f1 if found else None)
    rows = {}
    for label, row in figures["per_class"].items():
        i = table.labels.index(label)
        ap, f1 = (found.ap[:, i], found.f1[:, i]) if found else (None, None)
        rows[label] = row | _bounds("ap", ap) | _bounds("f1", f1)
    return more | {"per_class": rows}


def _bounds(name: str, pair: Floats | None) -> dict[str, float | None]:
    known = pair is not None and not np.isnan(pair).any()
    low, high = map(float, pair) if pair is not None and known else (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def weighted_average_precision(truth: Bools, scores: Floats, weights: Floats) -> Floats:
    """Average precision of one label, `(clips,)`, for many weights of the clips `(draws, clips)`: `(draws,)`.

    As scikit-learn's: the mean of precision over the positives, all clips of a score taken at once. NaN without one.
    A positive that got no score was never found, and adds nothing.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # the last clip of every score
    all_ = weights[:, order].cumsum(1)[:, last]
    right = (weights[:, order] * truth[order]).cumsum(1)[:, last]
    gained = np.diff(right, axis=1, prepend=0)
    total = right[:, -1]
    said = scores[order][last] > _MISSING
    summed = (gained * said * right / np.maximum(all_, 1e-12)).sum(1)
    return np.where(total > 0, summed / np.maximum(total, 1e-12), np.nan)


def f1_of(hits: NDArray[Any], true: NDArray[Any], said: NDArray[Any]) -> Floats:
    """2 TP / (true + said), NaN where nothing is true."""
    return np.where(true > 0, 2 * hits / np.maximum(true + said, 1), np.nan)
