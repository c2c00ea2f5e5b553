"""What a student's eyes saw of the training clips, kept, and streams put together from it for its memory to learn from.

A picture costs a hundred times what the memory does. Seen once, in some views of every clip, it can be remembered in as
many orders as one likes: in streams that are longer, and many times more of them, than pictures would allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from edgevid.manifest import MOST_HELD
from edgevid_train.models.heads import Sight
from edgevid_train.models.student import Student
from edgevid_train.samples.batch import Stacked, as_input, even_parts
from edgevid_train.samples.lone_clip import LoneClip
from edgevid_train.samples.sampler import BatchPlan
from edgevid_train.samples.step_targets import StreamConfig, hold_on, step_targets


class MemoryConfig(BaseModel):
    """The lesson after the last epoch, in which the memory alone goes on learning, as `memory_optim` says.

    `streams`: in an epoch, each of `steps` steps; 0 for no such lesson. `views`: of every clip of the data, and
    `extra_views` of every extra clip and piece of negative video, so many are looked at. `rest_s`: for at most so long
    the scene rests before and after a clip; a `cut` share of clips has next to nothing after it. Of the clips in a
    stream `memory_optim.extra_share` are extra ones or pieces of negative video. `label_smoothing`: instead of
    `distill`'s. `held`: in such a share of the streams not every frame was looked at, so that a device need not either
    (`hold`); they are of as many views again, in which from 1 to `most_held` steps hold after each look. `lessons`: so
    many are learned, each from the student as it was and from streams of its own, and what they made of the memory is
    averaged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: int = Field(default=0, ge=0)
    steps: int = Field(default=128, gt=1)
    views: int = Field(default=6, gt=0)
    extra_views: int = Field(default=1, gt=0)
    rest_s: float = Field(default=1.25, ge=0)
    cut: float = Field(default=0.5, ge=0, le=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    held: float = Field(default=0.0, ge=0, le=1)
    most_held: int = Field(default=2, gt=0, le=MOST_HELD)
    lessons: int = Field(default=1, gt=0)


@dataclass(frozen=True)
class SeenClip:
    """One view of one clip as the K eyes saw it.

    `what` float16 `(T, K, size)`, `places` float32 `(T, K, 2)`, the first one of each eye, and `pointing` float32
    `(T, K)`, its logit; the others as of a `LoneClip`, the label by its number. `hold`: of so many steps after each
    look it is what was seen in that.
    """

    what: NDArray[np.float16]
    places: NDArray[np.float32]
    pointing: NDArray[np.float32]
    since_s: NDArray[np.float64]
    length_s: float
    label: int
    before: int
    after: int
    hold: int = 0

    @classmethod
    @torch.no_grad()
    def by(cls, student: Student, clip: LoneClip, label: int, hold: int = 0) -> Self:
        """As this student, in evaluation mode, sees it; shifts bring what the look before saw, as on a device."""
        frames = torch.from_numpy(clip.frames[:: hold + 1]).unsqueeze(0).to(student.mean.device)
        sights = student.look(as_input(frames))

        def told(parts: Sequence[Tensor]) -> NDArray[np.float32]:
            looks = np.asarray(torch.stack(list(parts), 1).float().cpu().numpy())
            return looks.repeat(hold + 1, axis=0)[: len(clip.frames)]

        return cls(
            told([sight.what for sight in sights]).astype(np.float16),
            told([_first(sight) for sight in sights]),
            told([sight.pointing for sight in sights]),
            clip.since_s,
            clip.length_s,
            label,
            clip.before,
            clip.after,
            hold,
        )


def _first(sight: Sight) -> Tensor:
    """Its first place; the middle of the picture of an eye that looks at none."""
    return sight.places[:, 0] if sight.places.shape[1] else sight.places.new_full((len(sight.places), 2), 0.5)


@dataclass(frozen=True)
class SightBatch(Stacked):
    """B streams of T steps, on one device.

    `what` float32 `(B, T, K, size)`, `places` `(B, T, K, 2)`, `pointing` `(B, T, K)`; `looks` int64 `(B, T)`, the step
    at which that was seen, or the clip's first where a stream begins after it; `targets` int64 and `weights` float32
    `(B, T)` as of a training stream.
    """

    what: Tensor
    places: Tensor
    pointing: Tensor
    looks: Tensor
    targets: Tensor
    weights: Tensor

    @property
    def sights(self) -> list[Sight]:
        """One for each eye, of all steps in a row."""
        what, places, pointing = (x.flatten(0, 1) for x in (self.what, self.places, self.pointing))
        return [Sight(what[:, k], places[:, k : k + 1], pointing[:, k]) for k in range(what.shape[1])]


@dataclass(frozen=True)
class SightPlans:
    """Which streams make which batch: those of every epoch are new. See `edgevid_train.loop.job.Plans`.

    `before`: so many epochs were of other lessons.
    """

    streams: int
    steps: int
    batch: int
    before: int = 0

    @property
    def batches(self) -> int:
        return -(-self.streams // self.batch)

    def epoch(self, number: int) -> list[BatchPlan]:
        first = (self.before + number) * self.streams
        batches = [tuple(range(first + part.start, first + part.stop)) for part in even_parts(self.streams, self.batch)]
        return [BatchPlan(streams, (0,) * len(streams), self.steps) for streams in batches]


class Deck(NamedTuple):
    """What was seen of the data's clips, and of clips that are only trained on, pieces of negative video among them."""

    own: Sequence[SeenClip]
    extra: Sequence[SeenClip]


@dataclass(frozen=True)
class SightStreams:
    """Streams by batch plan, each a function of (seed, its number).

    `looking`, `holding`: what was seen where every frame was looked at, and where not, of which there is none if no
    stream holds. `extra_share` of a stream's clips are extra ones, or as many as there are among all where it is None.
    """

    looking: Deck
    holding: Deck
    extra_share: float | None
    background: int
    config: MemoryConfig
    stream: StreamConfig
    rate_hz: float
    seed: int

    def load(self, plan: BatchPlan) -> SightBatch:
        columns = zip(*[self.one(number, plan.steps) for number in plan.clips], strict=True)
        return SightBatch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def one(self, number: int, steps: int) -> tuple[NDArray[np.generic], ...]:
        """The columns of a `SightBatch` for one stream, which begins anywhere in its first clip."""
        rng = np.random.default_rng([self.seed, 79, number])
        deck = self.holding if self.config.held and rng.random() < self.config.held else self.looking
        parts: list[tuple[NDArray[np.generic], ...]] = []
        length, told, since_end_s = 0, self.background, 0.0
        while length < steps:
            seen = self._any(deck, rng)
            part = slice(int(rng.integers(0, seen.before + 1)), len(seen.since_s) - seen.after + self._rest(seen, rng))
            since_s = seen.since_s[part]
            asked = step_targets(since_s, seen.length_s, seen.label, self.background, self.stream, self.rate_hz)
            after_s = since_end_s + (np.arange(len(since_s)) + 1) / self.rate_hz
            targets, weights, _ = hold_on(told, after_s, asked, self.background, self.stream)
            what = seen.what[part].astype(np.float32)
            since_look = np.minimum(np.arange(len(since_s)), np.arange(len(seen.since_s))[part] % (seen.hold + 1))
            parts.append((what, seen.places[part], seen.pointing[part], since_look, targets, weights))
            told, since_end_s = seen.label, float(since_s[-1]) - seen.length_s
            length += len(since_s)
        first = int(rng.integers(0, length - steps + 1))
        what, places, pointing, since_look, *asked_of = (
            np.concatenate(column)[first : first + steps] for column in zip(*parts, strict=True)
        )
        return what, places, pointing, (np.arange(steps) - since_look).clip(0), *asked_of

    def _any(self, deck: Deck, rng: np.random.Generator) -> SeenClip:
        share = len(deck.extra) / (len(deck.own) + len(deck.extra)) if self.extra_share is None else self.extra_share
        seen = deck.extra if deck.extra and rng.random() < share else deck.own
        return seen[int(rng.integers(len(seen)))]

    def _rest(self, seen: SeenClip, rng: np.random.Generator) -> int:
        """Steps of rest after a clip."""
        most = min(2, seen.after) if rng.random() < self.config.cut else seen.after
        return int(rng.integers(0, most + 1))
