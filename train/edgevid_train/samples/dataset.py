"""The clips of a run: read once to know that they can be read, then turned into training streams and held-out clips."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.places import Places
from edgevid_train.decode import (
    ClipCache,
    DecodedClip,
    DecodeError,
)
from edgevid_train.recipe import Recipe
from edgevid_train.samples.batch import Batch
from edgevid_train.samples.drawn import DrawnClips
from edgevid_train.samples.labelled_clip import LabelledClip
from edgevid_train.samples.lone_clip import LoneClip, lone_clip
from edgevid_train.samples.mix import Mixture, mixed
from edgevid_train.samples.sampler import BatchPlan, smaller
from edgevid_train.samples.sequence import StreamBuilder, TrainStream
from edgevid_train.samples.targets import Targets, called
from edgevid_train.storage import LostError, shard_of, shown

TEACHER, STUDENT = range(2)
"""Phases of a run, whose clips are not changed in the same way."""
NEIGHBOURS = 3
"""Other clips a stream may take its past and future from."""


class _Sample(NamedTuple):
    """A clip, the other clips of its stream, and what everything else that is random in it comes from."""

    clip: int
    others: Sequence[int]
    rng: np.random.Generator


def labels_of(
    records: Iterable[ClipRecord], order: Sequence[str] | None = None, *, multi_label: bool = False
) -> tuple[str, ...]:
    """The labels a network answers with: in the order given or sorted, and last the background.

    A stream always needs a word for nothing, so `other` is a label even where no clip has it. Of independent labels
    (`multi_label`) nothing is that none of them is there, and takes no word.
    """
    found = {label for record in records for label in record.labels}
    named = list(order) if order is not None else sorted(found)
    actions = tuple(label for label in named if label != BACKGROUND)
    return actions if multi_label else (*actions, BACKGROUND)


def labelled(clip: DecodedClip, places: Places | None = None, name: str | None = None) -> LabelledClip:
    """The clip with its record's span as the action; `places` are those of every frame of its file.

    `name`: what it is called, the record's label when not given.
    """
    record, times_s = clip.record, clip.times_s
    start_s, end_s = max(float(times_s[0]), record.start_s), float(times_s[-1])
    if record.end_s is not None:
        end_s = min(end_s, record.end_s)
    place = None
    if places is not None:
        place = places[clip.first : clip.first + len(times_s)]
        if len(place) != len(times_s):
            raise InputError(
                f"{record.file}: places are known of {len(places)} frames, which are not those of the file"
            )
    return LabelledClip(clip.frames, times_s, record.label if name is None else name, start_s, end_s, place)


def shards_of(records: Sequence[ClipRecord]) -> tuple[int, ...]:
    """A number for the tar shard of each record; empty where not all of them are in shards."""
    shards = [shard_of(record.file) for record in records]
    numbers = {shard: number for number, shard in enumerate(dict.fromkeys(shards))}
    return () if None in numbers else tuple(numbers[shard] for shard in shards)


class TrainingClips:
    """Training streams by batch plan. Everything random in a sample comes from (seed, phase, turn, index), and what is
    mixed how from those of its batch; the seed is the recipe's `clips_seed`.

    `extra`: so many of the records, the last ones, are extra; they crowd nothing out of a stream's past and future.
    `negatives`: so many of these, the last ones, are pieces of video without actions.
    `drawn`: clips that stand in no file; an index beyond the records is one of theirs.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord],
        labels: Sequence[str],
        cache: ClipCache,
        places: Mapping[Path, Places],
        recipe: Recipe,
        phase: int,
        extra: int = 0,
        negatives: int = 0,
        drawn: DrawnClips | None = None,
    ) -> None:
        self.records = records
        self.extra = extra
        self.negatives = negatives
        self.drawn = drawn
        self.phase = phase
        self.shards = shards_of(records[: len(records) - extra]) if recipe.data.shard_buffer else ()
        self.by_shard: dict[int, list[int]] = {}
        for index, shard in enumerate(self.shards):
            self.by_shard.setdefault(shard, []).append(index)
        self.places = places
        self.cache = cache
        self.recipe = recipe
        multi_label = recipe.task.multi_label
        said = (*labels, BACKGROUND) if multi_label else labels
        flip, reverse = (changes_among(said, given) for given in (recipe.augment.flip, recipe.augment.reverse))
        self.targets = Targets(tuple(labels))
        if multi_label:
            self.targets = Targets.several(labels, [record.labels for record in records], (flip, reverse))
            flip, reverse = self.targets.changes(flip), self.targets.changes(reverse)
        self.augment = recipe.augment.model_copy(update={"flip": flip, "reverse": reverse})
        self.builder = StreamBuilder(
            labels=self.targets.names,
            background=BACKGROUND,
            config=recipe.stream,
            augment=self.augment,
            rate_hz=recipe.student.rate_hz,
            input=recipe.student.input,
            teacher_input=recipe.teacher.input,
            teacher_frames=recipe.teacher.frames,
            teacher_rate_hz=recipe.teacher.rate_hz,
            one_view=recipe.distill.one_view and phase == STUDENT,  # a teacher that is trained sees all of it
        )

    def load(self, plan: BatchPlan) -> Batch:
        first = len(self.records)
        at_hand = [index for index in plan.all_clips if index >= first]
        samples = [self._sample(turn, i, at_hand) for turn, i in zip(plan.turns, plan.clips, strict=True)]
        drawn = self._draw(dict.fromkeys(i for sample in samples for i in (sample.clip, *sample.others) if i >= first))
        batch = Batch.stack([self._stream(sample, plan, drawn) for sample in samples])
        rng = np.random.default_rng([self.recipe.clips_seed, self.phase, *plan.turns, *plan.clips])
        mixture = Mixture.draw(self.recipe.mix, len(batch), rng)
        if self.targets.rows is None and mixture is None:
            return batch
        rows = torch.eye(len(self.targets.names)) if self.targets.rows is None else self.targets.rows
        batch = batch.in_shares(rows)
        return batch if mixture is None else mixed(batch, mixture)

    def alone(self, index: int, turn: int, rest: int) -> tuple[LoneClip, int]:
        """View number `turn` of a clip by itself, at most `rest` steps before it, `rest` after; its label's number."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.clips_seed, self.phase, turn, index, 1])
        clip = lone_clip(
            self._read(index),
            before=int(rng.integers(0, rest + 1)),
            after=rest,
            most=recipe.stream.max_steps,
            augment=self.augment,
            rate_hz=recipe.student.rate_hz,
            spec=recipe.student.input,
            rng=rng,
        )
        return clip, self.targets.names.index(clip.label)

    def _draw(self, indices: Iterable[int]) -> dict[int, LabelledClip]:
        """The drawn clips with these indices."""
        first = len(self.records)
        numbers = [index - first for index in indices]
        if self.drawn is None or not numbers:
            return {}
        return {first + number: clip for number, clip in self.drawn.clips(numbers).items()}

    def _sample(self, turn: int, index: int, drawn: Sequence[int]) -> _Sample:
        rng = np.random.default_rng([self.recipe.clips_seed, self.phase, turn, index])
        return _Sample(index, self._neighbours(rng, drawn, index), rng)

    def _stream(self, sample: _Sample, plan: BatchPlan, drawn: Mapping[int, LabelledClip]) -> TrainStream:
        recipe, index, rng = self.recipe, sample.clip, sample.rng

        def clip(i: int) -> LabelledClip:
            return drawn[i] if i in drawn else self._read(i)

        size = smaller(recipe.student.input.height, plan.size), smaller(recipe.student.input.width, plan.size)
        others = [clip(i) for i in sample.others if i != index]
        return self.builder.build(clip(index), others, plan.steps, rng, size)

    def _neighbours(self, rng: np.random.Generator, drawn: Sequence[int], index: int) -> list[int]:
        """Each of any kind, whatever their numbers; of the drawn ones those that are drawn for this batch anyway.

        Of clips in shards those of the same shard, which is being read anyway.
        """
        own, rest = len(self.records) - self.extra, len(self.records) - self.negatives
        data: Sequence[int] = range(own)
        if self.by_shard:
            data = self.by_shard[self.shards[index]] if index < own else ()
        kinds = [kind for kind in (data, range(own, rest), range(rest, len(self.records)), drawn) if kind]
        chosen = []
        for _ in range(NEIGHBOURS):
            kind = kinds[int(rng.integers(len(kinds)))]
            chosen.append(kind[int(rng.integers(len(kind)))])
        return chosen

    def _read(self, index: int) -> LabelledClip:
        try:
            clip = self.cache.get(self.records[index])
        except DecodeError as error:
            raise LostError(f"{shown(self.records[index].file)} could be read before and cannot now: {error}") from None
        name = None if self.targets.rows is None else called(clip.record.labels)
        return labelled(clip, self.places.get(clip.record.file), name)


def changes_among(labels: Sequence[str], changes: Mapping[str, str]) -> dict[str, str]:
    """The changes of `AugmentConfig.flip` or `reverse` that start and end at one of `labels`.

    `"*" = "*"` stands for every label that is named on neither side: it stays what it is.
    """
    named = {*changes, *changes.values()}
    same = {label: label for label in labels if label not in named} if changes.get("*") == "*" else {}
    return {a: b for a, b in (same | dict(changes)).items() if a in labels and b in labels}
