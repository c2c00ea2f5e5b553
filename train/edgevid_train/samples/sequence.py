"""From decoded clips to training streams: what a device would have seen, with the past it would have had.

A stream runs at the model's rate, from a zero state, and ends some time after the action. What stands before the action
is the scene at rest, or other clips one after the other, each with its own targets: a student on a device never starts
with the action, and is never reset between two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edgevid.manifest import InputSpec
from edgevid.sampling import TOLERANCE_S
from edgevid_train.samples.augment import (
    AugmentConfig,
    Clip,
    Points,
    View,
    apply_view,
    draw_view,
    fitted,
    jolts_of,
    place_points,
)
from edgevid_train.samples.looks import look_times

_MIRROR = np.array([[1, 0], [-1, 1]], np.float32)
"""Offset and factor that mirror a place `(x, y)` in 0..1."""

Fit = Literal["stretch", "crop", "letterbox"]
IGNORE = -1
"""Target of a step that gives no loss."""


class StreamConfig(BaseModel):
    """How training streams are laid out. Times in seconds.

    `before`: share of streams in which other clips come before the action, for which up to `before_s` are added;
    `after`: share that goes on for up to `after_s` after it, at rest or with the beginning of another clip.

    `early`: share of an action during which it is still background; from `late` on it is the action (between the two a
    step gives no loss: nobody can say), in any case during the last `sure_s`, and for `hold_s` after its end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int = Field(default=64, gt=1)
    before: float = Field(default=0.5, ge=0, le=1)
    before_s: float = Field(default=2.0, ge=0)
    after: float = Field(default=0.3, ge=0, le=1)
    after_s: float = Field(default=1.5, ge=0)
    early: float = Field(default=0.4, ge=0, le=1)
    late: float = Field(default=0.85, ge=0, le=1)
    sure_s: float = Field(default=0.3, ge=0)
    hold_s: float = Field(default=0.5, ge=0)
    background_weight: float = Field(default=0.3, ge=0)


@dataclass(frozen=True)
class LabelledClip:
    """uint8 `(T, H, W, 3)` frames with their times, and the action in it: label, start and end on the same clock.

    `place`: where in the picture the acting hand points, where that is known (drawn clips know it).
    """

    frames: Clip
    times_s: NDArray[np.float64]
    label: str
    start_s: float
    end_s: float
    place: Points | None = None

    @property
    def places(self) -> Points:
        """`place`, NaN where nothing is known."""
        return np.full((len(self.frames), 2), np.nan, np.float32) if self.place is None else self.place


@dataclass(frozen=True)
class TrainStream:
    """One training sample.

    Attributes:
        frames: uint8 `(T, height, width, 3)`, the student's input.
        teacher_frames: uint8 `(Tt, height, width, 3)`: the action alone at `look_times`, the same augmented view.
        targets: int64 `(T,)`: label of every step; IGNORE where a step gives no loss.
        weights: float32 `(T,)`: how much a step's loss counts.
        decisive: bool `(T,)`: the steps at which the action is to be recognised; there the teacher's answer counts.
        label: index of the action.
        places, teacher_places: float32 `(T, 2)` and `(Tt, 2)`: where the hand points in each frame; NaN where unknown.
        progress: float32 `(T,)`: place of a step among the teacher's frames, 0 at the first, 1 at the last; NaN before
            and after these.
        pointing: float32 `(T,)`: 1 where a hand points, 0 where none does, NaN where unknown.
    """

    frames: Clip
    teacher_frames: Clip
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    decisive: NDArray[np.bool_]
    label: int
    places: Points
    pointing: NDArray[np.float32]
    progress: NDArray[np.float32]
    teacher_places: Points


@dataclass(frozen=True)
class _Piece:
    """Frames of a stream, where the hand points in them, and whether it does."""

    frames: Clip
    places: Points
    pointing: NDArray[np.float32]

    @classmethod
    def of(cls, clip: LabelledClip, chosen: NDArray[np.intp], view: View, spec: InputSpec, shake: float) -> "_Piece":
        view = fitted(view, spec, *clip.frames.shape[1:3])
        places = place_points(clip.places[chosen], view, shake)
        unknown = np.full(len(chosen), np.nan, np.float32)
        pointing = unknown if clip.place is None else np.asarray(np.isfinite(places).all(1), np.float32)
        return cls(apply_view(clip.frames[chosen], view, spec.height, spec.width, shake), places, pointing)

    @classmethod
    def joined(cls, pieces: Sequence["_Piece"]) -> "_Piece":
        """One after the other."""
        return cls(*(np.concatenate(column) for column in zip(*map(_Piece.columns, pieces), strict=True)))

    def columns(self) -> tuple[Clip, Points, NDArray[np.float32]]:
        return self.frames, self.places, self.pointing

    def held(self, index: int, count: int) -> "_Piece":
        """One of its frames, `count` times."""
        return _Piece(*(np.repeat(x[index][None], count, axis=0) for x in self.columns()))


