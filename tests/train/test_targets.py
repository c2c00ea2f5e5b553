"""Names of label combinations, what mirrors make of them, and the rows of a batch of multi-label streams."""

from pathlib import Path

import numpy as np
import torch
from tiny_run import moving_square, tiny_recipe, train_stream
from videos import write_video

from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, IndexStore, with_context
from edgevid_train.losses.label_loss import LabelLoss
from edgevid_train.samples.batch import Batch
from edgevid_train.samples.dataset import TrainingClips, labels_of
from edgevid_train.samples.sampler import BatchPlan
from edgevid_train.samples.step_targets import IGNORE
from edgevid_train.samples.targets import Targets, called, changed

LABELS = ("left", "red", "right")
FLIP = {"left": "right", "right": "left", "red": "red", "other": "other"}


def test_a_combination_has_one_name_and_the_background_is_none():
    assert called(["red", "left"]) == called(["left", "red", "other", "red"])
    assert called(["other"]) == called([]) == "other"
    assert called(["a;b"]) != called(["a", "b"])
    assert changed(called(["left", "red"]), FLIP) == called(["right", "red"])
    assert changed("left", {"right": "left"}) is None
    assert changed(called(["left", "red"]), {"left": "right"}) is None  # nobody says what becomes of red


def test_rows_are_of_the_labels_and_mirrors_have_rows_too():
    targets = Targets.several(LABELS, [("left", "red"), ("other",)], [FLIP])
    rows = dict(zip(targets.names, targets.rows.tolist(), strict=True))
    assert rows["other"] == [0, 0, 0]
    assert rows["red"] == [0, 1, 0]
    assert rows[called(["red", "left"])] == [1, 1, 0]
    assert rows[called(["red", "right"])] == [0, 1, 1]  # no clip has both, a mirrored one will
    assert targets.changes(FLIP)[called(["left", "red"])] == called(["right", "red"])
    assert targets.changes({}) == {}


def test_labels_of_data_with_several_labels():
    records = [ClipRecord(Path("a"), "a", ("stir", "cut"), "a"), ClipRecord(Path("b"), "b", ("other",), "b")]
    assert labels_of(records) == ("cut", "stir", "other")
    assert labels_of(records, multi_label=True) == ("cut", "stir")
    assert labels_of(records, ["stir", "cut"], multi_label=True) == ("stir", "cut")


def test_in_shares_nothing_is_asked_where_nothing_was():
    stream = train_stream(1, np.zeros((3, 4, 4, 3), np.uint8))
    stream.targets[:] = [0, IGNORE, 1]
    rows = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    batch = Batch.stack([stream]).in_shares(rows)
    assert batch.steps.targets.tolist() == [[[0, 0], [0, 0], [1, 1]]]
    assert batch.steps.weights.tolist() == [[1, 0, 1]]
    assert batch.labels.tolist() == [[1, 1]]
    single = Batch.stack([stream])
    one = torch.randn(3, 2)
    shares = Batch.stack([stream]).in_shares(torch.eye(2))
    loss = LabelLoss()
    by_index, counts = loss(one, single.steps.targets[0])
    by_share, _ = loss(one, shares.steps.targets[0])
    assert torch.allclose(by_index, by_share * counts)


def test_a_label_that_is_not_shown_yet_is_no_target_yet(tmp_path: Path):
    file = write_video(tmp_path / "v.mp4", moving_square("left", 0) * 3, fps=8)
    record = ClipRecord(file, "v", ("left", "red"), "v")
    recipe = tiny_recipe(task={"kind": "multi_label"}, stream={"before": 0.0, "after": 0.0}, augment={"flip": {}})
    spans = with_context([record], 0, 0)
    cache = ClipCache(48, 1 << 24, spans, IndexStore())
    clips = TrainingClips([record], LABELS, cache, {}, recipe, 0)
    batch = clips.load(BatchPlan((0,), (0,), 24))
    assert batch.labels.tolist() == [[1, 1, 0]]
    targets, weights = batch.steps.targets[0], batch.steps.weights[0]
    assert targets.shape == (24, 3)
    asked = targets[weights > 0]
    assert asked[0].tolist() == [0, 0, 0]  # the action begins: none of its labels is there
    assert asked[-1].tolist() == [1, 1, 0]
    changes = (asked[1:] != asked[:-1]).any(1).sum()
    assert changes == 1
    assert batch.steps.decisive[0, -1]
