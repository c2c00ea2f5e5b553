"""The loss terms of taps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.losses.counts import shares_of
from edgevid_train.losses.taps.config import TapConfig
from edgevid_train.losses.taps.listen import heard_of, listening
from edgevid_train.losses.taps.relation import relation_loss
from edgevid_train.losses.taps.shapes import student_map, teacher_map
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.config import Teacher, TeacherOutputs


class TapTerms(nn.Module):
    """Owns what turns a student's channels into a teacher's. Both are run once, to see what they have.

    Raises:
        InputError: a module that is not there, is not run, or gives what cannot be compared.
    """

    def __init__(self, taps: Sequence[TapConfig], student: Student, teacher: Teacher) -> None:
        super().__init__()
        self.taps = tuple(taps)
        network = cast(nn.Module, teacher)
        ours = _maps_of(student, [tap.student for tap in taps], "student", blank(student, student.config.input, 2))
        shown = blank(network, teacher.config.input, teacher.config.frames)
        theirs = _maps_of(network, [tap.teacher for tap in taps], "teacher", shown)
        self.project = nn.ModuleList()
        for tap in self.taps:
            mine = student_map(ours[tap.student], tap.student, 1, 2)
            other = teacher_map(theirs[tap.teacher], tap.teacher, 1, network)
            if tap.kind == "attention" and min(mine.shape[3:].numel(), other.shape[3:].numel()) == 1:
                blind = tap.student if mine.shape[3:].numel() == 1 else tap.teacher
                raise InputError(f"distill.taps: {blind} has no places in the picture to be attentive to")
            same = tap.kind != "feature" or mine.shape[2] == other.shape[1]
            self.project.append(nn.Identity() if same else nn.Conv3d(mine.shape[2], other.shape[1], 1))

    @property
    def names(self) -> list[str]:
        """Of the terms."""
        return [f"{tap.kind}{number}" for number, tap in enumerate(self.taps, start=1)]

    def forward(self, heard: dict[str, Any], taught: Sequence[Tensor], progress: Tensor) -> list[Tensor]:
        """Each tap's loss, weighted. `heard`: the student's outputs by path; `taught`: of each tap `in_parts` of the
        teacher's; `progress` as in `StepTargets`.
        """
        clips, steps = progress.shape
        losses = []
        for tap, project, theirs in zip(self.taps, self.project, taught, strict=True):
            output = student_map(heard_of(heard, tap.student, "student"), tap.student, clips, steps)
            ours, counts = of_steps(output.float(), progress, tap.times)
            ours, theirs = same_places(ours, theirs.float())
            if tap.kind == "feature":
                loss = feature_map_loss(project(ours), theirs, counts)
            elif tap.kind == "attention":
                loss = attention_loss(ours, theirs, counts)
            else:
                loss = relation_loss(_pooled(ours, counts), _pooled(theirs, counts), counts.any(1))
            losses.append(tap.weight * loss)
        return losses


def ask_tapped(teacher: Teacher, frames: Tensor, taps: Sequence[TapConfig]) -> TeacherOutputs:
    """The answer of a teacher with what it gave for each tap."""
    if not taps:
        return teacher(frames)
    network = cast(nn.Module, teacher)
    with listening(network, [tap.teacher for tap in taps], "teacher") as heard:
        outputs = teacher(frames)
    maps = [teacher_map(heard_of(heard, tap.teacher, "teacher"), tap.teacher, len(frames), network) for tap in taps]
    return replace(outputs, taps=tuple(in_parts(x, tap.times) for x, tap in zip(maps, taps, strict=True)))


def in_parts(maps: Tensor, times: int) -> Tensor:
    """A teacher's `(B, C, t, h, w)` over `times` parts of the clip: `(B, C, times, h, w)`."""
    return functional.adaptive_avg_pool3d(maps, (times, *maps.shape[3:]))


def of_steps(maps: Tensor, progress: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """A student's `(B, T, C, h, w)` over `times` parts of the action: `(B, C, times, h, w)`.

    Returns: that, and which parts have a step, bool `(B, times)`; others are zero.
    """
    part = (progress * times).floor().clamp(max=times - 1)  # NaN is in no part
    inside = (part.unsqueeze(1) == torch.arange(times, device=part.device)[:, None]).to(maps.dtype)  # (B, times, T)
    steps = inside.sum(2)
    share = inside / steps.clamp(min=1).unsqueeze(2)
    return torch.einsum("bnt,btchw->bcnhw", share, maps), steps > 0


def same_places(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Both, `(B, ·, times, h, w)`, with the fewer rows and the fewer columns."""
    rows, columns = (min(a, b) for a, b in zip(ours.shape[3:], theirs.shape[3:], strict=True))
    return tuple(functional.adaptive_avg_pool3d(x, (x.shape[2], rows, columns)) for x in (ours, theirs))  # type: ignore[return-value]


def feature_map_loss(ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
    """Smooth L1 from maps `(B, C, times, h, w)` to those of the teacher, layer-normed over channels; mean over the
    parts that count, `(B, times)`, of each clip, then over the batch.
    """
    target = functional.layer_norm(theirs.movedim(1, -1), theirs.shape[1:2]).movedim(-1, 1)
    per_part = functional.smooth_l1_loss(ours, target, reduction="none").mean((1, 3, 4))
    return (per_part * shares_of(counts)).sum() / len(ours)


def attention_loss(ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
    """Squared distance of two attention maps of `(B, ·, times, h, w)`: channels' squares summed, normed to length 1
    over the parts that count and all places of a clip (Zagoruyko & Komodakis 2017); mean over the batch, from 0 to 2.
    """
    mine, other = (
        functional.normalize((x.square().sum(1) * counts[:, :, None, None]).flatten(1), dim=1) for x in (ours, theirs)
    )
    return (mine - other).square().sum(1).mean()


def _pooled(maps: Tensor, counts: Tensor) -> Tensor:
    """`(B, C)`: mean over places and over the parts that count."""
    over_places = maps.mean((3, 4)) * counts.unsqueeze(1)
    return over_places.sum(2) / counts.sum(1, keepdim=True).clamp(min=1)


def blank(network: nn.Module, spec: InputSpec, count: int) -> Tensor:
    """A black clip of `count` frames as `network` takes them, to see what it gives."""
    device = next(network.parameters()).device
    return torch.zeros(1, count, 3, spec.height, spec.width, device=device)


@torch.no_grad()
def _maps_of(network: nn.Module, paths: Sequence[str], whose: str, shown: Tensor) -> dict[str, Any]:
    training = network.training
    network.eval()
    try:
        with listening(network, paths, whose) as heard:
            network(shown)
    finally:
        network.train(training)
    return {path: heard_of(heard, path, whose) for path in paths}
