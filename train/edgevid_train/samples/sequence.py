"""From decoded clips to training streams: what a device would have seen, with the past it would have had.

A stream runs at the model's rate, from a zero state, and ends some time after the action. What stands before the action
is the scene at rest, or other clips one after the other, each with its own targets: a student on a device never starts
with the action, and is never reset between two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import InputSpec
from edgevid.sampling import TOLERANCE_S
from edgevid_train.samples.augment import AugmentConfig, Clip, Points, draw_view, jolts_of
from edgevid_train.samples.labelled_clip import LabelledClip, Piece, draw_speed, sample_at, turned
from edgevid_train.samples.looks import look_times
from edgevid_train.samples.step_targets import StreamConfig
from edgevid_train.samples.stream_parts import Layout


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
class StreamBuilder:
    """What all streams of a training have in common.

    Attributes:
        labels: those that are answered with; `background` is one of them.
        input, teacher_input: what the student and the teacher take. A batch may ask for smaller pictures.
        teacher_frames, teacher_rate_hz: how many a teacher looks at, and how often, as of `look_times`.
        one_view: as `distill.one_view`.
    """

    labels: Sequence[str]
    background: str
    config: StreamConfig
    augment: AugmentConfig
    rate_hz: float
    input: InputSpec
    teacher_input: InputSpec
    teacher_frames: int
    teacher_rate_hz: float = 0.0
    one_view: bool = False

    def build(
        self,
        clip: LabelledClip,
        others: Sequence[LabelledClip],
        steps: int,
        rng: np.random.Generator,
        size: tuple[int, int] | None = None,
    ) -> TrainStream:
        """One augmented stream of `steps` steps that ends with, or soon after, the action of `clip`.

        `others`: clips from which what came before and what comes after is taken. `size`: `(height, width)` of the
        pictures, where they are not the input's.
        """
        spec = self.input if size is None else self.input.model_copy(update={"height": size[0], "width": size[1]})
        nothing = self.labels.index(self.background)
        lay = Layout(self.labels, nothing, self.config, self.augment, self.rate_hz, spec, rng)
        clip = turned(clip, self.augment, rng)
        speed = draw_speed(self.augment, rng)
        length_s = (clip.times_s[-1] - clip.times_s[0]) / speed
        whole = max(2, int(length_s * self.rate_hz) + 1)
        own = min(steps, whole)
        spare = steps - own
        after = 0
        if rng.random() < self.config.after:
            # room for what comes after is taken from the beginning of the stream, never from the end of the action
            after = int(rng.integers(1, max(2, int(self.config.after_s * self.rate_hz) + 1)))
            after = min(after, steps // 3)
            own = min(own, steps - after)
            spare = steps - own - after

        # ticks counted back from the clip's end, with a random phase: the end of the action is what must be in view
        phase = rng.uniform(0, 1 / self.rate_hz)
        last = clip.times_s[-1]
        if own < whole:
            last = min(last, clip.end_s + own // 3 / self.rate_hz * speed)
        ticks = last - (phase + np.arange(own)[::-1] / self.rate_hz) * speed
        view = draw_view(self.augment, rng, clip.frames.shape[2] / clip.frames.shape[1])
        body = lay.shown(clip, ticks, view, speed)
        parts = [*lay.before(others, body, spare, view), body]
        before = sum(map(len, parts[:-1]))
        if after:
            parts.append(lay.after(others, body, after, view))
        stream = lay.joined(parts)

        # the teacher sees the action alone, from its beginning to its end, or as much of it as its clip holds
        begin_s, end_s = max(clip.times_s[0], clip.start_s), min(clip.times_s[-1], clip.end_s)
        if self.one_view:
            begin_s, end_s = min(max(begin_s, ticks[0]), end_s), max(min(end_s, ticks[-1]), begin_s)
        inside = look_times(begin_s, end_s, self.teacher_frames, self.teacher_rate_hz / speed)
        if self.one_view:
            jolts = jolts_of(view, own, self.augment.shake)
            there = np.column_stack([np.interp(inside, ticks, jolts[:, k]) for k in range(2)])
            view = replace(view, jolts=there, blur=view.blur * self.teacher_input.width / spec.width)
        theirs = Piece.of(clip, sample_at(clip.times_s, inside), view, self.teacher_input, self.augment.shake)
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
