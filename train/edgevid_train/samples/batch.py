"""Samples stacked into tensors, and the threads that make them while the network computes."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from edgevid_train.samples.sampler import BatchPlan
from edgevid_train.samples.sequence import TrainStream
from edgevid_train.samples.step_targets import IGNORE


class Samples(Protocol):
    """What the training loop needs of a batch, whatever is in it; `split` gives parts of at most `size` samples."""

    def __len__(self) -> int: ...

    def split(self, size: int) -> Sequence["Samples"]: ...

    def to(self, device: torch.device) -> "Samples": ...


Made = TypeVar("Made", bound=Samples)

AHEAD = 2
"""Batches that wait ready, per thread: enough to even out decoding, little enough for any memory."""


@dataclass(frozen=True)
class Stacked:
    """Fields of tensors, or of further such fields, whose first axis is samples: what makes a dataclass `Samples`."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def split(self, size: int) -> list[Self]:
        """Parts of at most `size` samples, as even as possible."""
        return [self._cut(part) for part in even_parts(len(self), size)]

    def to(self, device: torch.device) -> Self:
        moved: Self = _each(self, lambda x: x.to(device, non_blocking=True))
        return moved

    def _cut(self, part: slice) -> Self:
        cut: Self = _each(self, lambda x: x[part])
        return cut


def _each(tensors: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor changed, or a dataclass with every tensor in it changed."""
    if isinstance(tensors, Tensor):
        return change(tensors)
    return replace(tensors, **{field.name: _each(getattr(tensors, field.name), change) for field in fields(tensors)})


@dataclass(frozen=True)
class StepTargets:
    """Of a batch, as in `TrainStream`: all `(B, T)`, but `places` `(B, T, 2)`.

    `targets` may be float32 `(B, T, L)` instead, how much of each label is true; steps that give no loss weigh 0 then.
    """

    targets: Tensor
    weights: Tensor
    decisive: Tensor
    places: Tensor
    pointing: Tensor
    progress: Tensor


@dataclass(frozen=True)
class Batch(Stacked):
    """B training streams of T steps, on one device.

    Attributes:
        frames: uint8 `(B, T, H, W, 3)`.
        teacher_frames: uint8 `(B, Tt, h, w, 3)`.
        steps: what every step is to say.
        labels: int64 `(B,)`; or float32 `(B, L)`, how much of each label is true.
        teacher_places: float32 `(B, Tt, 2)`.
    """

    frames: Tensor
    teacher_frames: Tensor
    steps: StepTargets
    labels: Tensor
    teacher_places: Tensor

    @classmethod
    def stack(cls, streams: Sequence[TrainStream]) -> Self:
        def tensors(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(stream, name) for stream in streams]))

        return cls(
            tensors("frames"),
            tensors("teacher_frames"),
            StepTargets(**{field.name: tensors(field.name) for field in fields(StepTargets)}),
            torch.tensor([stream.label for stream in streams]),
            tensors("teacher_places"),
        )

    def in_shares(self, rows: Tensor) -> "Batch":
        """The same with targets that say how much of each label is true: each index one of `rows`, float32 `(·, L)`."""
        asked = self.steps.targets != IGNORE
        steps = replace(
            self.steps,
            targets=rows[self.steps.targets.clamp(min=0)] * asked.unsqueeze(-1),
            weights=self.steps.weights * asked,
        )
        return replace(self, steps=steps, labels=rows[self.labels])


def even_parts(count: int, size: int) -> list[slice]:
    """Cut `count` samples into parts of at most `size`, as even as possible."""
    parts = -(-count // size)
    ends = [round(i * count / parts) for i in range(parts + 1)]
    return [slice(begin, end) for begin, end in pairwise(ends)]


def as_input(frames: Tensor) -> Tensor:
    """uint8 `(B, T, H, W, 3)` -> float32 `(B, T, 3, H, W)` in 0..255: what every network here takes."""
    return frames.permute(0, 1, 4, 2, 3).float()


def prefetch(
    plans: Sequence[BatchPlan], load: Callable[[BatchPlan], Made], threads: int
) -> Generator[tuple[BatchPlan, Made], None, None]:
    """Load the planned batches in order, a few ahead of their use, in `threads` threads.

    An error while loading is raised where its batch would have come. Closing the iterator stops the threads.
    """
    waiting: deque[tuple[BatchPlan, Future[Made]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="loader") as pool:
        try:
            for plan in plans:
                waiting.append((plan, pool.submit(load, plan)))
                if len(waiting) > threads * AHEAD:
                    ready, future = waiting.popleft()
                    yield ready, future.result()
            while waiting:
                ready, future = waiting.popleft()
                yield ready, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
