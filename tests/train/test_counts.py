"""Parts of a batch add up to it: the loss, its terms and every gradient, whatever each part has of what they count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import tiny_recipe, train_stream
from torch import Tensor, nn

from edgevid_train.loop.job import Task
from edgevid_train.losses.counts import WHOLE, Counts
from edgevid_train.losses.label_loss import LabelLoss, TaskConfig
from edgevid_train.losses.tasks import StudentTask, TeacherTask
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.samples.batch import Batch

LABELS = 3


def uneven_batch() -> Batch:
    """Five clips of which the first has most of the counted steps, and one alone knows where the hand points."""
    rng = np.random.default_rng(0)
    streams = []
    for i in range(5):
        stream = train_stream(i % LABELS, rng.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8))
        targets = np.where(np.arange(6) < 6 - i, stream.targets, -1)
        weights = rng.uniform(0.1, 1, 6).astype(np.float32)
        stream = replace(stream, targets=targets, weights=weights, teacher_frames=stream.frames[:4])
        known = rng.uniform(0, 1, (6, 2)).astype(np.float32) if i == 3 else np.full((6, 2), np.nan, np.float32)
        stream = replace(stream, places=known, pointing=np.where(np.isnan(known[:, 0]), np.nan, 1).astype(np.float32))
        streams.append(replace(stream, teacher_places=known[:4]))
    return Batch.stack(streams)


def student_task(loss: LabelLoss) -> nn.Module:
    recipe = tiny_recipe(
        student={"norm": "all-frozen", "dropout": 0}, distill={"skipping": 0, "own_answer": 0.3}, teacher={"dropout": 0}
    )
    torch.manual_seed(0)
    teacher = build_teacher(recipe.teacher, LABELS).eval()
    return StudentTask(Student(recipe.student, LABELS), recipe.distill, teacher, loss).train()


def teacher_task(loss: LabelLoss) -> nn.Module:
    torch.manual_seed(0)
    return TeacherTask(build_teacher(tiny_recipe(teacher={"dropout": 0}).teacher, LABELS), loss).eval()


def learned(task: Task, parts: list[Batch], whole: Counts | None) -> tuple[dict[str, float], list[Tensor]]:
    """Terms and gradients of the parts together; `whole` None: each is a batch of its own."""
    assert isinstance(task, nn.Module)
    task.zero_grad()
    sums: dict[str, float] = {}
    for part in parts:
        loss, terms = task(part, WHOLE if whole is None else task.counts(part).share_of(whole))
        loss.backward()
        for name, value in {"loss": loss.detach(), **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums, [p.grad.clone() for p in task.parameters() if p.grad is not None]


@pytest.mark.parametrize("make", [student_task, teacher_task])
@pytest.mark.parametrize(
    "loss",
    [
        LabelLoss(smoothing=0.05),
        LabelLoss(TaskConfig(class_weights="inverse", focal=1.5), 0.05, torch.tensor([0.3, 2.0, 0.7])),
        LabelLoss(class_weights=torch.tensor([0.3, 2.0, 0.7])),
    ],
    ids=["plain", "focal and weighted", "weighted"],
)
def test_parts_add_up_to_the_whole(make: Callable[[LabelLoss], Task], loss: LabelLoss) -> None:
    task, batch = make(loss), uneven_batch()
    terms, gradients = learned(task, [batch], task.counts(batch))
    alone, same = learned(task, [batch], None)
    assert terms == alone  # bit for bit: a whole batch is 1 of itself
    assert all(torch.equal(a, b) for a, b in zip(gradients, same, strict=True))
    assert terms["place"] > 0
    parts = batch.split(2)
    assert len(parts) == 3
    cut, theirs = learned(task, parts, task.counts(batch))
    assert cut == pytest.approx(terms, rel=1e-5, abs=1e-7)
    for a, b in zip(gradients, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)
    naive, _ = learned(task, parts, None)
    assert naive["task"] / 3 != pytest.approx(terms["task"], rel=1e-3)  # the batch is uneven enough to tell


@given(st.lists(st.lists(st.floats(0, 9), min_size=4, max_size=4), min_size=1, max_size=6))
def test_shares_of_the_parts_are_one(parts: list[list[float]]) -> None:
    whole = [sum(column) for column in zip(*parts, strict=True)]
    shares = [Counts(*part).share_of(whole) for part in parts]
    for all_, column in zip(whole, zip(*shares, strict=True), strict=True):
        assert sum(column) == pytest.approx(1.0 if all_ else 0.0)
