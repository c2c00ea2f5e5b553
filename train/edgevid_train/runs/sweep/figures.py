"""What a combination's runs found, as one figure with an interval.

The figure is the mean over seeds of what each run says of its held-out clips, by the weights of the last epoch: top-1,
or mAP of independent labels. Its 95% interval is a bootstrap in which seeds are drawn with replacement, and groups of
clips (a person, a scene) too, the same ones for every seed: it says how far the figure would move with other seeds and
other people. With one group there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.figures.multilabel import table_of, weighted_average_precision
from edgevid_train.evaluate.figures.resampling import draw, middle_95
from edgevid_train.loop.schedule import leading

DRAWS = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """A combination's figure over `seeds` runs: `metric`, its mean, each seed's, and the interval, where there is one.

    `n`: clips held out, of all seeds. `failed`: why runs ended without figures.
    """

    metric: str
    each: tuple[float, ...]
    macro_f1: float
    n: int
    interval: tuple[float, float] | None
    failed: tuple[str, ...] = ()

    @property
    def mean(self) -> float | None:
        return float(np.mean(self.each)) if self.each else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None of one."""
        return float(np.std(self.each, ddof=1)) if len(self.each) > 1 else None


def compare(results: Sequence[Mapping[str, Any]]) -> Compared:
    """From the results of a combination's runs, as `run` writes them: a summary, or `failed` and why."""
    summaries = [result for result in results if "failed" not in result]
    runs = [[_prediction(entry) for entry in summary["predictions"]] for summary in summaries]
    several = any("map" in summary for summary in summaries)
    return Compared(
        "map" if several else "top1",
        tuple(leading(summary) for summary in summaries),
        float(np.mean([summary["macro_f1"] for summary in summaries])) if summaries else 0.0,
        sum(len(run) for run in runs),
        _interval(runs, several=several) if runs else None,
        tuple(str(result["failed"]) for result in results if "failed" in result),
    )


def _prediction(entry: Mapping[str, Any]) -> Prediction:
    several = "labels" in entry
    labels = tuple(entry["labels"]) if several else (entry["label"],)
    record = ClipRecord(Path(entry["file"]), entry["file"], labels, entry["group"])
    return Prediction(record, entry["scores"], several)


def _interval(runs: Sequence[Sequence[Prediction]], *, several: bool, seed: int = 0) -> tuple[float, float] | None:
    groups = {name: i for i, name in enumerate(dict.fromkeys(p.record.group for run in runs for p in run))}
    if len(groups) < 2:
        return None
    rng = np.random.default_rng(seed)
    times = draw(rng, len(groups), DRAWS)
    seeds = draw(rng, len(runs), DRAWS)
    figure = _mean_precisions if several else _top1
    found = np.stack([figure(run, times[:, [groups[p.record.group] for p in run]]) for run in runs], axis=1)
    weights = np.where(np.isnan(found), 0, seeds)  # a draw may have none of a run's groups
    drawn = weights.sum(1) > 0
    means = (np.nan_to_num(found) * weights).sum(1)[drawn] / weights.sum(1)[drawn]
    return middle_95(means)


def _top1(run: Sequence[Prediction], times: NDArray[np.int64]) -> Floats:
    """`(draws,)` of `times` `(draws, clips)`; NaN where a draw has no clip."""
    right = np.array([p.right for p in run], float)
    total = times.sum(1)
    return np.where(total > 0, (times @ right) / np.maximum(total, 1), np.nan)


def _mean_precisions(run: Sequence[Prediction], times: NDArray[np.int64]) -> Floats:
    labels = next((tuple(p.scores) for p in run if p.scores), ())
    table = table_of(run, labels, BACKGROUND)
    weights = np.asarray(times, float)
    columns = zip(table.truth.T, table.scores.T, strict=True)
    found = np.stack([weighted_average_precision(t, s, weights) for t, s in columns], axis=1)
    known = ~np.isnan(found)
    return np.where(known.any(1), np.nansum(found, axis=1) / np.maximum(known.sum(1), 1), np.nan)
