"""The student: a two-dimensional backbone made temporal, with exits after inner stages and at the end.

One set of weights, two graphs. `Student.forward` is the clip graph (training), `Student.step` the stream graph (what
runs on a device). With every exit computed they agree, exit by exit, for T frames from a zero state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from edgevid.manifest import InputSpec
from edgevid_train.models.backbones import add_shifts, build_backbone
from edgevid_train.models.heads import ExitHead
from edgevid_train.models.temporal import Carry, CausalConv, CausalShift, name_states

State = dict[str, Tensor]


class StudentConfig(BaseModel):
    """What a student is made of.

    `exits`: after which stages (1 is the first) the network may stop; the last is the end of the network.
    `weights`: see `build_backbone`. `frozen`: the stem and the first so many stages keep these weights and look at one
    frame only, without a shift: they hold edges and textures, and a third of a training step's cost. `shift_divisor`:
    0 for no shift in the backbone. `dilations`: of the causal convolutions in every exit's head; with three taps the
    head sees `1 + 2 * sum(dilations)` steps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    input: InputSpec = InputSpec(height=96, width=128)
    rate_hz: float = Field(default=8.0, gt=0)
    exits: tuple[int, ...] = Field(default=(3, 4, 5), min_length=1)
    frozen: int = Field(default=0, ge=0)
    shift_divisor: int = Field(default=8, ge=0)
    points: int = Field(default=16, ge=0)
    size: int = Field(default=128, gt=0)
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    norm: Literal["batch", "frozen"] = "batch"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if list(self.exits) != sorted(set(self.exits)) or self.exits[0] < 1:
            raise ValueError("exits must be stage numbers from 1 on, in rising order")
        return self

    @property
    def reach(self) -> int:
        """Steps that the heads can see; the backbone's shifts add a few more."""
        return 1 + 2 * sum(self.dilations)


@dataclass(frozen=True)
class StudentOutputs:
    """Of a clip. `logits`: one `(B, T, L)` per exit; `embedding` `(B, T, E)`, the last exit's.

    `places`: one `(B, T, points, 2)` per exit: where in the picture its head looked.
    """

    logits: tuple[Tensor, ...]
    embedding: Tensor
    places: tuple[Tensor, ...]


class Student(nn.Module):
    """See the module. `frames` are float RGB in 0..255; the network normalises them itself, before any padding."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: StudentConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        self.carry = Carry()
        backbone = build_backbone(config.backbone, config.exits[-1], config.weights)
        self.weights_from = backbone.weights
        self.stem = backbone.stem
        self.stages = backbone.stages
        if config.shift_divisor:
            moving = self.stages[config.frozen :]
            add_shifts(moving, lambda channels: CausalShift(self.carry, channels, config.shift_divisor))
        self.heads = nn.ModuleList(
            ExitHead(
                self.carry,
                backbone.channels[stage - 1],
                labels,
                points=config.points,
                size=config.size,
                dilations=config.dilations,
                dropout=config.dropout,
                follows=i > 0,
            )
            for i, stage in enumerate(config.exits)
        )
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)
        for part in self._frozen_parts():
            part.requires_grad_(False)
        name_states(self.named_modules())
        self.state_shapes = self._find_state_shapes()

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen stages, or with `norm = "frozen"` the whole backbone, keep their batch statistics."""
        super().train(mode)
        still = (self.stem, self.stages) if self.config.norm == "frozen" else self._frozen_parts()
        for part in still:
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _frozen_parts(self) -> tuple[nn.Module, ...]:
        return (self.stem, *self.stages[: self.config.frozen]) if self.config.frozen else ()

    @property
    def exit_names(self) -> tuple[str, ...]:
        """`stage3`, …, and `final` for the end of the network."""
        return (*(f"stage{stage}" for stage in self.config.exits[:-1]), "final")

    @property
    def embedding_size(self) -> int:
        return self.config.size

    def forward(self, frames: Tensor) -> StudentOutputs:
        """The clip graph: float `(B, T, 3, H, W)` in 0..255, from a zero state."""
        self.carry.clip(frames.shape[1])
        logits, embedding, places = self._compute(frames.flatten(0, 1))
        self.carry.release()
        over_time = tuple(x.squeeze(2).transpose(1, 2) for x in (*logits, embedding))
        by_clip = tuple(x.reshape(*frames.shape[:2], -1, 2) for x in places)
        return StudentOutputs(over_time[:-1], over_time[-1], by_clip)

    def step(self, frame: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], Tensor, State]:
        """The stream graph: one float frame `(B, 3, H, W)` in 0..255 and the state before it.

        Returns: logits `(B, L)` per exit, embedding `(B, E)`, the state after it.
        """
        self.carry.stream(state)
        logits, embedding, _ = self._compute(frame)
        new = self.carry.release()
        return (
            tuple(x.flatten(1) for x in logits),
            embedding.flatten(1),
            {name: new[name] for name in self.state_shapes},
        )

    def zero_state(self, batch: int = 1) -> State:
        """The state at the start of a stream."""
        return {
            name: torch.zeros(batch, *shape[1:], device=self.mean.device) for name, shape in self.state_shapes.items()
        }

    def _compute(self, x: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        x = self.stem((x - self.mean) / self.std)
        logits: list[Tensor] = []
        places: list[Tensor] = []
        before: Tensor | None = None
        heads = dict(zip(self.config.exits, self.heads, strict=True))
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if number in heads:
                scores, embedding, before, looked_at = heads[number](x, before)
                logits.append(scores)
                places.append(looked_at)
        return logits, embedding, places

    def _find_state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the state tensors for one stream, by letting a clip of one frame through and looking."""
        shapes: dict[str, tuple[int, ...]] = {}

        def shift(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(module, CausalShift)
            shapes[module.state_name] = (1, module.moved, *inputs[0].shape[2:])

        hooks = [m.register_forward_pre_hook(shift) for m in self.modules() if isinstance(m, CausalShift)]
        training = self.training
        self.eval()
        with torch.no_grad():
            self(torch.zeros(1, 1, 3, self.config.input.height, self.config.input.width))
        self.train(training)
        for hook in hooks:
            hook.remove()
        for head in self.heads:
            assert isinstance(head, ExitHead)
            for layer in head.remember.modules():
                if isinstance(layer, CausalConv):
                    shapes[layer.state_name] = (1, self.config.size, 1, layer.reach)
        return shapes


def macs_per_exit(student: Student) -> list[int]:
    """Multiply-accumulates of one step up to and including each exit: convolutions and linear layers are counted."""
    ran: list[tuple[nn.Module, int]] = []

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        per_output = weight[0].numel()
        ran.append((module, per_output * output[0].numel()))

    layers = [m for m in student.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [m.register_forward_hook(count) for m in layers]
    training = student.training
    student.eval()
    spec = student.config.input
    with torch.no_grad():
        student.step(torch.zeros(1, 3, spec.height, spec.width), student.zero_state())
    student.train(training)
    for hook in hooks:
        hook.remove()
    totals, total = [], 0
    ends = [head.decide for head in student.heads if isinstance(head, ExitHead)]
    for module, macs in ran:
        total += macs
        if any(module is end for end in ends):
            totals.append(total)
    return totals
