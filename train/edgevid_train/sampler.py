"""Which clips make which batch: a function of (seed, epoch), so that a run can go on at any batch of any epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POOL = 8
"""Batches' worth of clips among which those of like length meet: more saves frames, less shuffles better."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """One batch before it is loaded. `clips`: indices into the training clips; `steps`: T of all its streams."""

    epoch: int
    clips: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Sampler:
    """Plans epochs.

    Attributes:
        lengths: steps of each clip at the model's rate.
        batch: most clips in a batch; they are shared out evenly, so that no batch is a lonely remainder.
        max_steps: longest stream; of a longer clip the end is kept.
        lead_steps: up to so many steps are added for what came before the action.
    """

    lengths: Sequence[int]
    batch: int
    seed: int
    max_steps: int
    lead_steps: int

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.lengths) // self.batch)

    def epoch(self, number: int) -> list[BatchPlan]:
        """Every clip once. Clips of like length share a batch; which ones, and the order of batches, is random."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.lengths))
        lengths = np.asarray(self.lengths)
        pools = np.array_split(order, -(-self.batches // POOL))
        by_length = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = np.array_split(by_length, self.batches)
        leads = rng.integers(0, self.lead_steps + 1, len(batches))
        plans = [
            BatchPlan(number, tuple(int(i) for i in clips), int(min(self.max_steps, lengths[clips].max() + lead)))
            for clips, lead in zip(batches, leads, strict=True)
        ]
        return [plans[i] for i in rng.permutation(len(plans))]
