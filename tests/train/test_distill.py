"""The loss terms against torch's own, hand arithmetic and what they promise."""

import math

import pytest
import torch
from students import small_student
from torch import Tensor
from torch.nn import functional

from edgevid_train.losses.distill import (
    DistillConfig,
    DistillTask,
    feature_loss,
    own_answer_loss,
    place_loss,
    pointing_loss,
    response_loss,
    task_loss,
)
from edgevid_train.losses.label_loss import LabelLoss
from edgevid_train.models.student import StudentOutputs
from edgevid_train.models.teachers.build import TeacherOutputs
from edgevid_train.samples.batch import StepTargets
from edgevid_train.samples.step_targets import IGNORE

B, T, L, E, D = 3, 6, 5, 16, 12
SMOOTHED = LabelLoss(smoothing=0.1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def steps(targets: list[list[int]], *, weights: Tensor | None = None, decisive: Tensor | None = None) -> StepTargets:
    of = torch.tensor(targets)
    return StepTargets(
        of,
        torch.ones(of.shape) if weights is None else weights,
        of >= 0 if decisive is None else decisive,
        torch.full((*of.shape, 2), torch.nan),
        torch.full(of.shape, torch.nan),
        torch.full(of.shape, torch.nan),
    )


def some_steps() -> StepTargets:
    decisive = torch.zeros(B, T, dtype=torch.bool)
    decisive[:, 4:] = True
    decisive[1, 2] = True
    return steps([[4, 4, IGNORE, IGNORE, 2, 2]] * B, weights=torch.rand(B, T), decisive=decisive)


def answers() -> tuple[Tensor, Tensor]:
    return 3 * torch.randn(B, T, L), 3 * torch.randn(B, L)


# --- response


def test_response_of_one_clip_by_hand():
    teacher = torch.tensor([[0.0, math.log(3)]])  # 1/4, 3/4
    student = torch.tensor([[[math.log(4), math.log(4)], [100.0, -100.0]]])  # 1/2, 1/2; the second step does not count
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    loss = response_loss(student, teacher, torch.tensor([[True, False]]), 1.0)
    assert float(loss) == pytest.approx(kl, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_response_is_torch_s_batchmean_where_each_clip_has_one_decisive_step(temperature):
    logits, answer = answers()
    where = torch.tensor([5, 2, 0])
    decisive = functional.one_hot(where, T).bool()
    reference = functional.kl_div(
        (logits[torch.arange(B), where] / temperature).log_softmax(-1),
        (answer / temperature).softmax(-1),
        reduction="batchmean",
    )
    loss = response_loss(logits, answer, decisive, temperature)
    assert float(loss) == pytest.approx(float(reference) * temperature**2, rel=1e-5)


def test_response_is_the_mean_over_a_clip_s_decisive_steps_then_over_the_batch():
    logits, answer = answers()
    decisive = some_steps().decisive
    per_clip = [
        torch.stack(
            [response_loss(logits[b, t][None, None], answer[b][None], torch.ones(1, 1).bool(), 2.0) for t in at]
        )
        for b in range(B)
        for at in [decisive[b].nonzero().flatten().tolist()]
    ]
    expected = torch.stack([of_steps.mean() for of_steps in per_clip]).mean()
    assert float(response_loss(logits, answer, decisive, 2.0)) == pytest.approx(float(expected), rel=1e-5)


def test_terms_do_not_change_when_the_batch_is_doubled_by_itself():
    logits, answer = answers()
    of = some_steps()
    projected, features = torch.randn(B, T, D), torch.randn(B, D)

    def twice(x: Tensor) -> Tensor:
        return torch.cat([x, x])

    both = StepTargets(*(twice(x) for x in vars(of).values()))
    pairs = [
        (
            response_loss(logits, answer, of.decisive, 2.0),
            response_loss(twice(logits), twice(answer), both.decisive, 2.0),
        ),
        (
            feature_loss(projected, features, of.decisive),
            feature_loss(twice(projected), twice(features), both.decisive),
        ),
        (
            task_loss(logits, of.targets, of.weights, SMOOTHED),
            task_loss(twice(logits), both.targets, both.weights, SMOOTHED),
        ),
    ]
    for one, doubled in pairs:
        assert float(one) == pytest.approx(float(doubled), rel=1e-5)
        assert float(one) > 0.1


def test_an_equal_answer_costs_nothing_and_temperature_keeps_the_gradient_s_size():
    _, answer = answers()
    decisive = torch.ones(B, T, dtype=torch.bool)
    equal = answer[:, None].repeat(1, T, 1) + 7.0  # softmax ignores what all scores share
    assert float(response_loss(equal, answer, decisive, 2.0)) == pytest.approx(0, abs=1e-5)

    sizes = []
    for temperature in (1.0, 8.0):
        logits = (0.01 * torch.randn(B, T, L, generator=torch.Generator().manual_seed(1))).requires_grad_()
        response_loss(logits, 0.1 * answer, decisive, temperature).backward()
        sizes.append(float(logits.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_a_clip_without_a_decisive_step_adds_nothing_to_the_teacher_s_terms():
    logits, answer = answers()
    decisive = some_steps().decisive
    decisive[2] = False
    whole = response_loss(logits, answer, decisive, 2.0)
    without = response_loss(logits[:2], answer[:2], decisive[:2], 2.0)
    assert float(whole) == pytest.approx(float(without) * 2 / 3, rel=1e-5)
    nowhere = torch.zeros(B, T, dtype=torch.bool)
    assert float(response_loss(logits, answer, nowhere, 2.0)) == 0
    assert float(feature_loss(torch.randn(B, T, D), torch.randn(B, D), nowhere)) == 0


# --- task, feature, place


def test_task_by_hand():
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0], [5.0, -5.0]]])
    of = steps([[0, 0, IGNORE]], weights=torch.tensor([[1.0, 0.5, 9.0]]))
    expected = (1.0 * math.log(2) + 0.5 * math.log(4 / 3)) / 1.5
    assert float(task_loss(logits, of.targets, of.weights, LabelLoss())) == pytest.approx(expected, rel=1e-6)


