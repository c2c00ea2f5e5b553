"""Outputs of modules of many libraries, brought into one shape."""

from typing import Any

from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid_train.losses.taps.listen import first_tensor
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.models.teachers.tokens import GRIDDED, TokenGrid
from edgevid_train.models.teachers.videomae_looking import VideoMAELookingTeacher

_OVER_TIME = ("memory.remember", "memory.decide")
"""Modules of a student that see all steps of a stream, and all exits, at once: `(K*B, C, 1, T)`."""


def student_map(output: Any, path: str, clips: int, steps: int) -> Tensor:
    """`(B, T, C, h, w)`, h and w 1 where there are no places. Raises InputError when it is of another kind."""
    x = first_tensor(output)
    if x is not None and path.startswith(_OVER_TIME):
        if x.ndim == 4 and x.shape[2] == 1 and x.shape[3] == steps:
            return x[-clips:].permute(0, 3, 1, 2).unsqueeze(-1)  # of the last exit
    elif x is not None and x.ndim in (2, 4) and len(x) == clips * steps:
        return x.reshape(clips, steps, x.shape[1], *(x.shape[2:] or (1, 1)))
    raise InputError(f"distill.taps: the student's {path} gives {_said(output)}, which is no map of every step")


def teacher_map(output: Any, path: str, clips: int, teacher: nn.Module) -> Tensor:
    """`(B, C, t, h, w)`, 1 where there is no time or are no places: of tokens whose order is not known too.

    Raises:
        InputError: it is of another kind.
    """
    x, (config, network) = first_tensor(output), _owner(teacher, path)
    if x is not None and x.ndim == 5 and len(x) == clips:
        return x.permute(0, 4, 1, 2, 3) if config.kind == "swin3d" else x
    if x is not None and x.ndim in (2, 4) and len(x) % clips == 0:  # of each clip's frames, one after the other
        return x.reshape(clips, -1, x.shape[1], *(x.shape[2:] or (1, 1))).transpose(1, 2)
    if x is not None and x.ndim == 3 and len(x) == clips:
        return _tokens(x, _told(output) or _grid(config, network))
    raise InputError(f"distill.taps: the teacher's {path} gives {_said(output)}, which is no map of a clip")


def _tokens(x: Tensor, grid: TokenGrid) -> Tensor:
    """`(B, N, C)` -> `(B, C, t, h, w)`: their mean where there are not as many, but for a class token."""
    return grid.maps(x) if x.shape[1] in (grid.total, grid.total + 1) else x.mean(1)[:, :, None, None, None]


def _told(output: Any) -> TokenGrid | None:
    """What some modules (torchvision's MViT) give beside their tokens."""
    second = output[1] if isinstance(output, tuple) and len(output) > 1 else None
    if isinstance(second, tuple | list) and len(second) == 3 and all(isinstance(n, int) for n in second):
        return TokenGrid(*second)
    return None


def _grid(config: TeacherConfig, network: nn.Module) -> TokenGrid:
    """Of what does not cut its clip into patches as transformers do each frame is a token."""
    if isinstance(network, VideoMAELookingTeacher):
        return network.grid
    return TokenGrid.of(config, network.network) if config.kind in GRIDDED else TokenGrid(config.frames, 1, 1)


def _owner(teacher: nn.Module, path: str) -> tuple[TeacherConfig, nn.Module]:
    """The teacher whose module it is, which may be a member of an ensemble."""
    found: Any = teacher
    while isinstance(found, Ensemble) and path.startswith("members."):
        _, number, path = path.split(".", 2) if path.count(".") > 1 else (*path.split("."), "")
        found = found.members[int(number)]
    return found.config, found


def _said(output: Any) -> str:
    x = first_tensor(output)
    return f"a {type(output).__name__}" if x is None else f"numbers of shape {' x '.join(map(str, x.shape))}"
