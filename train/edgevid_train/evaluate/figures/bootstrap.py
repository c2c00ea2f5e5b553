"""Intervals of F1 by the bootstrap over groups (Efron 1979; Field and Welsh 2007 for clusters).

Clips of one person or scene are right or wrong together, so whole groups are drawn, with replacement, and not clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.figures.multilabel import f1_of
from edgevid_train.evaluate.figures.resampling import DRAWS, Interval, draw, middle_95


@dataclass(frozen=True)
class F1Intervals:
    """95% intervals of the macro average and of each label's F1, from `groups` groups."""

    macro: Interval
    per_class: dict[str, Interval]
    groups: int


def f1_intervals(predictions: Sequence[Prediction], draws: int = DRAWS, seed: int = 0) -> F1Intervals | None:
    """Percentile intervals; None with fewer than two groups, which say nothing about others.

    As in `summarise` the average is over the labels that a draw has; a label that a draw lacks has no F1 in it.
    """
    groups = {group: i for i, group in enumerate(dict.fromkeys(p.record.group for p in predictions))}
    if len(groups) < 2:
        return None
    labels = {label: i for i, label in enumerate(dict.fromkeys(p.label for p in predictions))}
    hits, true, said = (np.zeros((len(groups), len(labels))) for _ in range(3))
    for prediction in predictions:
        group, label = groups[prediction.record.group], labels[prediction.label]
        true[group, label] += 1
        hits[group, label] += prediction.predicted == prediction.label
        if prediction.predicted in labels:
            said[group, labels[prediction.predicted]] += 1
    times = draw(np.random.default_rng(seed), len(groups), draws).astype(float)
    of_label = f1_of(times @ hits, times @ true, times @ said)
    low, high = np.nanpercentile(of_label, [2.5, 97.5], axis=0)
    return F1Intervals(
        middle_95(np.nanmean(of_label, axis=1)),
        {label: (float(low[i]), float(high[i])) for label, i in labels.items()},
        len(groups),
    )