def test_task_with_equal_weights_is_torch_s_cross_entropy():
    logits, _ = answers()
    of = steps([[4, 4, IGNORE, IGNORE, 2, 2]] * B)
    reference = functional.cross_entropy(
        logits.flatten(0, 1), of.targets.flatten(), ignore_index=IGNORE, label_smoothing=0.1
    )
    assert float(task_loss(logits, of.targets, of.weights, SMOOTHED)) == pytest.approx(float(reference), rel=1e-5)


def test_steps_without_target_or_weight_get_no_gradient():
    logits = answers()[0].requires_grad_()
    weights = torch.ones(B, T)
    weights[:, 0] = 0
    of = steps([[4, 4, IGNORE, 2, IGNORE, 2]] * B, weights=weights)
    task_loss(logits, of.targets, of.weights, SMOOTHED).backward()
    reached = logits.grad.abs().sum((0, 2)) > 0
    assert reached.tolist() == [False, True, False, True, False, True]


def test_a_batch_in_which_nothing_is_asked_costs_nothing():
    logits = answers()[0].requires_grad_()
    of = steps([[IGNORE] * T] * B)
    loss = task_loss(logits, of.targets, of.weights, SMOOTHED)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


# --- own answer


def test_an_inner_exit_learns_what_the_last_one_says_and_the_last_one_nothing():
    logits, last = (torch.randn(B, T, L, requires_grad=True) for _ in range(2))
    loss = own_answer_loss(logits, last)
    p, q = last.softmax(-1), logits.softmax(-1)
    assert loss.item() == pytest.approx((p * (p.log() - q.log())).sum(-1).mean().item(), rel=1e-5)
    loss.backward()
    assert torch.allclose(logits.grad, ((q - p) / (B * T)).detach(), atol=1e-6)
    assert last.grad is None
    assert own_answer_loss(last, last).item() == pytest.approx(0, abs=1e-6)


def test_own_answers_count_for_every_inner_exit():
    student = small_student()
    outputs = outputs_of(student, 3)
    step = steps([[IGNORE] * T] * B)
    loss, terms = DistillTask(DistillConfig(own_answer=2.0), student, None)(outputs, step, None)
    *inner, last = outputs.logits
    assert terms["own_answer"].item() == pytest.approx(
        2 * sum(own_answer_loss(x, last).item() for x in inner), rel=1e-5
    )
    assert loss.item() == pytest.approx(terms["own_answer"].item(), rel=1e-5)
    assert "own_answer" not in DistillTask(DistillConfig(), student, None)(outputs, step, None)[1]


def test_feature_targets_have_no_scale():
    projected, features = torch.randn(B, T, D), torch.randn(B, D)
    decisive = some_steps().decisive
    loss = feature_loss(projected, features, decisive)
    assert float(feature_loss(projected, 100 * features + 3, decisive)) == pytest.approx(float(loss), rel=1e-3)
    target = functional.layer_norm(features, (D,))[:, None].expand(B, T, D)
    assert float(feature_loss(target, features, decisive)) == 0


def test_feature_loss_by_hand():
    features = torch.tensor([[1.0, -1.0]])  # already normed
    projected = torch.tensor([[[1.5, -1.0], [4.0, -1.0], [9.0, 9.0]]])
    # smooth L1: 0.5 -> 0.125, 3 -> 2.5; means over two features, then over two decisive steps
    loss = feature_loss(projected, features, torch.tensor([[True, True, False]]))
    assert float(loss) == pytest.approx((0.125 / 2 + 2.5 / 2) / 2, rel=1e-3)


