"""From decoded clips to training streams: what a device would have seen, with the past it would have had.

A stream runs at the model's rate, from a zero state, and ends some time after the action. What stands before the action
is nothing, or the end of another clip: a student on a device never starts with the action.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edgevid.manifest import InputSpec
from edgevid.sampling import TOLERANCE_S
from edgevid_train.augment import AugmentConfig, Clip, Points, View, apply_view, draw_view, fitted, place_points

_MIRROR = np.array([[1, 0], [-1, 1]], np.float32)
"""Offset and factor that mirror a place `(x, y)` in 0..1."""

Fit = Literal["stretch", "crop", "letterbox"]
IGNORE = -1
"""Target of a step that gives no loss."""


class StreamConfig(BaseModel):
    """How training streams are laid out. Times in seconds.

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
        teacher_frames: uint8 `(Tt, height, width, 3)`: the action alone, spread evenly, the same augmented view.
        targets: int64 `(T,)`: label of every step; IGNORE where a step gives no loss.
        weights: float32 `(T,)`: how much a step's loss counts.
        decisive: bool `(T,)`: the steps at which the action is to be recognised; there the teacher's answer counts.
        label: index of the action.
        places, teacher_places: float32 `(T, 2)` and `(Tt, 2)`: where the hand points in each frame; NaN where unknown.
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

    def held(self, index: int, count: int) -> "_Piece":
        """One of its frames, `count` times."""
        return _Piece(*(np.repeat(x[index][None], count, axis=0) for x in (self.frames, self.places, self.pointing)))


def steps_of(clip: LabelledClip, rate_hz: float) -> int:
    """Steps a clip takes at a rate, at its own speed."""
    return int(np.floor((clip.times_s[-1] - clip.times_s[0] + TOLERANCE_S) * rate_hz)) + 1


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
) -> TrainStream:
    """One augmented stream of `steps` steps that ends with, or soon after, the action of `clip`.

    `others`: clips from which what came before and what comes after is taken; sizes are `(height, width)`, and `fit`
    is an `InputSpec`'s.
    """
    spec = InputSpec(height=size[0], width=size[1], fit=fit)
    teacher_spec = InputSpec(height=teacher_size[0], width=teacher_size[1], fit=teacher_fit)
    nothing = labels.index(background)
    clip = _turn(clip, augment, rng)
    speed = float(np.exp(rng.uniform(*np.log(augment.speed))))
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
    body = _Piece.of(clip, sample_at(clip.times_s, ticks), view, spec, augment.shake)

    start, end, label = clip.start_s, clip.end_s, labels.index(clip.label)
    targets, weights, decisive = step_targets(
        (ticks - start) / speed, (end - start) / speed, label, nothing, config, rate_hz
    )

    parts, all_targets, all_weights, all_decisive = [body], [targets], [weights], [decisive]
    if spare:
        parts[:0] = _before(others, body, spare, view, config, augment, rate_hz, spec, rng)
        all_targets.insert(0, np.full(spare, nothing))
        # the end of some other clip may still be that action: no loss there
        all_weights.insert(0, np.zeros(spare, np.float32))
        all_decisive.insert(0, np.zeros(spare, bool))
    if after:
        following, targets = _after(others, body, after, view, config, augment, rate_hz, spec, labels, nothing, rng)
        parts.append(following)
        since = (np.arange(after) + 1) / rate_hz + (ticks[-1] - end) / speed
        held = since <= config.hold_s
        sure = (since > 2 * config.hold_s) & (targets == nothing)
        all_targets.append(np.where(held, label, np.where(sure, nothing, IGNORE)))
        all_weights.append(np.where(held, 1.0, config.background_weight).astype(np.float32))
        all_decisive.append(held)

    # the teacher sees the action alone, from its beginning to its end
    inside = np.linspace(max(clip.times_s[0], start), min(clip.times_s[-1], end), teacher_frames)
    theirs = _Piece.of(clip, sample_at(clip.times_s, inside), view, teacher_spec, augment.shake)
    return TrainStream(
        frames=np.concatenate([part.frames for part in parts]),
        teacher_frames=theirs.frames,
        targets=np.concatenate(all_targets).astype(np.int64),
        weights=np.concatenate(all_weights),
        decisive=np.concatenate(all_decisive),
        label=label,
        places=np.concatenate([part.places for part in parts]),
        pointing=np.concatenate([part.pointing for part in parts]),
        teacher_places=theirs.places,
    )


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


def _before(
    others: Sequence[LabelledClip],
    body: _Piece,
    steps: int,
    view: View,
    config: StreamConfig,
    augment: AugmentConfig,
    rate_hz: float,
    spec: InputSpec,
    rng: np.random.Generator,
) -> list[_Piece]:
    """What the device saw before the action: this scene at rest, or the end of something else."""
    if not others or rng.random() >= config.before:
        return [body.held(0, steps)]
    other = others[int(rng.integers(len(others)))]
    seen = min(steps, max(1, int(rng.uniform(0.2, 1) * config.before_s * rate_hz)))
    ticks = other.times_s[-1] - np.arange(seen)[::-1] / rate_hz
    end = _Piece.of(other, sample_at(other.times_s, ticks), view, spec, augment.shake)
    return [end.held(0, steps - seen), end]


def _after(
    others: Sequence[LabelledClip],
    body: _Piece,
    steps: int,
    view: View,
    config: StreamConfig,
    augment: AugmentConfig,
    rate_hz: float,
    spec: InputSpec,
    labels: Sequence[str],
    nothing: int,
    rng: np.random.Generator,
) -> tuple[_Piece, NDArray[np.int64]]:
    """What the device sees after the action: the hand at rest, or the beginning of something else; and its targets."""
    if not others or rng.random() < 0.5:
        return body.held(-1, steps), np.full(steps, nothing)
    other = others[int(rng.integers(len(others)))]
    ticks = other.times_s[0] + np.arange(steps) / rate_hz
    length_s = other.end_s - other.start_s
    targets, _, _ = step_targets(ticks - other.start_s, length_s, labels.index(other.label), nothing, config, rate_hz)
    return _Piece.of(other, sample_at(other.times_s, ticks), view, spec, augment.shake), targets
