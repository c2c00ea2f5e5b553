"""Teachers: networks too large for a device, which see an action from its beginning to its end before they answer.

Every teacher takes the same float frames `(B, T, 3, H, W)` in 0..255, at its own size and frame count, and normalises
them itself, so that a student's and a teacher's normalisation can never be mistaken for one another.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.models.backbones import add_shifts, build_backbone
from edgevid_train.models.heads import Eye
from edgevid_train.models.temporal import BothWaysShift, Carry
from edgevid_train.models.videomae import TransformersNetwork, VideoMAESize, load_classifier, new_classifier


class TeacherConfig(BaseModel):
    """`kind`: `tsm` (a timm backbone with temporal shift, both ways), `videomae` (transformers) or `ensemble`.

    `weights`: for `tsm` see `build_backbone`; for `videomae` a local folder or a hub id of a checkpoint, or `none` for
    random ones; then `videomae` says the size. `frozen`: of `tsm`, stages that keep their weights (see
    `StudentConfig`). `frames`: spread evenly over the action. `members`: of an `ensemble`, runs or checkpoints of
    finished teachers that take the same frames; of a cross-validated run each fold takes its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tsm", "videomae", "ensemble"] = "tsm"
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    stages: int = 7
    input: InputSpec = InputSpec(height=96, width=128)
    frozen: int = Field(default=0, ge=0)
    frames: int = Field(default=16, gt=1)
    points: int = Field(default=32, ge=0)
    size: int = Field(default=256, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    videomae: VideoMAESize | None = None
    members: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "videomae":
            if self.weights in ("auto", "package", "hub"):
                raise ValueError(f"weights of a videomae teacher are a folder, a hub id or none, not {self.weights!r}")
            if self.weights == "none" and self.videomae is None:
                raise ValueError("a videomae teacher without weights needs its size: teacher.videomae.width and others")
            fault = None if self.videomae is None else self.videomae.fault(self.input, self.frames)
            if fault is not None:
                raise ValueError(fault)
        if self.kind == "ensemble" and len(self.members) < 2:
            raise ValueError(f"an ensemble has at least two members, not {len(self.members)}")
        return self


@dataclass(frozen=True)
class TeacherOutputs:
    """Of a clip. `logits` `(B, L)`; `features` `(B, D)`, what the answer was read from.

    `places`: `(B, T, points, 2)`: where in the picture it looked, where the network has such a thing.
    """

    logits: Tensor
    features: Tensor
    places: Tensor | None = None


class Teacher(Protocol):
    """What distillation needs of a teacher."""

    config: TeacherConfig
    feature_size: int

    def __call__(self, frames: Tensor) -> TeacherOutputs: ...


class ShiftTeacher(nn.Module):
    """Temporal shift both ways (Lin et al. 2019, TSM), then convolutions over time with the whole clip in view."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        self.feature_size = config.size
        self.carry = Carry()
        backbone = build_backbone(config.backbone, config.stages, config.weights)
        self.stem, self.stages = backbone.stem, backbone.stages
        self.frozen_parts = (self.stem, *self.stages[: config.frozen]) if config.frozen else ()
        for part in self.frozen_parts:
            part.requires_grad_(False)
        add_shifts(self.stages[config.frozen :], lambda channels: BothWaysShift(self.carry, channels))
        size = config.size
        # One look half-way, with the finer map of 1/8 where a fingertip still has a place, and one at the end.
        self.middle, self.finer = max(0, config.stages - 3), max(0, config.stages - 5)
        channels = backbone.channels
        self.look_middle = Eye(channels[self.middle], channels[self.finer], config.points, size)
        self.look = Eye(channels[-1], 0, config.points, size)
        self.over_time = nn.Sequential(
            nn.Conv1d(2 * size, size, 5, padding=2, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(inplace=True),
            nn.Conv1d(size, size, 5, padding=2, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(inplace=True),
        )
        # Order matters (up is down in reverse): the clip is read in place, not averaged over time.
        self.read = nn.Linear(size * config.frames, size)
        self.dropout = nn.Dropout(config.dropout)
        self.decide = nn.Linear(size, labels)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen stages keep their batch statistics."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def forward(self, frames: Tensor) -> TeacherOutputs:
        count = frames.shape[1]
        self.carry.clip(count)
        x = self.stem((frames.flatten(0, 1) - self.mean) / self.std)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        self.carry.release()
        half_way, places, _ = self.look_middle(maps[self.middle], maps[self.finer])
        seen = torch.cat([half_way, self.look(x).what], 1).reshape(-1, count, 2 * self.feature_size).transpose(1, 2)
        features = torch.relu(self.read(self.dropout(self.over_time(seen).flatten(1))))
        return TeacherOutputs(self.decide(self.dropout(features)), features, places.reshape(*frames.shape[:2], -1, 2))


class VideoMAETeacher(TransformersNetwork):
    """transformers' `VideoMAEForVideoClassification` (Tong et al. 2022), of the recipe's size or a checkpoint's."""

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        size, spec, frames = config.videomae, config.input, config.frames
        if config.weights == "none" and size is not None:
            super().__init__(new_classifier(size, spec, frames, labels))
        else:
            super().__init__(load_classifier(config.weights, size, spec, frames, labels))
        self.config = config
        self.feature_size = int(self.network.config.hidden_size)

    def forward(self, frames: Tensor) -> TeacherOutputs:
        out = self.network.videomae(self.normal(frames))[0]
        norm = self.network.fc_norm
        features = norm(out.mean(1)) if norm is not None else out[:, 0]
        return TeacherOutputs(self.network.classifier(features), features)


def build_teacher(config: TeacherConfig, labels: int) -> ShiftTeacher | VideoMAETeacher:
    """The teacher to train that `config` describes, for `labels` classes.

    Raises:
        InputError: weights that cannot be had, or that do not fit; or an ensemble, which is gathered and not built.
    """
    if config.kind == "ensemble":
        raise InputError("an ensemble is made of finished teachers: edgevid train-teacher with teacher.members")
    return VideoMAETeacher(config, labels) if config.kind == "videomae" else ShiftTeacher(config, labels)
