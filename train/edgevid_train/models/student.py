"""The student: a two-dimensional backbone made temporal, with exits after inner stages and at the end.

One set of weights, two graphs. `Student.forward` is the clip graph (training), `Student.step` the stream graph (what
runs on a device). With every exit computed they agree, exit by exit, for T frames from a zero state.

The stream graph is made of parts, one for each exit: `begin` goes to the first, `go_on` from one to the next, and the
thresholds say after which a step ends (BranchyNet, Teerapittayanon et al. 2016). All state is in what every step
computes, the stages up to the first exit and the memory; a stage that can be skipped has none. A step that holds
(`hold`) looks at no frame: the memory is told again what it was told last, and the shifts keep their state.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edgevid.cascade import is_sure
from edgevid.manifest import Activation, InputSpec
from edgevid.models.scores import activate
from edgevid_train.models.backbones import add_shifts, build_backbone
from edgevid_train.models.heads import Eye, Memory, Sight
from edgevid_train.models.temporal import Carry, CausalShift, name_states

State = dict[str, Tensor]
MEMORY = "memory"
"""Name of the memory's state; all others are those of shifts."""

Dilation = Annotated[int, Field(ge=1, le=4096)]


class StudentConfig(BaseModel):
    """What a student is made of.

    `exits`: after which stages (1 is the first) the network may stop; the last is the end of the network.
    `weights`: see `build_backbone`. `frozen`: the stem and the first so many stages keep these weights and look at one
    frame only, without a shift: they hold edges and textures, and a third of a training step's cost. `shift_divisor`:
    of the shifts in the stages up to the first exit, 0 for none. `dilations`: of the causal convolutions in the memory;
    with three taps it sees `1 + 2 * sum(dilations)` steps. `norm`: whether all normalise by the batch's statistics
    (`batch`), or the backbone (`frozen`) or all (`all-frozen`) by those that they have, so that a step depends neither
    on which clips meet in a batch nor on how many processes share it; for weights that are trained already.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "auto"
    input: InputSpec = InputSpec(height=96, width=128)
    rate_hz: float = Field(default=8.0, gt=0, le=240)
    exits: tuple[int, ...] = Field(default=(3, 4, 5), min_length=1)
    frozen: int = Field(default=0, ge=0)
    shift_divisor: int = Field(default=8, ge=0)
    points: int = Field(default=16, ge=0)
    size: int = Field(default=128, gt=0, le=16384)
    dilations: tuple[Dilation, ...] = (1, 2, 4, 8, 16)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    norm: Literal["batch", "frozen", "all-frozen"] = "batch"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if list(self.exits) != sorted(set(self.exits)) or self.exits[0] < 1:
            raise ValueError("exits must be stage numbers from 1 on, in rising order")
        if len(self.exits) > 1 and not self.dilations:
            raise ValueError("several exits share one memory: dilations must hold one number at least")
        return self

    @property
    def reach(self) -> int:
        """Steps that the memory can see; the backbone's shifts add a few more."""
        return 1 + 2 * sum(self.dilations)


@dataclass(frozen=True)
class StudentOutputs:
    """Of a clip. `logits`: one `(B, T, L)` per exit; `embedding` `(B, T, E)`, the last exit's.

    `places`: one `(B, T, points, 2)` per exit: where in the picture its eye looked; `pointing`: one `(B, T)` per exit,
    logit of whether a hand points at the first place.
    """

    logits: tuple[Tensor, ...]
    embedding: Tensor
    places: tuple[Tensor, ...]
    pointing: tuple[Tensor, ...]


