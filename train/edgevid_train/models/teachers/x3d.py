"""X3D's stages as a backbone for a head of ours."""

from typing import Any

from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid_train.models.backbones import Backbone
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.models.teachers.networks import x3d
from edgevid_train.models.teachers.pretrained import load_state_file
from edgevid_train.models.teachers.table import FACEBOOK
from edgevid_train.models.temporal import Carry

STAGES = 4


class OverClip(nn.Module):
    """What convolves over time, between layers that take frame by frame: `(B*T, C, H, W)` -> `(B*T, C', H', W')`."""

    def __init__(self, carry: Carry, inner: nn.Module) -> None:
        super().__init__()
        self.carry = carry
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(self.carry.by_clip(x).transpose(1, 2))
        return out.transpose(1, 2).flatten(0, 1)


def x3d_backbone(config: TeacherConfig, carry: Carry) -> Backbone:
    """The stem and the first `config.stages` stages of X3D-S, without its own head.

    Every frame is kept; the stem halves a picture, and so does each stage.

    Raises:
        InputError: pytorchvideo is not installed, weights that cannot be had, or more stages than it has.
    """
    if not 0 < config.stages <= STAGES:
        raise InputError(f"x3d has {STAGES} stages; {config.stages} were asked for")
    # The square is for the head alone, which is not kept.
    network: Any = x3d(1, config.input.model_copy(update={"width": config.input.height}), config.frames)
    if config.weights != "none":
        load_state_file(network, "x3d", config.weights)
    stem, *stages = network.blocks[: 1 + config.stages]
    mean, std = (tuple(255 * value for value in values) for values in FACEBOOK)
    return Backbone(
        OverClip(carry, stem),
        nn.ModuleList(OverClip(carry, stage) for stage in stages),
        [stage.res_blocks[-1].branch2.conv_c.out_channels for stage in stages],
        mean,
        std,
        config.weights,
    )
