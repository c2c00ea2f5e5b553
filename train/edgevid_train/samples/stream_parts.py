"""The parts of a training stream, one after the other: a scene at rest, other clips, the action, what follows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid_train.samples.augment import AugmentConfig, ClipView
from edgevid_train.samples.labelled_clip import LabelledClip, Piece, sample_at, steps_of, turned
from edgevid_train.samples.step_targets import StreamConfig, hold_on, step_targets


@dataclass(frozen=True)
class Part:
    """Successive steps of a stream: what they show, and what is asked of them, `(T,)` each.

    `label`: of the action in it; `since_s`: time from the end of that action to the last of these steps.
    """

    piece: Piece
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    decisive: NDArray[np.bool_]
    label: int
    since_s: float

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Layout:
    """How one stream is laid out: parts, one after the other."""

    labels: Sequence[str]
    nothing: int
    config: StreamConfig
    augment: AugmentConfig
    rate_hz: float
    spec: InputSpec
    rng: np.random.Generator

    def shown(self, clip: LabelledClip, ticks: NDArray[np.float64], view: ClipView, speed: float = 1.0) -> Part:
        """The clip at `ticks`, `speed` times as fast as it was, each of them a little too early or too late."""
        if self.augment.jitter:
            most_s = self.augment.jitter / 2 / self.rate_hz * speed
            ticks = ticks + self.rng.uniform(-most_s, most_s, len(ticks))
        piece = Piece.of(clip, sample_at(clip.times_s, ticks), view, self.spec, self.augment.shake)
        label = self.labels.index(clip.label)
        since_s, length_s = (ticks - clip.start_s) / speed, (clip.end_s - clip.start_s) / speed
        asked = step_targets(since_s, length_s, label, self.nothing, self.config, self.rate_hz)
        return Part(piece, *asked, label, since_s=float(since_s[-1]) - length_s)

    def held(self, part: Part, index: int, steps: int) -> Part:
        """The scene at rest: one of the part's frames, `steps` times."""
        nothing = np.full(steps, self.nothing)
        weights = np.full(steps, self.config.background_weight, np.float32)
        since_s = part.since_s + steps / self.rate_hz
        return Part(part.piece.held(index, steps), nothing, weights, np.zeros(steps, bool), part.label, since_s)

    def before(self, others: Sequence[LabelledClip], body: Part, steps: int, view: ClipView) -> list[Part]:
        """What the device saw before the action: this scene at rest, or one thing after the other."""
        parts: list[Part] = []
        first = body
        if self.rng.random() < self.config.before:
            for other in others:
                clip = turned(other, self.augment, self.rng)
                pause = int(self.rng.integers(0, int(self.rate_hz) + 1)) if self.rng.random() < 0.5 else 0
                own = min(steps - pause, steps_of(clip.times_s, self.rate_hz))
                if own < 1:
                    break
                first = _undecided(self.shown(clip, clip.times_s[-1] - np.arange(own)[::-1] / self.rate_hz, view))
                parts[:0] = [first, self.held(first, -1, pause)] if pause else [first]
                steps -= own + pause
        if steps:
            # nobody knows what came before a scene at rest: no loss there
            rest = self.held(first, 0, steps)
            parts.insert(0, replace(rest, weights=np.zeros_like(rest.weights), label=self.nothing))
        return parts

    def after(self, others: Sequence[LabelledClip], body: Part, steps: int, view: ClipView) -> Part:
        """What the device sees after the action: the scene at rest, or the beginning of something else."""
        if not others or self.rng.random() < 0.5:
            return self.held(body, -1, steps)
        other = others[int(self.rng.integers(len(others)))]
        return _undecided(self.shown(other, other.times_s[0] + np.arange(steps) / self.rate_hz, view))

    def joined(self, parts: Sequence[Part]) -> Part:
        """The parts as one; see `hold_on`."""
        told = [parts[0]]
        for before, part in pairwise(parts):
            since_s = before.since_s + (np.arange(len(part)) + 1) / self.rate_hz
            asked = part.targets, part.weights, part.decisive
            targets, weights, held = hold_on(before.label, since_s, asked, self.nothing, self.config)
            decisive = part.decisive | (held & before.decisive.any())
            told.append(replace(part, targets=targets, weights=weights, decisive=decisive))
        return Part(
            Piece.joined([part.piece for part in told]),
            np.concatenate([part.targets for part in told]),
            np.concatenate([part.weights for part in told]),
            np.concatenate([part.decisive for part in told]),
            told[-1].label,
            told[-1].since_s,
        )


def _undecided(part: Part) -> Part:
    """A part of another clip: the teacher, which sees the action alone, has nothing to say about it."""
    return replace(part, decisive=np.zeros_like(part.decisive))
