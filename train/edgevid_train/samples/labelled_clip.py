"""A decoded clip with the action in it, and views of it: mirrored, reversed, faster, as an augmentation shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid.sampling import TOLERANCE_S
from edgevid_train.samples.augment import AugmentConfig, Clip, ClipView, Points, apply_view, fitted, place_points

_MIRROR = np.array([[1, 0], [-1, 1]], np.float32)
"""Offset and factor that mirror a place `(x, y)` in 0..1."""


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


def steps_of(times_s: NDArray[np.float64], rate_hz: float) -> int:
    """Steps that a clip with frames at these times takes at a rate, at its own speed."""
    return int(np.floor((times_s[-1] - times_s[0] + TOLERANCE_S) * rate_hz)) + 1


def sample_at(times_s: NDArray[np.float64], ticks_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """For every tick the first frame at or after it (the runtime's rule); the last frame where there is none."""
    return np.minimum(np.searchsorted(times_s, ticks_s - TOLERANCE_S), len(times_s) - 1)


def draw_speed(augment: AugmentConfig, rng: np.random.Generator) -> float:
    """As often twice as fast as half as fast."""
    return float(np.exp(rng.uniform(*np.log(augment.speed))))


def turned(clip: LabelledClip, augment: AugmentConfig, rng: np.random.Generator) -> LabelledClip:
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
class Piece:
    """Frames of a stream, where the hand points in them, and whether it does."""

    frames: Clip
    places: Points
    pointing: NDArray[np.float32]

    @classmethod
    def of(cls, clip: LabelledClip, chosen: NDArray[np.intp], view: ClipView, spec: InputSpec, shake: float) -> "Piece":
        view = fitted(view, spec, *clip.frames.shape[1:3])
        places = place_points(clip.places[chosen], view, shake)
        unknown = np.full(len(chosen), np.nan, np.float32)
        pointing = unknown if clip.place is None else np.asarray(np.isfinite(places).all(1), np.float32)
        return cls(apply_view(clip.frames[chosen], view, spec.height, spec.width, shake), places, pointing)

    @classmethod
    def joined(cls, pieces: Sequence["Piece"]) -> "Piece":
        """One after the other."""
        return cls(*(np.concatenate(column) for column in zip(*map(Piece.columns, pieces), strict=True)))

    def columns(self) -> tuple[Clip, Points, NDArray[np.float32]]:
        return self.frames, self.places, self.pointing

    def held(self, index: int, count: int) -> "Piece":
        """One of its frames, `count` times."""
        return Piece(*(np.repeat(x[index][None], count, axis=0) for x in self.columns()))
