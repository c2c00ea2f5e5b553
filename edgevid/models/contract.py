"""The call contract that every backend keeps, whatever computes inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid.manifest import HoldRule, Manifest

State = Mapping[str, NDArray[np.floating]]
"""Name of a state tensor -> its value; the names and shapes are the manifest's."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one step, or one clip, gives.

    Attributes:
        logits: float32 `(exits, labels)` of a step; `(exits, T, labels)` of a clip. Exits in the manifest's order.
        embedding: float32 `(embedding_size,)` of a step; `(T, embedding_size)` of a clip.
        exit: index of the exit at which a conditional model stopped: it decides, and the rows of `logits` after its own
            repeat it. None: every exit was computed.

    A clip model that gives one score for all its frames has 1 in the place of T.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    exit: int | None = None


@runtime_checkable
class StreamModel(Protocol):
    """A network that takes one frame at a time and carries state. `isinstance` tells it from a clip model."""

    @property
    def manifest(self) -> Manifest: ...

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        """The same network with other exit thresholds, as `Manifest.with_thresholds`; nothing is loaded again."""
        ...

    def with_hold(self, rule: HoldRule) -> Self:
        """The same network with another rule for holding, as `Manifest.with_hold`."""
        ...

    def zero_state(self) -> State: ...

    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)` as the manifest's input says, through the network.

        A function: neither argument is changed, and a state may be kept and stepped from again.
        """
        ...

    def hold(self, state: State) -> tuple[Outputs, State]:
        """A step that looks at no frame: what was seen in the last one stands for it, and the memory alone goes on.

        Only of a model whose manifest says `can_hold`. Every exit gives the same; `exit` is the last.
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
