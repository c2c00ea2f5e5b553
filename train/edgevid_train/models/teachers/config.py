"""What a recipe says of its teacher, and what every teacher gives.

Every teacher takes the same float frames `(B, T, 3, H, W)` in 0..255, at its own size and frame count, and normalises
them itself, so that a student's and a teacher's normalisation can never be mistaken for one another.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from edgevid.manifest import InputSpec
from edgevid_train.models.teachers.table import KINDS, TEACHERS
from edgevid_train.models.teachers.videomae import VIT_B, VideoMAESize


class TeacherConfig(BaseModel):
    """`kind`: one of `edgevid models list --teachers`, or `ensemble`.

    `weights`: of what edgevid builds on a timm backbone (`tsm`, `cnn-lstm`, `inflated`) see `build_backbone`; of
    transformers a local folder or a hub id of a checkpoint; of torchvision and pytorchvideo (`x3d-looking` too) `hub`
    (those of the table), a file or a folder; and `none` for random ones. `videomae` says the size of a `videomae` with
    random weights, and of every `videomae-looking` (ViT-B where it is not given).

    `input`, `frames`: what the kind was trained with, unless the recipe says otherwise. `rate_hz`: likewise, but for
    random weights; 0, that of all others, spreads the frames evenly over the action (see `look_times`).
    `frozen`: of what edgevid builds, stages that keep their weights (see `StudentConfig`). `inflate`: see `inflate`.
    `members`: of an `ensemble`, runs or checkpoints of finished teachers that take the same frames; of a
    cross-validated run each fold takes its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "tsm"
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    stages: int = 7
    input: InputSpec = InputSpec(height=96, width=128)
    frozen: int = Field(default=0, ge=0)
    frames: int = Field(default=16, gt=1, le=4096)
    rate_hz: float = Field(default=0.0, ge=0)
    points: int = Field(default=32, ge=0)
    size: int = Field(default=256, gt=0, le=16384)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    inflate: Literal["centre", "mean"] = "centre"
    videomae: VideoMAESize | None = None
    members: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _as_trained(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("kind") in TEACHERS:
            row = TEACHERS[values["kind"]]
            takes = row.takes
            rate_hz = 0.0 if values.get("weights") == "none" else takes.rate_hz or 0.0
            trained = {"input": takes.input, "frames": takes.frames, "rate_hz": rate_hz, "stages": row.stages}
            if values["kind"] == "videomae-looking":
                trained["videomae"] = VIT_B
            values = trained | values
        return values

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")
        return kind

    @model_validator(mode="after")
    def _whole(self) -> Self:
        fault = self._fault()
        if fault is not None:
            raise ValueError(fault)
        return self

    @property
    def weights_from(self) -> str:
        """For people: where its weights come from before training."""
        row = TEACHERS.get(self.kind)
        if row is None or row.library == "timm":
            return self.backbone
        return row.source if self.weights in ("auto", "hub") else self.weights

    def _fault(self) -> str | None:
        """Why this makes no teacher, or None."""
        if self.kind == "ensemble":
            few = f"an ensemble has at least two members, not {len(self.members)}"
            return few if len(self.members) < 2 else None
        row = TEACHERS[self.kind]
        if row.library == "timm":
            return None
        if row.library != "transformers":
            packaged = f"weights of a {self.kind} teacher are hub, a file, a folder or none, not 'package'"
            return packaged if self.weights == "package" else None
        if self.weights in ("auto", "package", "hub"):
            return (
                f"weights of a {self.kind} teacher are a folder, a hub id or none, not {self.weights!r}; "
                f"a published hub id is {row.source}"
            )
        if self.kind not in ("videomae", "videomae-looking"):
            square = f"a {self.kind} teacher takes a square, not {self.input.width}x{self.input.height}"
            return square if self.input.height != self.input.width else None
        if self.weights == "none" and self.videomae is None:
            return "a videomae teacher without weights needs its size: teacher.videomae.width and others"
        return None if self.videomae is None else self.videomae.fault(self.input, self.frames)


@dataclass(frozen=True)
class TeacherOutputs:
    """Of a clip. `logits` `(B, L)`; `features` `(B, D)`, what the answer was read from.

    `places`: `(B, T, points, 2)`: where in the picture it looked, where the network has such a thing. `taps`: what its
    modules gave for each of the recipe's taps, float `(B, C, times, h, w)`.
    """

    logits: Tensor
    features: Tensor
    places: Tensor | None = None
    taps: tuple[Tensor, ...] = ()


class Teacher(Protocol):
    """What distillation needs of a teacher."""

    config: TeacherConfig
    feature_size: int

    def __call__(self, frames: Tensor) -> TeacherOutputs: ...
