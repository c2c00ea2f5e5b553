"""The last maps of every network: those that its head reads, or, of a transformer, the tokens of its last layer."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from edgevid_train.evaluate.looks.activation import Tap
from edgevid_train.models.frame_teachers import FrameTeacher, ShiftTeacher
from edgevid_train.models.published import PublishedTeacher
from edgevid_train.models.student import Student
from edgevid_train.models.teacher_config import TeacherConfig

Grid = tuple[int, int, int]
"""Times, rows and columns of tokens."""

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
    if isinstance(teacher, ShiftTeacher):
        stages = {teacher.finer, teacher.middle, len(teacher.stages) - 1}
        return [Tap(teacher.stages[stage], False, _frame_by_frame) for stage in sorted(stages)]
    if isinstance(teacher, FrameTeacher):
        return [Tap(teacher.stages[-1], False, _frame_by_frame)]
    assert isinstance(teacher, PublishedTeacher)
    network, kind = teacher.network, teacher.config.kind
    if kind in _CONVOLUTIONAL:
        return [Tap(network.get_submodule(_CONVOLUTIONAL[kind]), True, lambda x, _: x[0].transpose(0, 1))]
    if kind == "mvit":
        return [Tap(network.blocks[-1], True, lambda x, others: _tokens(x, tuple(others[0])))]
    grid = _grid(teacher.config, network.config)
    if kind == "vjepa2":
        return [Tap(network.pooler, True, lambda x, _: _tokens(x, grid))]
    arrange: Callable[[Tensor, Grid], Tensor] = _times_last if kind == "timesformer" else _tokens
    return [Tap(network.get_submodule(_LAYERS[kind])[-1], True, lambda x, _: arrange(x, grid))]


def _grid(config: TeacherConfig, inner: Any) -> Grid:
    """The tokens of a network of transformers."""
    tubelet, patch = getattr(inner, "tubelet_size", 1), getattr(inner, "patch_size", None)
    frames, rows, columns = tubelet if isinstance(tubelet, list | tuple) else (tubelet, patch, patch)
    return config.frames // frames, config.input.height // rows, config.input.width // columns


def _frame_by_frame(x: Tensor, _: tuple[Any, ...]) -> Tensor:
    """`(t, C, h, w)`, as it is."""
    return x


def _tokens(x: Tensor, grid: Grid) -> Tensor:
    """`(1, tokens, C)`, perhaps with a class token first."""
    times, rows, columns = grid
    return x[0, -times * rows * columns :].reshape(*grid, -1).permute(0, 3, 1, 2)


def _times_last(x: Tensor, grid: Grid) -> Tensor:
    """As `_tokens`, where those of one place stand together."""
    times, rows, columns = grid
    return x[0, -times * rows * columns :].reshape(rows, columns, times, -1).permute(2, 3, 0, 1)