class Glance(NamedTuple):
    """What a step has got to at an exit, and what the next part goes on from.

    `x`: the stage's map `(B, C, H, W)`; `finer`: the first exit's; `what` `(B, size)`: what the exit's eye saw;
    `recalled`: what the memory's layers add of the past. `logits` `(B, L)` and `embedding` `(B, E)` are the step's if
    it ends here, and `kept` what the memory keeps of it.
    """

    x: Tensor
    finer: Tensor
    what: Tensor
    recalled: Tensor
    logits: Tensor
    embedding: Tensor
    kept: Tensor


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
            moving = self.stages[config.frozen : config.exits[0]]
            add_shifts(moving, lambda channels: CausalShift(self.carry, channels, config.shift_divisor))
        channels = [backbone.channels[stage - 1] for stage in config.exits]
        self.eyes = nn.ModuleList(
            Eye(n, channels[0] if i else 0, config.points, config.size, config.size if i else 0)
            for i, n in enumerate(channels)
        )
        self.memory = Memory(
            self.carry,
            len(channels),
            labels,
            points=config.points,
            size=config.size,
            dilations=config.dilations,
            dropout=config.dropout,
        )
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)
        for part in self._frozen_parts():
            part.requires_grad_(False)
        name_states(self.named_modules())
        self.state_shapes = self._find_state_shapes()

    def train(self, mode: bool = True) -> Self:
        """As torch's, but frozen stages, or as `norm` says the backbone or everything, keep their batch statistics."""
        super().train(mode)
        wholes: dict[str, tuple[nn.Module, ...]] = {"frozen": (self.stem, self.stages), "all-frozen": (self,)}
        for part in wholes.get(self.config.norm, self._frozen_parts()):
            for module in part.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
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

    def forward(self, frames: Tensor, deciding: Tensor | None = None) -> StudentOutputs:
        """The clip graph: float `(B, T, 3, H, W)` in 0..255, from a zero state.

        Every exit answers at every step. `deciding`: index of the exit that decided each step, int64 `(B, T)`, so that
        the past is what a cascade would have seen; None: the last one always.
        """
        sights = self.look(frames)
        logits, embedding = self.recall(sights, frames.shape[1], deciding)
        clips = frames.shape[:2]
        return StudentOutputs(
            logits,
            embedding,
            tuple(sight.places.reshape(*clips, -1, 2) for sight in sights),
            tuple(sight.pointing.reshape(clips) for sight in sights),
        )

    def look(self, frames: Tensor) -> list[Sight]:
        """What every exit's eye sees of clips `(B, T, 3, H, W)`, from a zero state, of all `B * T` frames in a row."""
        self.carry.clip(frames.shape[1])
        sights = self._look(frames.flatten(0, 1))
        self.carry.release()
        return sights

    def recall(
        self, sights: Sequence[Sight], steps: int, deciding: Tensor | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the memory makes of what the eyes saw in clips of `steps` frames; `deciding` as of `forward`.

        Returns: logits `(B, T, L)` per exit, and the embedding `(B, T, E)`.
        """
        self.carry.clip(steps, deciding)
        logits, embedding = self.memory(sights)
        self.carry.release()
        *by_exit, last = (x.squeeze(2).transpose(1, 2) for x in (*logits, embedding))
        return tuple(by_exit), last

    def step(self, frame: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], Tensor, State]:
        """The stream graph, every exit computed: one float frame `(B, 3, H, W)` in 0..255 and the state before it.

        Returns: logits `(B, L)` per exit, embedding `(B, E)`, the state after it.
        """
        self.carry.stream(state)
        sights = self._look(frame)
        logits, embedding, kept = self.memory.step(sights, self._recall(state, len(frame)))
        return tuple(logits), embedding, self._after(state, self.carry.release(), kept)

    def decide(
        self,
        frame: Tensor,
        state: Mapping[str, Tensor],
        thresholds: Sequence[float | None],
        activation: Activation = "softmax",
    ) -> tuple[int, tuple[Tensor, ...], Tensor, State]:
        """As `step`, but of one stream, and no further than to the first exit that is sure by its threshold.

        Which one is sure the runtime says: see `edgevid.cascade.is_sure`.

        Returns: index of the exit that decided, logits `(1, L)` of each up to it, the embedding `(1, E)`, the state
        after it.

        Raises:
            EdgevidError: a logit is NaN or infinite.
        """
        glance, shifts = self.begin(frame, state)
        logits = [glance.logits]
        for threshold in thresholds[: len(self.eyes) - 1]:
            (scores,) = activate(glance.logits.detach().cpu().numpy(), activation)
            if is_sure(scores, threshold, activation):
                break
            glance = self.go_on(len(logits), glance)
            logits.append(glance.logits)
        return len(logits) - 1, tuple(logits), glance.embedding, self._after(state, shifts, glance.kept)

    def begin(self, frame: Tensor, state: Mapping[str, Tensor]) -> tuple[Glance, State]:
        """From the frame `(B, 3, H, W)` to the first exit; and the state of what no step skips."""
        self.carry.stream(state)
        x = self._stages((frame - self.mean) / self.std, 0)
        sight: Sight = self.eyes[0](x)
        return self._judge(0, x, x, sight, self._recall(state, len(frame))), self.carry.release()

    def go_on(self, i: int, glance: Glance) -> Glance:
        """From exit `i - 1` to exit `i`."""
        x = self._stages(glance.x, i)
        sight: Sight = self.eyes[i](x, glance.finer, glance.what)
        return self._judge(i, x, glance.finer, sight, glance.recalled)

    def hold(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, State]:
        """A step without a frame: what was seen in the last one stands for it, and the memory alone goes on.

        Returns: logits `(B, L)`, the embedding `(B, E)`, the state after it.
        """
        logits, embedding, kept = self.memory.hold(state[MEMORY])
        return logits, embedding, self._after(state, state, kept)

    def _judge(self, i: int, x: Tensor, finer: Tensor, sight: Sight, recalled: Tensor) -> Glance:
        (logits,), embedding, kept = self.memory.step([sight], recalled, first=i)
        return Glance(x, finer, sight.what, recalled, logits, embedding, kept)

    def _recall(self, state: Mapping[str, Tensor], streams: int) -> Tensor:
        tower = self.memory.remember
        return tower.recall(state[MEMORY] if MEMORY in state else self.mean.new_zeros(streams, 0, self.config.size))

    def _after(self, state: Mapping[str, Tensor], shifts: Mapping[str, Tensor], kept: Tensor) -> State:
        """The whole state after a step, from what was before it, what the shifts keep and what the memory keeps."""
        return {
            name: self.memory.remember.after(state[name], kept) if name == MEMORY else shifts[name]
            for name in self.state_shapes
        }

    def zero_state(self, batch: int = 1) -> State:
        """The state at the start of a stream."""
        return {
            name: torch.zeros(batch, *shape[1:], device=self.mean.device) for name, shape in self.state_shapes.items()
        }

    def _stages(self, x: Tensor, i: int) -> Tensor:
        """The stages between exit `i - 1`, or the normalised picture, and exit `i`."""
        first = self.config.exits[i - 1] if i else 0
        if i == 0:
            x = self.stem(x)
        for stage in self.stages[first : self.config.exits[i]]:
            x = stage(x)
        return x

    def _look(self, frames: Tensor) -> list[Sight]:
        """What every exit's eye sees of frames `(N, 3, H, W)`."""
        x = (frames - self.mean) / self.std
        sights: list[Sight] = []
        finer: Tensor | None = None
        for i, eye in enumerate(self.eyes):
            x = self._stages(x, i)
            sights.append(eye(x, finer, sights[-1].what if i else None))
            finer = x if i == 0 else finer
        return sights

    def _find_state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the state tensors for one stream, by letting a clip of one frame through and looking."""
        shapes: dict[str, tuple[int, ...]] = {}

        def shift(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(module, CausalShift)
            shapes[module.state_name] = (1, module.moved, *inputs[0].shape[2:])

        hooks = [m.register_forward_pre_hook(shift) for m in self.modules() if isinstance(m, CausalShift)]
        with _evaluating(self):
            self(torch.zeros(1, 1, 3, self.config.input.height, self.config.input.width))
        for hook in hooks:
            hook.remove()
        steps = self.memory.remember.steps
        return shapes | ({MEMORY: (1, steps, self.config.size)} if steps else {})


def macs_per_exit(student: Student) -> list[int]:
    """Multiply-accumulates of a step that ends at each exit: convolutions and products of matrices are counted.

    The memory answers anew at every exit, so a step to the last one pays for its answer as often as there are exits.
    """
    spec, totals = student.config.input, []
    with _counting_macs(student) as so_far:
        glance, _ = student.begin(torch.zeros(1, 3, spec.height, spec.width), student.zero_state())
        totals.append(so_far())
        for i in range(1, len(student.eyes)):
            glance = student.go_on(i, glance)
            totals.append(so_far())
    return totals


def macs_of_hold(student: Student) -> int:
    """Multiply-accumulates of a step that looks at no frame."""
    with _counting_macs(student) as so_far:
        student.hold(student.zero_state())
        return so_far()


@contextmanager
def _counting_macs(student: Student) -> Iterator[Callable[[], int]]:
    """Inside, what the student computes is counted, in evaluation mode; gives what that is so far."""
    with _evaluating(student), FlopCounterMode(display=False) as counter:
        yield lambda: int(counter.get_total_flops()) // 2


@contextmanager
def _evaluating(student: Student) -> Iterator[None]:
    """Inside, the student is in evaluation mode and nothing is kept for gradients."""
    training = student.training
    student.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        student.train(training)
