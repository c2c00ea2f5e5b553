"""The lesson in drawn paths: deterministic, in range, and something is learned from it."""

import numpy as np
import pytest
import torch

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.models.student import Student, StudentConfig
from edgevid_train.paths import PathsConfig, _stream, learn_paths
from edgevid_train.samples.step_targets import IGNORE, StreamConfig

LABELS = ("left", "right", "up", "down", "other")
TINY = StudentConfig(
    backbone="mobilenetv2_050",
    weights="none",
    input=InputSpec(height=32, width=32),
    exits=(2, 3),
    points=2,
    size=16,
    dilations=(1, 2, 4),
)


def student(**changes: object) -> Student:
    torch.manual_seed(0)
    return Student(TINY.model_copy(update=changes), len(LABELS))


def test_a_stream_of_paths_stays_in_the_picture_and_says_what_each_step_is() -> None:
    config = PathsConfig(length=64)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        places, pointing, targets, weights = _stream(rng, LABELS, config, StreamConfig(), 8.0, None)
        assert places.shape == (64, 2)
        assert ((places > 0) & (places < 1)).all()
        assert pointing.shape == (64,)
        assert ((pointing >= 0) & (pointing <= 1)).all()
        assert set(np.unique(targets)) <= {IGNORE, *range(len(LABELS))}
        assert (weights >= 0).all()


def test_the_same_seed_draws_the_same_paths() -> None:
    one, two = (_stream(np.random.default_rng(3), LABELS, PathsConfig(), StreamConfig(), 8.0, None) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_strokes_are_learned_from_paths_alone() -> None:
    network, losses = student(), []
    learn_paths(network, LABELS, PathsConfig(steps=60, batch=16, length=48, lr=5e-3), StreamConfig(), 0, losses.append)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    # a slow stroke to the left, seen without error, is not taken for one to the right
    path = torch.stack([torch.linspace(0.8, 0.2, 12), torch.full((12,), 0.4)], 1)[None]
    path = torch.cat([path, path[:, -1:].expand(1, 4, 2)], 1)
    scores = network.memory.eval().follow(path, torch.ones(1, 16))[0, -1]
    assert scores[LABELS.index("left")] > scores[LABELS.index("right")]


def test_nothing_of_the_picture_is_touched() -> None:
    network = student()
    before = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("memory.")}
    learn_paths(network, LABELS, PathsConfig(steps=2, batch=4, length=32), StreamConfig(), 0)
    for name, value in before.items():
        assert torch.equal(value, network.state_dict()[name])


def test_labels_that_nobody_draws_and_a_student_without_points_are_refused() -> None:
    with pytest.raises(InputError, match="paths teach"):
        learn_paths(student(), ("juggling", "other"), PathsConfig(steps=1), StreamConfig(), 0)
    with pytest.raises(InputError, match="paths teach"):
        learn_paths(student(points=0), LABELS, PathsConfig(steps=1), StreamConfig(), 0)
