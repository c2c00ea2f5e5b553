"""A student's stream graph as a model of the runtime: what `evaluate --stream` runs where there is no model file."""

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from edgevid.frame import Pixels
from edgevid.manifest import HoldRule, Manifest
from edgevid.models.contract import Outputs, State
from edgevid_train.models.folding import folded
from edgevid_train.models.student import Student


class TorchStream:
    """The contract `edgevid.models.contract.StreamModel`, computed by torch and stopping as the exported model does.

    It steps a copy of `student`; `manifest` is that of `describe`. Frames and states come and go as numpy arrays.
    """

    def __init__(self, student: Student, manifest: Manifest) -> None:
        self.student = folded(student)
        self.manifest = manifest.model_copy(update={"conditional": len(manifest.exits) > 1})

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        return self._under(self.manifest.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> Self:
        return self._under(self.manifest.with_hold(rule))

    def _under(self, manifest: Manifest) -> Self:
        """The same network, not a copy of it: a step changes nothing in it."""
        other = copy.copy(self)
        other.manifest = manifest
        return other

    def zero_state(self) -> State:
        return {name: value.cpu().numpy() for name, value in self.student.zero_state().items()}

    @torch.no_grad()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        before = self._tensors(state)
        frame = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
        frame = frame.to(self.student.mean.device).float()
        exits = self.manifest.exits
        deciding, computed, embedding, after = self.student.decide(
            frame, before, [exit_.threshold for exit_ in exits], self.manifest.activation
        )
        logits = torch.cat([*computed, *computed[-1:] * (len(exits) - len(computed))])
        return (
            Outputs(logits.cpu().numpy(), embedding[0].cpu().numpy(), deciding if self.manifest.conditional else None),
            {name: value.cpu().numpy() for name, value in after.items()},
        )

    @torch.no_grad()
    def hold(self, state: State) -> tuple[Outputs, State]:
        logits, embedding, after = self.student.hold(self._tensors(state))
        exits = len(self.manifest.exits)
        return (
            Outputs(logits.expand(exits, -1).cpu().numpy(), embedding[0].cpu().numpy(), exits - 1),
            {name: value.cpu().numpy() for name, value in after.items()},
        )

    def _tensors(self, state: State) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(value).to(self.student.mean.device) for name, value in state.items()}
