"""What is trained and by which losses: the teacher on the labels, the student on the labels and the teacher.

A task is a module whose `forward(batch)` gives the loss and its terms by name, and that counts what these are means
over, so that parts of a batch add up to it; the training loop knows nothing else.
"""

from typing import cast

import torch
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid_train.losses.counts import WHOLE, Counts
from edgevid_train.losses.distill import DistillConfig, DistillTask, exit_weights, place_loss, task_loss
from edgevid_train.losses.kept_answers import Asked, KeptAnswers
from edgevid_train.losses.label_loss import LabelLoss
from edgevid_train.losses.taps import TapTerms, blank, listening
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import Teacher, TeacherOutputs
from edgevid_train.samples.batch import Batch, as_input
from edgevid_train.samples.sights import SightBatch

Losses = tuple[Tensor, dict[str, Tensor]]


class TeacherTask(nn.Module):
    """The loss of each clip's label or labels, and where the hand points, where clip and network know of it."""

    def __init__(self, network: nn.Module, label_loss: LabelLoss) -> None:
        super().__init__()
        self.network = network
        self.label_loss = label_loss

    def counts(self, batch: Batch) -> Counts:
        labels, places = self.label_loss.counts(batch.labels), ~batch.teacher_places.isnan().any(-1)
        return Counts(len(batch), *torch.stack([labels.sum().float(), places.sum().float()]).tolist())

    def forward(self, batch: Batch, shares: Counts = WHOLE) -> Losses:
        outputs: TeacherOutputs = self.network(as_input(batch.teacher_frames))
        task = self.label_loss.mean(outputs.logits, batch.labels) * shares.labels
        place = task.new_zeros(())
        if outputs.places is not None:
            place = place_loss(outputs.places, batch.teacher_places) * shares.places
        return task + place, {"task": task.detach(), "place": place.detach()}


class StudentTask(nn.Module):
    """`DistillTask` on the student's and the teacher's answer to the same augmented clips.

    The teacher is held outside the module: it is neither trained nor saved with the student.
    """

    def __init__(
        self,
        student: Student,
        config: DistillConfig,
        teacher: Teacher | None,
        label_loss: LabelLoss | None = None,
        kept: KeptAnswers | None = None,
    ) -> None:
        """`label_loss` as in `DistillTask`; `kept`: answers of the teacher that need not be computed again.

        Raises:
            InputError: the student is to look where the teacher does, and one of them does not say where it looks.
        """
        super().__init__()
        if teacher and config.look:
            _check_looks(student, teacher)
        self.network = student
        self.distill = DistillTask(config, student, teacher.feature_size if teacher else None, label_loss)
        if teacher and config.taps:
            self.distill.taps = TapTerms(config.taps, student, teacher)
        self._ask = Asked(teacher, kept, config.taps) if teacher else None
        self._paths = [tap.student for tap in config.taps] if teacher else []

    def counts(self, batch: Batch) -> Counts:
        return self.distill.counts(batch.steps)

    def forward(self, batch: Batch, shares: Counts = WHOLE) -> Losses:
        answer = self._ask(batch.teacher_frames) if self._ask is not None else None
        frames = as_input(batch.frames)
        exits, skipping = len(self.network.exit_names), self.distill.config.skipping
        deciding = draw_deciding(frames.shape[0], frames.shape[1], exits, skipping)
        with listening(self.network, self._paths, "student") as heard:
            outputs = self.network(frames, deciding.to(frames.device))
        loss, terms = self.distill(outputs, batch.steps, answer, shares, heard)
        return loss, {name: term.detach() for name, term in terms.items()}


def _check_looks(student: Student, teacher: Teacher) -> None:
    if student.config.points == 0:
        raise InputError("distill.look: the student looks at no places (student.points = 0)")
    with torch.no_grad():
        outputs = teacher(blank(cast(nn.Module, teacher), teacher.config.input, teacher.config.frames))
    if outputs.places is None:
        raise InputError(f"distill.look: a teacher of kind {teacher.config.kind} does not say where it looks")


class MemoryTask(nn.Module):
    """The loss of every exit's labels, from what the student's eyes saw; its memory alone is trained."""

    def __init__(self, student: Student, config: DistillConfig, label_loss: LabelLoss) -> None:
        super().__init__()
        self.network = student
        self.label_loss = label_loss
        self.skipping = config.skipping
        self.exit_weights = exit_weights(config, len(student.exit_names))
        student.requires_grad_(False)
        student.memory.requires_grad_(True)

    def counts(self, batch: SightBatch) -> Counts:
        labels = (batch.weights.flatten() * self.label_loss.counts(batch.targets.flatten())).sum().item()
        return Counts(len(batch), labels, 0.0, 0.0)

    def forward(self, batch: SightBatch, shares: Counts = WHOLE) -> Losses:
        clips, steps = batch.targets.shape
        deciding = draw_deciding(clips, steps, len(self.exit_weights), self.skipping).to(batch.looks.device)
        # A step that holds is decided where the look that stands for it was
        logits, _ = self.network.recall(batch.sights, steps, deciding.gather(1, batch.looks))
        losses = [task_loss(one, batch.targets, batch.weights, self.label_loss) for one in logits]
        loss = torch.stack([weight * one for weight, one in zip(self.exit_weights, losses, strict=True)]).sum()
        loss = loss * shares.labels
        return loss, {"task": loss.detach()}


def draw_deciding(batch: int, steps: int, exits: int, share: float) -> Tensor:
    """Which exit decided each step, int64 `(batch, steps)`: in a `share` of streams by lot, else always the last.

    Each of these streams has a lot of its own: some hardly go deep, some nearly always.
    """
    skipping = torch.rand(batch, 1) < share
    last = torch.rand(batch, 1)
    drawn = torch.where(torch.rand(batch, steps) < last, exits - 1, torch.randint(exits, (batch, steps)))
    return torch.where(skipping, drawn, exits - 1)
