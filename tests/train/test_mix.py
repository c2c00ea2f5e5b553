"""MixUp and CutMix of streams: pixels by hand, targets that keep the loss linear, and a run that can be resumed."""

import numpy as np
import pytest
import torch
from tiny_run import train_stream

from edgevid_train.losses.distill import task_loss
from edgevid_train.losses.label_loss import LabelLoss, TaskConfig
from edgevid_train.samples.batch import Batch
from edgevid_train.samples.mix import MixConfig, Mixture, mixed
from edgevid_train.samples.step_targets import IGNORE

LABELS, STEPS = 3, 4


def batch(seed: int = 0) -> Batch:
    """Three streams of 8x12 pixels, of labels 0, 1, 2; steps of different weights, some without a target."""
    rng = np.random.default_rng(seed)
    streams = [train_stream(i, rng.integers(0, 256, (STEPS, 8, 12, 3), np.uint8)) for i in range(3)]
    for i, stream in enumerate(streams):
        stream.targets[0], stream.targets[1] = IGNORE if i else 2, 2
        stream.weights[:] = rng.random(STEPS)
        stream.decisive[:] = [False, False, i != 1, True]
        stream.places[:] = 0.5
    return Batch.stack(streams)


def shares() -> Batch:
    return batch().in_shares(torch.eye(LABELS))


def test_mixup_is_a_weighted_mean_of_every_frame_the_teacher_s_too():
    plain, found = batch(), mixed(shares(), Mixture(1, 0.75))
    for ours, theirs in ((found.frames, plain.frames), (found.teacher_frames, plain.teacher_frames)):
        expected = (0.75 * theirs.float() + 0.25 * theirs[[1, 2, 0]].float()).round()
        assert ours.dtype == torch.uint8
        assert (ours.float() - expected).abs().max() <= 1
    assert torch.allclose(found.labels, torch.tensor([[0.75, 0.25, 0], [0, 0.75, 0.25], [0.25, 0, 0.75]]))


def test_cutmix_cuts_the_same_box_out_of_all_frames_and_counts_its_area():
    plain, found = batch(), mixed(shares(), Mixture(2, 0.5, (0.25, 0.75, 0.5, 1.0)))
    other = plain.frames[[2, 0, 1]]
    assert torch.equal(found.frames[:, :, 2:6, 6:], other[:, :, 2:6, 6:])
    outside = torch.ones(8, 12, dtype=torch.bool)
    outside[2:6, 6:] = False
    assert torch.equal(found.frames[:, :, outside], plain.frames[:, :, outside])
    assert found.labels[0].tolist() == [0.75, 0, 0.25]  # 24 of 96 pixels are the other's


@pytest.mark.parametrize("kind", ["one_label", "multi_label"])
@pytest.mark.parametrize("weights", [None, torch.tensor([2.0, 0.5, 0.5])])
def test_the_loss_of_a_mixture_is_that_of_both_targets_on_the_same_answer(kind, weights):
    torch.manual_seed(0)
    logits, loss = torch.randn(3, STEPS, LABELS), LabelLoss(TaskConfig(kind=kind), 0.0, weights)
    steps, found = shares().steps, mixed(shares(), Mixture(1, 0.6)).steps

    def summed(targets, step_weights):
        per_step, counts = loss(logits.flatten(0, 1), targets.flatten(0, 1))
        return (per_step * step_weights.flatten()).sum(), (counts * step_weights.flatten()).sum()

    own = summed(steps.targets, 0.6 * steps.weights)
    theirs = summed(steps.targets.roll(-1, 0), 0.4 * steps.weights.roll(-1, 0))
    expected = (own[0] + theirs[0]) / (own[1] + theirs[1])
    assert torch.allclose(task_loss(logits, found.targets, found.weights, loss), expected, atol=1e-6)


def test_the_teacher_counts_where_both_clips_are_recognised_and_nobody_points():
    found = mixed(shares(), Mixture(1, 0.5)).steps
    assert found.decisive.tolist() == [[False, False, i == 2, True] for i in range(3)]
    assert found.places.isnan().all()
    assert mixed(shares(), Mixture(1, 0.5)).teacher_places.isnan().all()


def test_what_is_drawn_is_what_the_recipe_says():
    rng = np.random.default_rng(0)

    def drawn(config: MixConfig, clips: int = 8) -> list[Mixture | None]:
        return [Mixture.draw(config, clips, rng) for _ in range(400)]

    assert set(drawn(MixConfig())) == {None}
    assert set(drawn(MixConfig(mixup=0.4), clips=1)) == {None}  # with whom?
    some = drawn(MixConfig(mixup=0.4, cutmix=1.0, share=0.5))
    assert sum(m is None for m in some) == pytest.approx(200, abs=50)
    cut = [m for m in some if m is not None and m.box is not None]
    assert len(cut) == pytest.approx(100, abs=40)
    for mixture in cut:
        top, bottom, left, right = mixture.box
        assert 0 <= top <= bottom <= 1
        assert 0 <= left <= right <= 1
    weights = np.array([m.weight for m in drawn(MixConfig(mixup=0.4))])
    assert weights.mean() == pytest.approx(0.5, abs=0.06)
    assert weights.std() == pytest.approx(np.sqrt(1 / (4 * (2 * 0.4 + 1))), abs=0.04)  # Beta(0.4, 0.4)
    assert {m.shift for m in drawn(MixConfig(mixup=1.0), clips=3)} == {1, 2}
