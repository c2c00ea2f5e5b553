"""The trained student in torch behind the runtime's call contract: what exported models are measured against."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from edgevid.frame import Pixels
from edgevid.manifest import HoldRule, Manifest
from edgevid.models.contract import Outputs, State
from edgevid_deploy.step import PixelStep
from edgevid_train.models.student import Student


class TorchStream:
    """A `StreamModel` that steps the student itself, in float32 on the CPU."""

    def __init__(self, student: Student, manifest: Manifest) -> None:
        self.manifest = manifest
        self._student = student
        self._step = PixelStep(student)

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        """The same student under a manifest with these exit thresholds."""
        return type(self)(self._student, self.manifest.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> Self:
        """The same student under a manifest with this rule."""
        return type(self)(self._student, self.manifest.with_hold(rule))

    def zero_state(self) -> State:
        """The state at the start of a stream."""
        return {spec.name: np.zeros(spec.shape, np.float32) for spec in self.manifest.states}

    @torch.inference_mode()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)`, through the student."""
        tensors = _tensors(state)
        values = [v.numpy() for v in self._step(torch.from_numpy(np.ascontiguousarray(pixels))[None], *tensors)]
        exits = len(self.manifest.exits)
        after = dict(zip(state, values[exits + 1 :], strict=True))
        return Outputs(np.concatenate(values[:exits]), values[exits][0]), after

    @torch.inference_mode()
    def hold(self, state: State) -> tuple[Outputs, State]:
        """A step that looks at no frame."""
        logits, embedding, after = self._step.student.hold(dict(zip(state, _tensors(state), strict=True)))
        exits = len(self.manifest.exits)
        repeated = logits.expand(exits, -1).numpy()
        return Outputs(repeated, embedding[0].numpy(), exits - 1), {name: v.numpy() for name, v in after.items()}


def _tensors(state: State) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(value)) for value in state.values()]
