"""Teachers that edgevid builds on others' stages: shifted, inflated, convolved over time, or read by an LSTM."""

from typing import Self

import torch
from torch import Tensor, nn

from edgevid_train.models.backbones import Backbone, add_shifts, build_backbone
from edgevid_train.models.teachers.config import TeacherConfig, TeacherOutputs
from edgevid_train.models.teachers.inflate import inflate
from edgevid_train.models.teachers.looking import Looking
from edgevid_train.models.teachers.x3d import x3d_backbone
from edgevid_train.models.temporal import BothWaysShift, Carry


class FrameTeacher(nn.Module):
    """The backbone over all frames of a batch of clips, its normalisation, and stages that stay as they are."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_size = config.size
        self.carry = Carry()
        backbone = self._backbone(config)
        self.channels = backbone.channels
        self.stem, self.stages = backbone.stem, backbone.stages
        self.frozen_parts = (self.stem, *self.stages[: config.frozen]) if config.frozen else ()
        for part in self.frozen_parts:
            part.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def _backbone(self, config: TeacherConfig) -> Backbone:
        return build_backbone(config.backbone, config.stages, config.weights)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen stages keep their batch statistics."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def maps(self, frames: Tensor) -> list[Tensor]:
        """`(B, T, 3, H, W)` in 0..255 -> the output of every stage, `(B*T, C, h, w)`."""
        self.carry.clip(frames.shape[1])
        x = self.stem((frames.flatten(0, 1) - self.mean) / self.std)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        self.carry.release()
        return maps


class LookingTeacher(FrameTeacher):
    """The stages' maps under the head `Looking`.

    `middle`, `finer`: the stages of the look half-way: the one that is read, and the one with the finer map of 1/8.
    """

    def __init__(self, config: TeacherConfig, labels: int, middle: int, finer: int) -> None:
        super().__init__(config)
        self.middle, self.finer = middle, finer
        channels = self.channels
        self.looking = Looking(config, labels, config.frames, channels[middle], channels[finer], channels[-1])

    def forward(self, frames: Tensor) -> TeacherOutputs:
        maps = self.maps(frames)
        found: TeacherOutputs = self.looking(maps[self.middle], maps[self.finer], maps[-1])
        return found


class ShiftTeacher(LookingTeacher):
    """Temporal shift both ways (Lin et al. 2019, TSM)."""

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__(config, labels, max(0, config.stages - 3), max(0, config.stages - 5))
        add_shifts(self.stages[config.frozen :], lambda channels: BothWaysShift(self.carry, channels))


class X3DLookingTeacher(LookingTeacher):
    """The stages of X3D (Feichtenhofer 2020), which convolve over time, under the head of the shifted ones.

    X3D's own averages over places and times, and is slow to learn a movement's form from few clips.
    """

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__(config, labels, max(0, config.stages - 2), max(0, config.stages - 3))

    def _backbone(self, config: TeacherConfig) -> Backbone:
        return x3d_backbone(config, self.carry)


class RecurrentTeacher(FrameTeacher):
    """Each frame's map averaged over places, then an LSTM both ways (Donahue et al. 2015, LRCN)."""

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(self.channels[-1], config.size, batch_first=True, bidirectional=True)
        self.feature_size = 2 * config.size
        self.dropout = nn.Dropout(config.dropout)
        self.decide = nn.Linear(self.feature_size, labels)

    def forward(self, frames: Tensor) -> TeacherOutputs:
        seen = self.maps(frames)[-1].mean((2, 3)).reshape(*frames.shape[:2], -1)
        _, (last, _) = self.lstm(self.dropout(seen))  # (2, B, size): each direction's state after its last frame
        features = torch.cat([last[0], last[1]], -1)
        return TeacherOutputs(self.decide(self.dropout(features)), features)


class InflatedTeacher(FrameTeacher):
    """Every convolution over places also over time (see `inflate`); the last map averaged over places and times."""

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__(config)
        for part in (self.stem, *self.stages)[1 + config.frozen if config.frozen else 0 :]:
            inflate(part, self.carry, config.inflate)
        self.feature_size = self.channels[-1]
        self.dropout = nn.Dropout(config.dropout)
        self.decide = nn.Linear(self.feature_size, labels)

    def forward(self, frames: Tensor) -> TeacherOutputs:
        features = self.maps(frames)[-1].mean((2, 3)).reshape(*frames.shape[:2], -1).mean(1)
        return TeacherOutputs(self.decide(self.dropout(features)), features)
