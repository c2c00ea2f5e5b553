"""A student's stream graph as a model of the runtime: what `evaluate --stream` runs where there is no model file."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from edgevid.cascade import deciding_exit
from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import Outputs, State
from edgevid.models.scores import activate
from edgevid_train.models.student import Student


class TorchStream:
    """The contract `edgevid.models.contract.StreamModel`, computed by torch and stopping as the exported model does.

    `student` is in evaluation mode on the CPU; `manifest` is that of `describe`.
    """

    def __init__(self, student: Student, manifest: Manifest) -> None:
        self.student = student
        self.manifest = manifest.model_copy(update={"conditional": len(manifest.exits) > 1})

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        return type(self)(self.student, self.manifest.with_thresholds(thresholds))

    def zero_state(self) -> State:
        return {name: value.numpy() for name, value in self.student.zero_state().items()}

    @torch.no_grad()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        before = {name: torch.from_numpy(value) for name, value in state.items()}
        frame = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
        glance, after = self.student.begin(frame, before)
        logits = [glance.logits]
        while not self._ends(logits):
            glance = self.student.go_on(len(logits), glance, before)
            logits.append(glance.logits)
        deciding = len(logits) - 1
        logits += logits[-1:] * (len(self.manifest.exits) - len(logits))
        after |= glance.memory
        return (
            Outputs(
                torch.cat(logits).numpy(),
                glance.embedding[0].numpy(),
                deciding if self.manifest.conditional else None,
            ),
            {name: after[name].numpy() for name in self.student.state_shapes},
        )

    def _ends(self, logits: list[Tensor]) -> bool:
        """Whether the last of these exits decides."""
        exits = self.manifest.exits
        if len(logits) == len(exits):
            return True
        activation = self.manifest.activation
        scores = activate(logits[-1].numpy(), activation)
        return deciding_exit(np.concatenate([scores, scores]), (exits[len(logits) - 1], exits[-1]), activation) == 0
