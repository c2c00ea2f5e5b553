"""What there is to train: a network and its loss, which clips make which batch, and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from edgevid_train.checkpoint import CheckpointInfo
from edgevid_train.loop.optim import OptimConfig
from edgevid_train.losses.counts import Counts
from edgevid_train.recipe import Recipe
from edgevid_train.samples.batch import Samples
from edgevid_train.samples.sampler import BatchPlan


class Task(Protocol):
    """A module with a network in it, whose call gives the loss of a batch and its terms by name.

    `counts`: what the terms are means over. The call is given a batch and its shares in the counts of a larger one, of
    which it may be a part: it gives what the part adds to the loss of that.
    """

    network: nn.Module

    def counts(self, batch: Any) -> Counts: ...

    def __call__(self, batch: Any, shares: Counts) -> tuple[Tensor, dict[str, Tensor]]: ...


class Plans(Protocol):
    """Which clips make which batch, epoch after epoch; every epoch has as many batches."""

    @property
    def batches(self) -> int: ...

    def epoch(self, number: int) -> list[BatchPlan]: ...


Validate = Callable[[nn.Module, Callable[[], bool]], dict[str, float]]
"""Figures of a network on the held-out clips; the second argument says whether to give up (raising StoppedError)."""


@dataclass(frozen=True)
class Job:
    """One network to train.

    Attributes:
        task: an `nn.Module` that is also a `Task`.
        optim: how.
        sampler, load: which clips make which batch, and how a batch is made.
        backbone: beginnings of the names of the parameters that learn at `optim.backbone_lr`.
        validate: figures of a network, by which the best epoch is chosen (see `better`); None to hold nothing out.
        info: what checkpoints say; epoch, step and figures are filled in.
        folder: gets `last/`, `best/` and `tensorboard/`.
    """

    task: Any
    optim: OptimConfig
    recipe: Recipe
    sampler: Plans
    load: Callable[[BatchPlan], Samples]
    validate: Validate | None
    info: CheckpointInfo
    folder: Path
    backbone: tuple[str, ...] = ()
