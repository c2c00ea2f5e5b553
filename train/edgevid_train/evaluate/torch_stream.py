"""A student's stream graph as a model of the runtime: what `evaluate --stream` runs where there is no model file."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import Outputs, State
from edgevid_train.models.student import Student


class TorchStream:
    """The contract `edgevid.models.contract.StreamModel`, computed by torch and stopping as the exported model does.

    `student` is in evaluation mode; `manifest` is that of `describe`. Frames and states come and go as numpy arrays.
    """

    def __init__(self, student: Student, manifest: Manifest) -> None:
        self.student = student
        self.manifest = manifest.model_copy(update={"conditional": len(manifest.exits) > 1})

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        return type(self)(self.student, self.manifest.with_thresholds(thresholds))

    def zero_state(self) -> State:
        return {name: value.cpu().numpy() for name, value in self.student.zero_state().items()}

    @torch.no_grad()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        device = self.student.mean.device
        before = {name: torch.from_numpy(value).to(device) for name, value in state.items()}
        frame = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1)[None].float()
        exits = self.manifest.exits
        deciding, computed, embedding, after = self.student.decide(
            frame, before, [exit_.threshold for exit_ in exits], self.manifest.activation
        )
        logits = torch.cat([*computed, *computed[-1:] * (len(exits) - len(computed))])
        return (
            Outputs(logits.cpu().numpy(), embedding[0].cpu().numpy(), deciding if self.manifest.conditional else None),
            {name: value.cpu().numpy() for name, value in after.items()},
        )
