"""The call contract that every backend keeps, whatever computes inside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid.manifest import Manifest

State = Mapping[str, NDArray[np.floating]]
"""Name of a state tensor -> its value; the names and shapes are the manifest's."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one step, or one clip, gives.

    Attributes:
        logits: float32 `(exits, labels)` of a step; `(exits, T, labels)` of a clip. Exits in the manifest's order.
        embedding: float32 `(embedding_size,)` of a step; `(T, embedding_size)` of a clip.

    A clip model that gives one score for all its frames has 1 in the place of T.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]


@runtime_checkable
class StreamModel(Protocol):
    """A network that takes one frame at a time and carries state. `isinstance` tells it from a clip model."""

    @property
    def manifest(self) -> Manifest: ...

    def zero_state(self) -> State: ...

    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)` as the manifest's input says, through the network.

        A function: neither argument is changed, and a state may be kept and stepped from again.
        """
        ...


@runtime_checkable
class ClipModel(Protocol):
    """A network that takes T frames at once."""

    @property
    def manifest(self) -> Manifest: ...

    def run(self, clip: NDArray[np.uint8]) -> Outputs:
        """uint8 `(T, height, width, 3)` through the network."""
        ...