def test_place_loss_looks_at_the_first_place_where_it_is_known():
    looked_at = torch.full((1, 3, 4, 2), 0.5).requires_grad_()
    places = torch.tensor([[[0.5, 0.75], [torch.nan, torch.nan], [0.5, 0.5]]])
    loss = place_loss(looked_at, places)
    assert loss.item() == pytest.approx((10 * 0.25 - 0.5) / 4, rel=1e-5)  # one of four numbers is off, by a quarter
    loss.backward()
    assert looked_at.grad[:, :, 1:].abs().sum() == 0
    assert looked_at.grad[:, 1].abs().sum() == 0
    assert float(place_loss(looked_at, torch.full((1, 3, 2), torch.nan))) == 0
    assert float(place_loss(looked_at[:, :, :0], places)) == 0


def test_pointing_loss_is_of_the_steps_where_it_is_known():
    seen = torch.tensor([[0.0, 5.0, -math.log(3)]])
    known = torch.tensor([[1.0, torch.nan, 1.0]])
    assert float(pointing_loss(seen, known)) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-5)
    assert float(pointing_loss(seen, torch.full((1, 3), torch.nan))) == 0


# --- the task of a student


def outputs_of(student, exits: int) -> StudentOutputs:
    return StudentOutputs(
        tuple(torch.randn(B, T, L) for _ in range(exits)),
        torch.randn(B, T, student.embedding_size),
        tuple(torch.rand(B, T, 4, 2) for _ in range(exits)),
        tuple(torch.randn(B, T) for _ in range(exits)),
    )


def test_the_terms_are_weighted_over_exits_and_add_up():
    student = small_student()
    config = DistillConfig(task=0.7, place=0.9, response=0.6, feature=0.2, inner_exits=0.25, temperature=3.0)
    task = DistillTask(config, student, D)
    outputs, of = outputs_of(student, 3), some_steps()
    of.places[:, 3:] = 0.3
    of.pointing[:, 2:] = torch.tensor([0.0, 1.0, 1.0, 1.0])
    teacher = TeacherOutputs(torch.randn(B, L), torch.randn(B, D))
    loss, terms = task(outputs, of, teacher)

    weights, smoothing = [0.25, 0.25, 1.0], config.label_smoothing
    places = [
        place_loss(place, of.places) + pointing_loss(pointing, of.pointing)
        for place, pointing in zip(outputs.places, outputs.pointing, strict=True)
    ]
    tasks = [task_loss(x, of.targets, of.weights, LabelLoss(smoothing=smoothing)) for x in outputs.logits]
    responses = [response_loss(x, teacher.logits, of.decisive, 3.0) for x in outputs.logits]

    def over_exits(terms: list[Tensor]) -> Tensor:
        return sum(weight * term for weight, term in zip(weights, terms, strict=True))

    expected = {
        "task": 0.7 * over_exits(tasks),
        "place": 0.9 * over_exits(places),
        "response": 0.6 * over_exits(responses),
        "feature": 0.2 * feature_loss(task.project(outputs.embedding), teacher.features, of.decisive),
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {name: term.item() for name, term in expected.items()}
    )
    assert loss.item() == pytest.approx(sum(term.item() for term in terms.values()))


def test_without_a_teacher_only_the_labels_and_places_are_left():
    student = small_student()
    task = DistillTask(DistillConfig(), student, None)
    _, terms = task(outputs_of(student, 3), some_steps(), None)
    assert set(terms) == {"task", "place"}
    assert not list(task.parameters())


def test_every_exit_learns_and_the_teacher_does_not():
    student = small_student().train()
    task = DistillTask(DistillConfig(), student, D)
    answer = TeacherOutputs(torch.randn(2, L), torch.randn(2, D))
    of = steps([[4, 4, IGNORE, 2]] * 2, decisive=torch.tensor([[False, False, False, True]] * 2))
    loss, _ = task(student(255 * torch.rand(2, 4, 3, 64, 64)), of, answer)
    loss.backward()
    for told in student.memory.what:
        assert told.weight.grad.abs().sum() > 0
    assert student.memory.decide.weight.grad.abs().sum() > 0
    assert next(student.stem.parameters()).grad.abs().sum() > 0
    assert task.project.weight.grad.abs().sum() > 0


def test_under_mixed_precision_the_loss_is_computed_in_float32():
    student = small_student().train()
    task = DistillTask(DistillConfig(), student, D)
    of = steps([[4, 2, IGNORE, 2]] * 2)
    of.places[:] = 0.4
    frames, answer = 255 * torch.rand(2, 4, 3, 64, 64), TeacherOutputs(torch.randn(2, L), torch.randn(2, D))
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = task(student(frames), of, TeacherOutputs(answer.logits.bfloat16(), answer.features.bfloat16()))
    full, _ = task(student(frames), of, answer)
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(full.item(), rel=0.05)
