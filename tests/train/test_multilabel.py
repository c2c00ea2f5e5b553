"""Figures of independent labels: by hand, against scikit-learn, and that nobody else's figures have changed."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from edgevid_train.annotations import ClipRecord
from edgevid_train.evaluate.figures.metrics import Prediction, confusion, figures, headline, summarise
from edgevid_train.evaluate.figures.multilabel import intervals, table_of, weighted_average_precision, with_intervals
from edgevid_train.evaluate.figures.reliability import reliability
from edgevid_train.loop.schedule import leading

LABELS = ("cut", "stir", "wash")


def said(name: str, labels: str, *scores: float, group: str = "") -> Prediction:
    record = ClipRecord(Path(name), name, tuple(labels.split()), group or name)
    return Prediction(record, dict(zip(LABELS, scores, strict=True)) if scores else None, several=True)


FOUND = [
    said("a", "cut stir", 0.9, 0.4, 0.1),
    said("b", "stir", 0.6, 0.7, 0.2),
    said("c", "other", 0.1, 0.2, 0.3),
    said("d", "cut", 0.3, 0.45, 0.2),
    said("e", "cut"),  # could not be read
]


def test_figures_by_hand():
    summary = summarise(FOUND, LABELS)
    # cut: ranked a (true), b, d (true), c; the missing one (true) was never found: 1, 2/3, 0
    # stir: b (true), d, a (true): 1, 2/3; nobody washes
    assert summary["per_class"]["cut"]["ap"] == pytest.approx((1 + 2 / 3) / 3)
    assert summary["per_class"]["stir"]["ap"] == pytest.approx((1 + 2 / 3) / 2)
    assert summary["map"] == pytest.approx(((1 + 2 / 3) / 3 + (1 + 2 / 3) / 2) / 2)
    assert set(summary["per_class"]) == {"cut", "stir"}
    cut = summary["per_class"]["cut"]
    assert (cut["n"], cut["precision"], cut["recall"], cut["f1"]) == (3, 0.5, pytest.approx(1 / 3), pytest.approx(0.4))
    assert cut["precision_low"] < 0.5 < cut["precision_high"]
    # a: cut is one of its labels; b: stir; c: nothing, rightly; d: nothing, wrongly; e: missing
    assert summary["top1"] == pytest.approx(3 / 5)
    assert "mAP" in headline(summary)


def test_what_is_true_of_a_clip_is_the_best_answer_where_that_is_among_its_labels():
    assert [(p.label, p.predicted, p.right) for p in FOUND] == [
        ("cut", "cut", True),
        ("stir", "stir", True),
        ("other", "other", True),
        ("cut", "other", False),
        ("cut", None, False),
    ]
    assert FOUND[2].confidence == pytest.approx(0.7)
    assert FOUND[0].to_json()["labels"] == ["cut", "stir"]
    names, counts = confusion(FOUND, LABELS)
    assert names == [*LABELS, "other", "missing"]
    assert counts.sum() == 5
    assert counts[0].tolist() == [1, 0, 0, 1, 1]
    assert reliability(FOUND).n == 4


def test_an_epoch_is_judged_by_map_then_by_binary_cross_entropy():
    found = figures(FOUND[:2])
    assert found["map"] == leading(found) == 1.0
    losses = [-math.log(0.9) - math.log(0.4) - math.log(0.9), -math.log(0.4) - math.log(0.7) - math.log(0.8)]
    assert found["loss"] == pytest.approx(np.mean(losses))
    assert figures([FOUND[4], FOUND[0]])["loss"] > found["loss"]  # a missing clip costs


@given(st.integers(2, 20), st.integers(0, 999))
def test_weighted_average_precision_is_scikit_learn_s_also_with_ties(n: int, seed: int):
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(n) < 0.5, rng.integers(0, 4, n) / 4
    weights = rng.integers(0, 3, (3, n)).astype(float)
    ours = weighted_average_precision(truth, scores, weights)
    for row, value in zip(weights, ours, strict=True):
        if (row * truth).sum():
            assert value == pytest.approx(average_precision_score(truth, scores, sample_weight=row))
        else:
            assert math.isnan(value)


def test_intervals_hold_the_figure_and_groups_are_drawn_whole():
    rng = np.random.default_rng(0)
    found = []
    for i in range(60):
        true = rng.random(3) < 0.4
        scores = np.clip(true * 0.4 + rng.random(3) * 0.6, 0, 1)
        names = " ".join(label for label, is_ in zip(LABELS, true, strict=True) if is_) or "other"
        found.append(said(str(i), names, *scores, group=f"g{i // 4}"))
    summary = summarise(found, LABELS)
    more = with_intervals(summary, table_of(found, LABELS, "other"))
    assert more["groups"] == 15
    assert more["map_low"] < summary["map"] < more["map_high"]
    assert more["macro_f1_low"] < summary["macro_f1"] < more["macro_f1_high"]
    for label, row in more["per_class"].items():
        assert row["ap_low"] <= row["ap"] <= row["ap_high"], label
        assert row["f1_low"] <= row["f1"] <= row["f1_high"], label
    alone = [Prediction(p.record, p.scores, several=True) for p in found[:4]]
    assert intervals(table_of(alone, LABELS, "other")) is None
    assert with_intervals(summarise(alone, LABELS), table_of(alone, LABELS, "other"))["map_low"] is None


def test_a_label_that_the_model_does_not_know_is_never_found():
    found = [*FOUND[:3], said("f", "fry", 0.2, 0.1, 0.1)]
    summary = summarise(found, LABELS)
    assert summary["per_class"]["fry"]["recall"] == 0
    assert summary["per_class"]["fry"]["ap"] == 0
    assert not found[3].right


def test_clips_that_could_not_be_read_are_found_by_nobody():
    unread = [Prediction(p.record, None, several=True) for p in FOUND]
    assert summarise(unread, LABELS)["map"] == 0
