"""Losses of one label a clip and of several, against torch's own and by hand."""

import math

import pytest
import torch
from torch.nn import functional

from edgevid_train.losses.distill import own_answer_loss, response_loss, task_loss
from edgevid_train.losses.label_loss import LabelLoss, TaskConfig, class_weights, divergence
from edgevid_train.samples.step_targets import IGNORE

N, L = 6, 4


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def several(**changes) -> TaskConfig:
    return TaskConfig(kind="multi_label", **changes)


def test_one_label_is_torch_s_cross_entropy_to_the_bit():
    logits, targets = torch.randn(N, L), torch.tensor([0, 1, 2, 3, 1, 1])
    loss = LabelLoss(smoothing=0.1)
    assert torch.equal(loss.mean(logits, targets), functional.cross_entropy(logits, targets, label_smoothing=0.1))
    rows, counts = loss(logits, torch.tensor([0, IGNORE, 2, 3, 1, 1]))
    assert rows[1] == 0
    assert counts.tolist() == [1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("focal", [0.0, 2.0])
def test_shares_of_one_are_the_same_as_an_index(smoothing: float, focal: float):
    logits, targets = torch.randn(N, L), torch.tensor([0, 1, 2, 3, 1, 1])
    loss = LabelLoss(TaskConfig(focal=focal), smoothing, torch.tensor([2.0, 1.0, 0.5, 0.5]))
    shares = functional.one_hot(targets, L).float()
    assert torch.allclose(loss.mean(logits, targets), loss.mean(logits, shares), atol=1e-6)


def test_class_weights_are_torch_s():
    logits, targets, weights = torch.randn(N, L), torch.tensor([0, 1, 2, 3, 1, 1]), torch.tensor([2.0, 1.0, 0.5, 0.5])
    expected = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=0.1)
    loss = LabelLoss(smoothing=0.1, class_weights=weights)
    assert torch.allclose(loss.mean(logits, targets), expected)
    steps = task_loss(logits[None], targets[None], torch.ones(1, N), loss)
    assert torch.allclose(steps, expected)


def test_class_weights_come_from_the_clips():
    clips = [["a"]] * 8 + [["b"]] * 2 + [["a", "b"]] * 0
    assert class_weights(TaskConfig(), clips, ("a", "b")) is None
    inverse = class_weights(TaskConfig(class_weights="inverse"), clips, ("a", "b", "other"))
    assert inverse.tolist() == pytest.approx([0.4, 1.6, 1.0])  # 1/8 : 1/2, their mean 1; nobody has the third
    root = class_weights(TaskConfig(class_weights="inverse_sqrt"), [*clips, ["b", "c"]] * 1, ("a", "b", "c"))
    given = torch.tensor([8.0, 3.0, 1.0]) ** -0.5
    assert torch.allclose(root, given / given.mean())


def test_focal_by_hand():
    logits = torch.tensor([[math.log(3), 0.0]])  # 3/4, 1/4
    loss = LabelLoss(TaskConfig(focal=2.0))
    assert float(loss.mean(logits, torch.tensor([0]))) == pytest.approx(-(0.25**2) * math.log(0.75))
    assert float(loss.mean(logits, torch.tensor([1]))) == pytest.approx(-(0.75**2) * math.log(0.25))
    nothing, counts = loss(logits, torch.tensor([IGNORE]))
    assert (float(nothing[0]), int(counts[0])) == (0, 0)
    binary = LabelLoss(several(focal=2.0))
    sigmoid = 0.75
    expected = -((1 - sigmoid) ** 2) * math.log(sigmoid) - 0.5**2 * math.log(0.5)
    assert float(binary.mean(logits, torch.tensor([[1.0, 0.0]]))) == pytest.approx(expected)


def test_independent_labels_are_binary_cross_entropy_summed_over_labels():
    logits, targets = torch.randn(N, L), (torch.rand(N, L) > 0.5).float()
    expected = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert torch.allclose(LabelLoss(several()).mean(logits, targets), expected.sum(1).mean())
    weights = torch.tensor([2.0, 1.0, 0.5, 0.5])
    weighted = LabelLoss(several(), class_weights=weights).mean(logits, targets)
    assert torch.allclose(weighted, (expected * weights).sum(1).mean())
    smooth = LabelLoss(several(), smoothing=0.1).mean(logits, targets)
    softened = functional.binary_cross_entropy_with_logits(logits, targets * 0.9 + 0.05, reduction="none")
    assert torch.allclose(smooth, softened.sum(1).mean())


def test_the_gradient_of_independent_labels_is_sigmoid_minus_target():
    logits, targets = torch.randn(1, L, requires_grad=True), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    LabelLoss(several()).mean(logits, targets).backward()
    assert torch.allclose(logits.grad, logits.detach().sigmoid() - targets, atol=1e-6)


def test_a_binary_answer_s_divergence_is_torch_s_over_both_outcomes():
    logits, answer = 2 * torch.randn(N, L), 2 * torch.randn(N, L)
    p, q = (torch.stack([x.sigmoid(), 1 - x.sigmoid()], -1) for x in (answer, logits))
    expected = (p * (p.log() - q.log())).sum((-1, -2))
    assert torch.allclose(divergence(logits, answer, "sigmoid"), expected, atol=1e-5)
    assert torch.allclose(divergence(answer, answer, "sigmoid"), torch.zeros(N), atol=1e-6)


def test_the_teacher_s_independent_answer_reaches_decisive_steps_only():
    logits, answer = torch.randn(2, 3, L, requires_grad=True), torch.randn(2, L)
    decisive = torch.tensor([[False, True, True], [False, False, True]])
    loss = response_loss(logits, answer, decisive, 2.0, "sigmoid")
    per_step = divergence(logits / 2, answer[:, None] / 2, "sigmoid")
    expected = 4 * (per_step[0, 1:].mean() + per_step[1, 2]) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert (logits.grad.abs().sum(-1) > 0).tolist() == decisive.tolist()
    last = torch.randn(2, 3, L, requires_grad=True)
    own = own_answer_loss(logits, last, "sigmoid")
    assert own.item() == pytest.approx(divergence(logits, last, "sigmoid").mean().item(), rel=1e-5)
    own.backward()
    assert last.grad is None


@pytest.mark.parametrize("focal", [0.25, 0.5, 1.0, 2.0])
def test_being_sure_has_a_finite_gradient(focal: float):
    logits = torch.tensor([[30.0, 0.0, -30.0]], requires_grad=True)
    loss = LabelLoss(TaskConfig(focal=focal)).mean(logits, torch.tensor([0]))
    binary = LabelLoss(several(focal=focal)).mean(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    (loss + binary).backward()
    assert torch.isfinite(loss + binary)
    assert torch.isfinite(logits.grad).all()
