"""Teachers: networks too large for a device, which see an action from its beginning to its end before they answer.

Every teacher takes the same float frames `(B, T, 3, H, W)` in 0..255, at its own size and frame count, and normalises
them itself, so that a student's and a teacher's normalisation can never be mistaken for one another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.models.backbones import add_shifts, build_backbone
from edgevid_train.models.heads import WhatAndWhere
from edgevid_train.models.temporal import BothWaysShift, Carry


class TeacherConfig(BaseModel):
    """`kind`: `tsm` (a timm backbone with temporal shift, both ways) or `videomae` (transformers).

    `weights`: for `tsm` see `build_backbone`; for `videomae` a local folder or a hub id of a checkpoint.
    `frozen`: of `tsm`, stages that keep their weights (see `StudentConfig`). `frames`: spread evenly over the action.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tsm", "videomae"] = "tsm"
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    stages: int = 7
    input: InputSpec = InputSpec(height=96, width=128)
    frozen: int = Field(default=0, ge=0)
    frames: int = Field(default=16, gt=1)
    points: int = Field(default=32, ge=0)
    size: int = Field(default=256, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _weights_of_a_kind(self) -> Self:
        if self.kind == "videomae" and self.weights in ("auto", "package", "hub", "none"):
            raise ValueError(f"weights of a videomae teacher are a folder or a hub id, not {self.weights!r}")
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
        # One look at the finest map that is cheap (1/16), where a fingertip still has a place, and one at the end.
        self.middle = max(0, config.stages - 3)
        self.look_middle = WhatAndWhere(backbone.channels[self.middle], config.points, size)
        self.look = WhatAndWhere(backbone.channels[-1], config.points, size)
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
        middle = x
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number == self.middle:
                middle = x
        self.carry.release()
        seen_middle, places = self.look_middle(middle)
        seen_last, _ = self.look(x)
        seen = torch.cat([seen_middle, seen_last], 1).reshape(-1, count, 2 * self.feature_size).transpose(1, 2)
        features = torch.relu(self.read(self.dropout(self.over_time(seen).flatten(1))))
        return TeacherOutputs(self.decide(self.dropout(features)), features, places.reshape(*frames.shape[:2], -1, 2))


class VideoMAETeacher(nn.Module):
    """transformers' `VideoMAEForVideoClassification` (Tong et al. 2022), ImageNet normalisation, square input.

    A checkpoint trained for other labels, or for none, keeps its body and gets a new classifier.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        self.network = _load_videomae(config, labels)
        self.feature_size = int(self.network.config.hidden_size)
        self.register_buffer("mean", 255 * torch.tensor([0.485, 0.456, 0.406]).view(1, 1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor([0.229, 0.224, 0.225]).view(1, 1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> TeacherOutputs:
        out = self.network.videomae((frames - self.mean) / self.std)[0]
        norm = self.network.fc_norm
        features = norm(out.mean(1)) if norm is not None else out[:, 0]
        return TeacherOutputs(self.network.classifier(features), features)


def build_teacher(config: TeacherConfig, labels: int) -> ShiftTeacher | VideoMAETeacher:
    """The teacher that `config` describes, for `labels` classes.

    Raises:
        InputError: weights that cannot be had, or that do not fit.
    """
    return VideoMAETeacher(config, labels) if config.kind == "videomae" else ShiftTeacher(config, labels)


def _load_videomae(config: TeacherConfig, labels: int) -> Any:
    """`VideoMAEForVideoClassification` in float32, with every tensor of its body from the checkpoint."""
    from transformers import AutoConfig, VideoMAEForVideoClassification

    weights, local = config.weights, Path(config.weights).is_dir()
    where = f"the {'folder' if local else 'hub id or folder'} {weights!r}"
    try:
        with _without_reports():
            inner = AutoConfig.from_pretrained(weights, local_files_only=local, trust_remote_code=False)
            if inner.model_type != "videomae":
                raise InputError(f"teacher weights: {where} holds a {inner.model_type}, not a videomae")
            _check_input(inner, config)
            network, found = VideoMAEForVideoClassification.from_pretrained(
                weights,
                num_labels=labels,
                ignore_mismatched_sizes=True,
                local_files_only=local,
                use_safetensors=True,  # data, not code
                dtype=torch.float32,  # whatever it was saved in: it is trained, and shares its input with the student
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"teacher weights: {where} gives no VideoMAE: {_first_line(error)}") from None
    misfits = [key if isinstance(key, str) else key[0] for key in found["mismatched_keys"]]
    # A size that differs is refused as a name that is missing. Early transformers 5 lost the published checkpoints'
    # q_bias and v_bias in this way, and carried on with zeros (its pull request 48675).
    new = sorted(key for key in (*found["missing_keys"], *misfits) if not key.startswith(("classifier.", "fc_norm.")))
    if new:
        raise InputError(f"teacher weights: {where} lacks {len(new)} tensors of a VideoMAE's body, such as {new[0]}")
    return network


def _check_input(inner: Any, config: TeacherConfig) -> None:
    size = inner.image_size
    height, width = (size, size) if isinstance(size, int) else size
    wanted, given = (inner.num_frames, height, width), (config.frames, config.input.height, config.input.width)
    if wanted != given:
        raise InputError(
            f"the checkpoint {config.weights} takes {wanted[0]} frames of {wanted[2]}x{wanted[1]}, "
            f"the recipe gives {given[0]} of {given[2]}x{given[1]}"
        )


@contextmanager
def _without_reports() -> Iterator[None]:
    """transformers prints a table of what it loaded and what not; here one line says what is wrong, if anything is."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