def steps_of(times_s: NDArray[np.float64], rate_hz: float) -> int:
    """Steps that a clip with frames at these times takes at a rate, at its own speed."""
    return int(np.floor((times_s[-1] - times_s[0] + TOLERANCE_S) * rate_hz)) + 1


def sample_at(times_s: NDArray[np.float64], ticks_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """For every tick the first frame at or after it (the runtime's rule); the last frame where there is none."""
    return np.minimum(np.searchsorted(times_s, ticks_s - TOLERANCE_S), len(times_s) - 1)


def build_stream(
    clip: LabelledClip,
    others: Sequence[LabelledClip],
    labels: Sequence[str],
    steps: int,
    *,
    config: StreamConfig,
    augment: AugmentConfig,
    rate_hz: float,
    size: tuple[int, int],
    teacher_size: tuple[int, int],
    teacher_frames: int,
    background: str,
    rng: np.random.Generator,
    fit: Fit = "stretch",
    teacher_fit: Fit = "stretch",
    teacher_rate_hz: float = 0,
    one_view: bool = False,
) -> TrainStream:
    """One augmented stream of `steps` steps that ends with, or soon after, the action of `clip`.

    `others`: clips from which what came before and what comes after is taken; sizes are `(height, width)`, and `fit`
    is an `InputSpec`'s; `teacher_rate_hz` as in `look_times`; `one_view` is `distill.one_view`.
    """
    spec = InputSpec(height=size[0], width=size[1], fit=fit)
    teacher_spec = InputSpec(height=teacher_size[0], width=teacher_size[1], fit=teacher_fit)
    lay = _Layout(labels, labels.index(background), config, augment, rate_hz, spec, rng)
    clip = _turn(clip, augment, rng)
    speed = _draw_speed(augment, rng)
    length_s = (clip.times_s[-1] - clip.times_s[0]) / speed
    whole = max(2, int(length_s * rate_hz) + 1)
    own = min(steps, whole)
    spare = steps - own
    after = 0
    if rng.random() < config.after:
        # room for what comes after is taken from the beginning of the stream, never from the end of the action
        after = int(rng.integers(1, max(2, int(config.after_s * rate_hz) + 1)))
        after = min(after, steps // 3)
        own = min(own, steps - after)
        spare = steps - own - after

    # ticks counted back from the clip's end, with a random phase: the end of the action is what must be in view
    phase = rng.uniform(0, 1 / rate_hz)
    last = clip.times_s[-1]
    if own < whole:
        last = min(last, clip.end_s + own // 3 / rate_hz * speed)
    ticks = last - (phase + np.arange(own)[::-1] / rate_hz) * speed
    view = draw_view(augment, rng, clip.frames.shape[2] / clip.frames.shape[1])
    body = lay.shown(clip, ticks, view, speed)
    parts = [*lay.before(others, body, spare, view), body]
    before = sum(map(len, parts[:-1]))
    if after:
        parts.append(lay.after(others, body, after, view))
    stream = lay.joined(parts)

    # the teacher sees the action alone, from its beginning to its end, or as much of it as its clip holds
    begin_s, end_s = max(clip.times_s[0], clip.start_s), min(clip.times_s[-1], clip.end_s)
    if one_view:
        begin_s, end_s = min(max(begin_s, ticks[0]), end_s), max(min(end_s, ticks[-1]), begin_s)
    inside = look_times(begin_s, end_s, teacher_frames, teacher_rate_hz / speed)
    if one_view:
        jolts = jolts_of(view, own, augment.shake)
        there = np.column_stack([np.interp(inside, ticks, jolts[:, k]) for k in range(2)])
        view = replace(view, jolts=there, blur=view.blur * teacher_size[1] / size[1])
    theirs = _Piece.of(clip, sample_at(clip.times_s, inside), view, teacher_spec, augment.shake)
    progress = np.full(steps, np.nan, np.float32)
    progress[before : before + own] = _progress(ticks, inside)
    return TrainStream(
        frames=stream.piece.frames,
        teacher_frames=theirs.frames,
        targets=stream.targets,
        weights=stream.weights,
        decisive=stream.decisive & (stream.targets == body.label),
        label=body.label,
        places=stream.piece.places,
        pointing=stream.piece.pointing,
        progress=progress,
        teacher_places=theirs.places,
    )


def _progress(ticks: NDArray[np.float64], looks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each tick among the times at which a teacher looks, 0 to 1; NaN before and after."""
    within = (ticks >= looks[0] - TOLERANCE_S) & (ticks <= looks[-1] + TOLERANCE_S)
    return np.where(within, np.interp(ticks, looks, np.linspace(0, 1, len(looks))), np.nan)


def step_targets(
    since_s: NDArray[np.float64], length_s: float, label: int, background: int, config: StreamConfig, rate_hz: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Targets, weights and decisive steps of the action itself; `since_s`: time of every step since its start."""
    progress = since_s / max(length_s, 1e-6)
    # never before an action shorter than `sure_s` has begun; but the last step before its end is always sure
    sure_s = max(min(config.sure_s, length_s), 1 / rate_hz)
    is_late = (progress >= config.late) | (since_s >= length_s - sure_s)
    is_late &= since_s <= length_s + config.hold_s
    if label == background:
        # its other steps count no more than those of a gesture's beginning, or background would be the safe answer
        weights = np.where(is_late, 1.0, config.background_weight).astype(np.float32)
        return np.full(len(since_s), label), weights, is_late
    is_early = (progress < config.early) & ~is_late
    is_over = since_s > length_s + 2 * config.hold_s
    targets = np.where(is_late, label, np.where(is_early | is_over, background, IGNORE))
    weights = np.where(is_late, 1.0, config.background_weight).astype(np.float32)
    return targets.astype(np.int64), weights, is_late


def hold_on(
    label: int,
    since_s: NDArray[np.float64],
    asked: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]],
    background: int,
    config: StreamConfig,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """What an action was called is held into what follows it, unless that is sure of itself.

    `since_s`: time of every step since the action's end; `asked`: targets, weights and decisive steps of what follows.

    Returns: targets and weights, and at which steps the label is held.
    """
    targets, weights, decisive = asked
    idle = np.isin(targets, [background, IGNORE]) & ~decisive & (label != background)
    held = idle & (since_s <= config.hold_s)
    # for a while after that nobody can say whether it is over
    unsure = idle & ~held & (since_s <= 2 * config.hold_s)
    told = np.where(held, label, np.where(unsure, IGNORE, targets))
    return told, np.where(held, 1.0, weights).astype(np.float32), held


@dataclass(frozen=True)
class LoneClip:
    """A clip by itself in one augmented view of it, with its scene at rest before and after.

    Attributes:
        frames: uint8 `(T, height, width, 3)`.
        since_s: float64 `(T,)`: time since the action's start; `length_s` is that of its end.
        label: of the action, by its name.
        before, after: so many of the steps are at rest.
    """

    frames: Clip
    since_s: NDArray[np.float64]
    length_s: float
    label: str
    before: int
    after: int


def lone_clip(
    clip: LabelledClip,
    *,
    before: int,
    after: int,
    most: int,
    augment: AugmentConfig,
    rate_hz: float,
    spec: InputSpec,
    rng: np.random.Generator,
) -> LoneClip:
    """A view of the clip, `before` and `after` steps of rest around it; of a long one the last `most` steps."""
    clip = _turn(clip, augment, rng)
    speed = _draw_speed(augment, rng)
    own = min(most, max(2, int((clip.times_s[-1] - clip.times_s[0]) / speed * rate_hz) + 1))
    ticks = clip.times_s[-1] - (rng.uniform(0, 1 / rate_hz) + np.arange(own)[::-1] / rate_hz) * speed
    chosen = sample_at(clip.times_s, ticks)
    chosen = np.concatenate([np.full(before, chosen[0]), chosen, np.full(after, len(clip.times_s) - 1)])
    view = draw_view(augment, rng, clip.frames.shape[2] / clip.frames.shape[1])
    piece = _Piece.of(clip, chosen, view, spec, augment.shake)
    steps = np.arange(-before, own + after) / rate_hz
    since_s = (ticks[0] - clip.start_s) / speed + steps
    return LoneClip(piece.frames, since_s, (clip.end_s - clip.start_s) / speed, clip.label, before, after)


def _draw_speed(augment: AugmentConfig, rng: np.random.Generator) -> float:
    """As often twice as fast as half as fast."""
    return float(np.exp(rng.uniform(*np.log(augment.speed))))


def _turn(clip: LabelledClip, augment: AugmentConfig, rng: np.random.Generator) -> LabelledClip:
    """Mirror and reverse, where the label says what it becomes."""
    if clip.label in augment.flip and rng.random() < 0.5:
        mirrored = None if clip.place is None else _MIRROR[0] + _MIRROR[1] * clip.place
        clip = replace(clip, frames=clip.frames[:, :, ::-1], label=augment.flip[clip.label], place=mirrored)
    if clip.label in augment.reverse and rng.random() < 0.5:
        turn = clip.times_s[-1] + clip.times_s[0]
        clip = LabelledClip(
            clip.frames[::-1],
            turn - clip.times_s[::-1],
            augment.reverse[clip.label],
            turn - clip.end_s,
            turn - clip.start_s,
            None if clip.place is None else clip.place[::-1],
        )
    return clip


@dataclass(frozen=True)
class _Part:
    """Successive steps of a stream: what they show, and what is asked of them, `(T,)` each.

    `label`: of the action in it; `since_s`: time from the end of that action to the last of these steps.
    """

    piece: _Piece
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    decisive: NDArray[np.bool_]
    label: int
    since_s: float

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class _Layout:
    """How one stream is laid out: parts, one after the other."""

    labels: Sequence[str]
    nothing: int
    config: StreamConfig
    augment: AugmentConfig
    rate_hz: float
    spec: InputSpec
    rng: np.random.Generator

    def shown(self, clip: LabelledClip, ticks: NDArray[np.float64], view: View, speed: float = 1.0) -> _Part:
        """The clip at `ticks`, `speed` times as fast as it was, each of them a little too early or too late."""
        if self.augment.jitter:
            most_s = self.augment.jitter / 2 / self.rate_hz * speed
            ticks = ticks + self.rng.uniform(-most_s, most_s, len(ticks))
        piece = _Piece.of(clip, sample_at(clip.times_s, ticks), view, self.spec, self.augment.shake)
        label = self.labels.index(clip.label)
        since_s, length_s = (ticks - clip.start_s) / speed, (clip.end_s - clip.start_s) / speed
        asked = step_targets(since_s, length_s, label, self.nothing, self.config, self.rate_hz)
        return _Part(piece, *asked, label, since_s=float(since_s[-1]) - length_s)

    def held(self, part: _Part, index: int, steps: int) -> _Part:
        """The scene at rest: one of the part's frames, `steps` times."""
        nothing = np.full(steps, self.nothing)
        weights = np.full(steps, self.config.background_weight, np.float32)
        since_s = part.since_s + steps / self.rate_hz
        return _Part(part.piece.held(index, steps), nothing, weights, np.zeros(steps, bool), part.label, since_s)

    def before(self, others: Sequence[LabelledClip], body: _Part, steps: int, view: View) -> list[_Part]:
        """What the device saw before the action: this scene at rest, or one thing after the other."""
        parts: list[_Part] = []
        first = body
        if self.rng.random() < self.config.before:
            for other in others:
                clip = _turn(other, self.augment, self.rng)
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

    def after(self, others: Sequence[LabelledClip], body: _Part, steps: int, view: View) -> _Part:
        """What the device sees after the action: the scene at rest, or the beginning of something else."""
        if not others or self.rng.random() < 0.5:
            return self.held(body, -1, steps)
        other = others[int(self.rng.integers(len(others)))]
        return _undecided(self.shown(other, other.times_s[0] + np.arange(steps) / self.rate_hz, view))

    def joined(self, parts: Sequence[_Part]) -> _Part:
        """The parts as one; see `hold_on`."""
        told = [parts[0]]
        for before, part in pairwise(parts):
            since_s = before.since_s + (np.arange(len(part)) + 1) / self.rate_hz
            asked = part.targets, part.weights, part.decisive
            targets, weights, held = hold_on(before.label, since_s, asked, self.nothing, self.config)
            decisive = part.decisive | (held & before.decisive.any())
            told.append(replace(part, targets=targets, weights=weights, decisive=decisive))
        return _Part(
            _Piece.joined([part.piece for part in told]),
            np.concatenate([part.targets for part in told]),
            np.concatenate([part.weights for part in told]),
            np.concatenate([part.decisive for part in told]),
            told[-1].label,
            told[-1].since_s,
        )


def _undecided(part: _Part) -> _Part:
    """A part of another clip: the teacher, which sees the action alone, has nothing to say about it."""
    return replace(part, decisive=np.zeros_like(part.decisive))
