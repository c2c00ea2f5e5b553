"""The portable step: the student as plain functions of tensors, which is what exporters take.

Flat tuples instead of dictionaries, in the manifest's order, and nothing that an exporter would have to guess: state
goes in and comes out. What goes in and out is called what the manifest calls it; exporters and checks ask here.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from edgevid.manifest import Manifest
from edgevid_train.models.folding import folded
from edgevid_train.models.student import Student


class StreamStep(nn.Module):
    """One step: float frame `(1, 3, H, W)` in 0..255 and one tensor per state.

    Gives logits `(1, L)` per exit, the embedding `(1, E)` and the next state, in one flat tuple.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = folded(student)
        self.eval()

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, embedding, after = self.student.step(frame, dict(zip(self.student.state_shapes, state, strict=True)))
        return (*logits, embedding, *after.values())

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shapes: a black frame and the state at the start of a stream."""
        spec = self.student.config.input
        return (torch.zeros(1, 3, spec.height, spec.width), *self.student.zero_state().values())


class PixelStep(StreamStep):
    """`StreamStep` of a frame as the runtime has it: uint8 `(1, H, W, 3)`."""

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return super().forward(frame.permute(0, 3, 1, 2).to(torch.float32), *state)

    def example(self) -> tuple[Tensor, ...]:
        frame, *state = super().example()
        return (frame.permute(0, 2, 3, 1).to(torch.uint8), *state)


class PixelClip(nn.Module):
    """The clip graph: uint8 `(1, T, H, W, 3)` to logits `(1, T, L)` per exit and the embedding `(1, T, E)`."""

    def __init__(self, student: Student, frames: int) -> None:
        super().__init__()
        self.student = folded(student)
        self.frames = frames
        self.eval()

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        outputs = self.student(clip.permute(0, 1, 4, 2, 3).to(torch.float32))
        return (*outputs.logits, outputs.embedding)

    def example(self) -> tuple[Tensor, ...]:
        """A black clip."""
        spec = self.student.config.input
        return (torch.zeros(1, self.frames, spec.height, spec.width, 3, dtype=torch.uint8),)


def input_names(manifest: Manifest) -> list[str]:
    """What goes into the graph that `manifest` describes, in order."""
    if manifest.kind == "clip":
        return ["clip"]
    asked = [*(f"threshold_{spec.name}" for spec in manifest.exits[:-1]), "hold"] if manifest.conditional else []
    return ["frame", *(state.name for state in manifest.states), *asked]


def output_names(manifest: Manifest) -> list[str]:
    """What comes out of it, in order."""
    return [
        *(f"logits_{spec.name}" for spec in manifest.exits),
        "embedding",
        *(f"next_{state.name}" for state in manifest.states),
        *(["exit"] if manifest.conditional else []),
    ]


def with_states_in(manifest: Manifest, dtype: Literal["float32", "float16"]) -> Manifest:
    """The same model with its states in another precision."""
    states = [state.model_dump() | {"dtype": dtype} for state in manifest.states]
    return Manifest.model_validate(manifest.model_dump() | {"states": states})


def stopping(manifest: Manifest) -> Manifest:
    """The same model as a graph that stops at the first exit that is sure, where it has more than one."""
    return manifest.model_copy(update={"conditional": len(manifest.exits) > 1})


def clip_manifest(stream: Manifest, frames: int) -> Manifest:
    """The manifest of the clip graph of T = `frames` that has the same weights as `stream`."""
    changes = {"name": f"{stream.name}.clip", "kind": "clip", "clip_frames": frames, "states": ()}
    return Manifest.model_validate(stream.model_dump() | changes)
