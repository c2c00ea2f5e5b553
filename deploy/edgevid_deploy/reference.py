"""The trained student in torch behind the runtime's call contract: what exported models are measured against."""

import numpy as np
import torch

from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import Outputs, State
from edgevid_deploy.step import PixelStep
from edgevid_train.evaluate.torch_stream import TorchStream
from edgevid_train.models.student import Student


class WholeStream(TorchStream):
    """A `TorchStream` whose every step is the exporters' own: each exit is computed, in float32 on the CPU."""

    def __init__(self, student: Student, manifest: Manifest) -> None:
        super().__init__(student, manifest)
        self.manifest = manifest
        self._step = PixelStep(student)

    @torch.inference_mode()
    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)`, through the student."""
        tensors = [torch.from_numpy(np.array(value)) for value in state.values()]
        values = [v.numpy() for v in self._step(torch.from_numpy(np.ascontiguousarray(pixels))[None], *tensors)]
        exits = len(self.manifest.exits)
        after = dict(zip(state, values[exits + 1 :], strict=True))
        return Outputs(np.concatenate(values[:exits]), values[exits][0]), after
