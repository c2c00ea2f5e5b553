"""The last maps of every network: those that its head reads, or, of a transformer, the tokens of its last layer."""

from typing import Any

from torch import Tensor, nn

from edgevid_train.evaluate.looks.activation import Tap
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.frames import FrameTeacher, LookingTeacher
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.tokens import TokenGrid
from edgevid_train.models.teachers.videomae_looking import VideoMAELookingTeacher

_CONVOLUTIONAL = {
    "r2plus1d": "avgpool",
    "swin3d": "avgpool",
    "s3d": "avgpool",
    "i3d": "blocks.6",
    "x3d": "blocks.5",
    "slowfast": "blocks.5",
}
"""What reads the last map `(1, C, t, h, w)`, or, of SlowFast, the last map of each pathway."""
_LAYERS = {
    "videomae": "videomae.encoder.layer",
    "timesformer": "timesformer.encoder.layer",
    "vivit": "vivit.layers",
}
"""The layers of transformers; most of them answer from one token, so what enters the last of them is looked at."""


def student_taps(student: Student) -> list[Tap]:
    """The map of every exit: the last eye reads the deepest, the first exit's, in which places are searched, and what
    the eyes before it told it.
    """
    return [Tap(student.stages[stage - 1], False, _frame_by_frame) for stage in student.config.exits]


def teacher_taps(teacher: nn.Module) -> list[Tap]:
    """Of any teacher but an ensemble, whose members have taps of their own."""
    if isinstance(teacher, LookingTeacher):
        stages = {teacher.finer, teacher.middle, len(teacher.stages) - 1}
        return [Tap(teacher.stages[stage], False, _frame_by_frame) for stage in sorted(stages)]
    if isinstance(teacher, FrameTeacher):
        return [Tap(teacher.stages[-1], False, _frame_by_frame)]
    if isinstance(teacher, VideoMAELookingTeacher):
        layers, of_clip = teacher.layers, teacher.grid
        read = (layers[len(layers) // 2 - 1], layers[-1])
        return [Tap(layer, False, lambda x, _: _placed(x, of_clip)) for layer in read]
    assert isinstance(teacher, PublishedTeacher)
    network, kind = teacher.network, teacher.config.kind
    if kind in _CONVOLUTIONAL:
        return [Tap(network.get_submodule(_CONVOLUTIONAL[kind]), True, lambda x, _: x[0].transpose(0, 1))]
    if kind == "mvit":
        return [Tap(network.blocks[-1], True, lambda x, others: _placed(x, TokenGrid(*others[0])))]
    grid = TokenGrid.of(teacher.config, network)
    last = network.pooler if kind == "vjepa2" else network.get_submodule(_LAYERS[kind])[-1]
    return [Tap(last, True, lambda x, _: _placed(x, grid))]


def _frame_by_frame(x: Tensor, _: tuple[Any, ...]) -> Tensor:
    """`(t, C, h, w)`, as it is."""
    return x


def _placed(tokens: Tensor, grid: TokenGrid) -> Tensor:
    """`(1, tokens, C)` -> `(t, C, h, w)`."""
    return grid.maps(tokens)[0].transpose(0, 1)
