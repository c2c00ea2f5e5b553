"""A clip by itself, for what is learned from what eyes saw of it: no past of another clip, and no targets yet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid_train.samples.augment import AugmentConfig, Clip, draw_view
from edgevid_train.samples.labelled_clip import LabelledClip, Piece, draw_speed, sample_at, turned


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
    clip = turned(clip, augment, rng)
    speed = draw_speed(augment, rng)
    own = min(most, max(2, int((clip.times_s[-1] - clip.times_s[0]) / speed * rate_hz) + 1))
    ticks = clip.times_s[-1] - (rng.uniform(0, 1 / rate_hz) + np.arange(own)[::-1] / rate_hz) * speed
    chosen = sample_at(clip.times_s, ticks)
    chosen = np.concatenate([np.full(before, chosen[0]), chosen, np.full(after, len(clip.times_s) - 1)])
    view = draw_view(augment, rng, clip.frames.shape[2] / clip.frames.shape[1])
    piece = Piece.of(clip, chosen, view, spec, augment.shake)
    steps = np.arange(-before, own + after) / rate_hz
    since_s = (ticks[0] - clip.start_s) / speed + steps
    return LoneClip(piece.frames, since_s, (clip.end_s - clip.start_s) / speed, clip.label, before, after)
