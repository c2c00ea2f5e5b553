"""Which clips make which batch: a function of (seed, epoch), so that a run can go on at any batch of any epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevid_train.samples.balance import balanced

_EDGE = 8
"""Sides of smaller pictures are multiples of so many pixels."""
_LEAST = 32
POOL = 8
"""Batches' worth of clips among which those of like length meet: more saves frames, less shuffles better."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """One batch before it is loaded.

    `clips`: indices into the training clips. `turns`: how often each of them came before, in this epoch or earlier
    ones; what is random about a sample follows from its clip and its turn. `steps`: T of all its streams. `size`: share
    of the sides of the student's pictures.

    An index beyond the clips is one that is drawn for this batch: the first is number 0 of those (see `drawn`).

    `whole`: the clips of the batch of which this is one process' share. `idle`: it has none, there being more processes
    than clips; what is loaded instead is not to count.
    """

    clips: tuple[int, ...]
    turns: tuple[int, ...]
    steps: int
    size: float = 1.0
    whole: tuple[int, ...] = ()
    idle: bool = False

    @property
    def all_clips(self) -> tuple[int, ...]:
        """Those of the whole batch."""
        return self.whole or self.clips

    def part(self, rank: int, count: int) -> "BatchPlan":
        """The share of process `rank` of `count`; every sample in it is what it is in the whole batch."""
        if count == 1:
            return self
        idle = rank >= len(self.clips)
        own = slice(0, 1) if idle else slice(rank, None, count)
        return replace(self, clips=self.clips[own], turns=self.turns[own], whole=self.clips, idle=idle)


def _no_steps(number: int) -> int:
    raise ValueError(f"no clip {number} is drawn")


@dataclass(frozen=True)
class ClipSampler:
    """Plans epochs.

    Attributes:
        lengths: steps of each clip at the model's rate.
        batch: most clips in a batch; they are shared out evenly, so that no batch is a lonely remainder.
        max_steps: longest stream; of a longer clip the end is kept.
        lead_steps: up to so many steps are added for what came before the action.
        clips: in an epoch; None for each once.
        extra: so many of the clips, the last ones, are extra.
        extra_share: share of an epoch that is taken from the extra clips; None for no difference.
        drawn: clips that are drawn for each epoch, besides; no epoch has those of another.
        drawn_steps: steps of such a clip, by its number.
        shards: number of the shard of each clip of the data, so that shards are read in order; empty for no shards.
        shard_buffer: clips are shuffled among so many shards at a time, in random order; 0 for all of them.
        kinds: number of the kind of each clip, so that kinds are balanced.
        balance: by this power of the inverse of its kind's frequency a clip comes more often; 0 for as it is.
    """

    lengths: Sequence[int]
    batch: int
    seed: int
    max_steps: int
    lead_steps: int
    clips: int | None = None
    extra: int = 0
    extra_share: float | None = None
    drawn: int = 0
    drawn_steps: Callable[[int], int] = _no_steps
    shards: Sequence[int] = ()
    shard_buffer: int = 0
    kinds: Sequence[int] = ()
    balance: float = 0.0

    @property
    def counts(self) -> tuple[int, int]:
        """Clips in an epoch: of the data, and extra ones. Where only a share is given, the data's come once each."""
        data, extra = len(self.lengths) - self.extra, self.extra
        if not data + extra:
            return 0, 0  # all are drawn
        share = extra / (data + extra)
        if self.extra_share is not None and data and extra:
            share = self.extra_share
        total = self.clips
        if total is None:
            total = data + extra if self.extra_share is None else round(data / (1 - share)) if share < 1 else extra
        return total - round(total * share), round(total * share)

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-(sum(self.counts) + self.drawn) // self.batch)

    def epoch(self, number: int) -> list[BatchPlan]:
        """Clips of like length share a batch; which ones, and the order of batches, is random.

        Whatever an epoch's size, no clip comes a second time before all of its kind have come once.
        """
        rng = np.random.default_rng([self.seed, number])
        data, extra = self.counts
        first = len(self.lengths) - self.extra
        deal = self._deal_balanced if self.balance else self._deal
        dealt = deal(0, range(first), number, data)
        dealt += deal(1, range(first, len(self.lengths)), number, extra)
        dealt += [(0, len(self.lengths) + n) for n in range(number * self.drawn, (number + 1) * self.drawn)]
        shuffled = [dealt[i] for i in self._order(len(dealt), data, rng)]
        lengths = np.array([self._steps(i) for _, i in shuffled])
        pools = np.array_split(np.arange(len(shuffled)), -(-self.batches // POOL))
        by_length = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = np.array_split(by_length, self.batches)
        leads = rng.integers(0, self.lead_steps + 1, len(batches))
        plans = [
            BatchPlan(
                clips=tuple(shuffled[i][1] for i in places),
                turns=tuple(shuffled[i][0] for i in places),
                steps=int(min(self.max_steps, lengths[places].max() + lead)),
            )
            for places, lead in zip(batches, leads, strict=True)
        ]
        if not self._in_shards:
            return [plans[i] for i in rng.permutation(len(plans))]
        near = np.array_split(np.arange(len(plans)), len(pools))
        return [plans[i] for part in near for i in rng.permutation(part)]

    @property
    def _in_shards(self) -> bool:
        return bool(self.shards) and self.shard_buffer > 0

    def _order(self, count: int, data: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """In which order an epoch's clips come, of which the first `data` are of the data and were dealt at random."""
        if not self._in_shards:
            return rng.permutation(count)
        return np.argsort(np.concatenate([(np.arange(data) + 0.5) / max(data, 1), rng.random(count - data)]))

    def _steps(self, index: int) -> int:
        clips = len(self.lengths)
        return self.lengths[index] if index < clips else self.drawn_steps(index - clips)

    def _deal_balanced(self, deck: int, cards: range, epoch: int, count: int) -> list[tuple[int, int]]:
        """As `_deal`, from a row for each kind; where an epoch has fewer cards than kinds, from one after the other."""
        piles: dict[int, list[int]] = {}
        for card in cards:
            piles.setdefault(self.kinds[card], []).append(card)
        decks = [(deck + 2 * (kind + 1), piles[kind]) for kind in sorted(piles)]
        if count < len(decks):
            turns = self._deal(deck, range(len(decks)), epoch, count)
            return [pair for turn, kind in turns for pair in self._row(*decks[kind], turn, turn + 1)]
        counts = balanced([len(pile) for _, pile in decks], count, self.balance)
        return [pair for pile, n in zip(decks, counts, strict=True) for pair in self._deal(*pile, epoch, n)]

    def _deal(self, deck: int, cards: Sequence[int], epoch: int, count: int) -> list[tuple[int, int]]:
        """Turn and clip of this epoch's `count` cards from an endless row of shuffled decks."""
        return self._row(deck, cards, epoch * count, (epoch + 1) * count)

    def _row(self, deck: int, cards: Sequence[int], begin: int, end: int) -> list[tuple[int, int]]:
        """Turn and clip of the cards from `begin` to `end` of an endless row of shuffled decks."""
        if begin == end:
            return []
        row: list[tuple[int, int]] = []
        for turn in range(begin // len(cards), -(-end // len(cards))):
            rng = np.random.default_rng([self.seed, deck, turn])
            by_shard = deck == 0 and self._in_shards
            shuffled = _few_at_a_time(self.shards, self.shard_buffer, rng) if by_shard else rng.permutation(len(cards))
            row += [(turn, cards[i]) for i in shuffled]
        return row[begin % len(cards) :][: end - begin]


def _few_at_a_time(shards: Sequence[int], buffer: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """All clips, shuffled among `buffer` shards, then among the next; which shards are together is random too."""
    numbers = np.asarray(shards)
    order = rng.permutation(np.unique(numbers))
    together = [order[begin : begin + buffer] for begin in range(0, len(order), buffer)]
    return np.concatenate([rng.permutation(np.flatnonzero(np.isin(numbers, few))) for few in together])


def smaller(side: int, share: float) -> int:
    """About `share` of a picture's side, in pixels."""
    return side if share == 1 else min(side, max(_LEAST, _EDGE * round(share * side / _EDGE)))
