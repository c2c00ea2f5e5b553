"""A clip's score, the deployed way: what `classify` and `evaluate` report.

Frames are sampled at the manifest's rate and go through the model as a live stream's would: a stream model steps from a
zero state, a clip model gets sliding windows; the exit that decides gives each step's scores; `clip_pool` makes one
score of them. Nothing looks at the clip's length first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.cascade import deciding_exit
from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.manifest import Manifest
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.scores import Scores, activate, clip_score
from edgevid.preprocess import fit
from edgevid.sampling import Counts, sample_all, schedule_for

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What a model says of one clip.

    Attributes:
        steps: scores of every exit at every tick of the model's rate, float32 `(exits, T, labels)`.
        exits: index of the exit that decided at each tick, `(T,)`.
        clip: the clip's score, float32 `(labels,)`.
    """

    steps: Scores
    exits: NDArray[np.intp]
    clip: Scores

    @classmethod
    def from_logits(cls, logits: Logits, manifest: Manifest) -> "ClipScores":
        """From the logits of every exit at every tick, float32 `(exits, T, labels)`, T at least 1.

        Raises:
            EdgevidError: a logit is NaN or infinite.
        """
        steps = activate(logits, manifest.activation)
        ticks = range(steps.shape[1])
        exits = np.array([deciding_exit(steps[:, t], manifest.exits) for t in ticks], np.intp)
        return cls(steps, exits, clip_score(steps[exits, ticks], manifest))


def score_clip(frames: Iterable[Frame], model: StreamModel | ClipModel) -> tuple[ClipScores, Counts]:
    """Score the frames of one recording, and say what became of each of them.

    Raises:
        InputError: there are no frames.
        EdgevidError: the model computed NaN or infinity.
    """
    counts = Counts()
    steps = _stream(frames, model, counts) if isinstance(model, StreamModel) else _windows(frames, model, counts)
    logits = list(steps)
    if not logits:
        raise InputError("no frames")
    return ClipScores.from_logits(np.concatenate(logits, axis=1), model.manifest), counts


def score_frames(frames: NDArray[np.uint8], model: StreamModel | ClipModel) -> ClipScores:
    """Score frames that are already at the model's rate and size, uint8 `(T, height, width, 3)`.

    Raises: as `score_clip`.
    """
    rate_hz = model.manifest.rate_hz
    return score_clip((Frame(pixels, i / rate_hz, i) for i, pixels in enumerate(frames)), model)[0]


def _stream(frames: Iterable[Frame], model: StreamModel, counts: Counts) -> Iterator[Logits]:
    """Logits `(exits, 1, labels)` of each step."""
    schedule = schedule_for(model.manifest)
    state = model.zero_state()
    for frame in frames:
        due = schedule.offer(frame.index, frame.time_s)
        counts.capture(due)
        if due.reset:
            state = model.zero_state()
        if due.steps:
            pixels = fit(frame.pixels, model.manifest.input)
            for _ in due.steps:
                outputs, state = model.step(pixels, state)
                yield outputs.logits[:, None]
            counts.settle(due, "computed")


def _windows(frames: Iterable[Frame], model: ClipModel, counts: Counts) -> Iterator[Logits]:
    """Logits `(exits, n, labels)` of the n ticks that each window adds.

    A model that scores each of its T frames gives the new ones' logits. One that gives a single score for all T gives
    that at the window's last tick; up to there the score before it is held, as it is live. A recording that is too
    short for a window fills one up with its last frame.
    """
    manifest = model.manifest
    schedule = schedule_for(manifest)
    reach_s = (manifest.clip_frames + 1) / manifest.rate_hz
    recent: dict[int, Frame] = {}
    last_index, held = -1, None
    for frame in frames:
        recent = {i: f for i, f in recent.items() if f.time_s >= frame.time_s - reach_s} | {frame.index: frame}
        due = schedule.offer(frame.index, frame.time_s)
        counts.capture(due)
        if not due.steps:
            continue
        logits = _run(model, [recent[i] for i in due.steps])
        new = sum(i > last_index for i in due.steps)
        if logits.shape[1] > 1:
            yield logits[:, -new:]
        elif held is None or due.reset:
            yield logits
        else:
            yield np.concatenate([np.repeat(held, new - 1, axis=1), logits], axis=1)
        counts.settle(due, "computed")
        last_index, held = due.steps[-1], logits
    left = schedule.finish()
    if recent and held is None:
        kept = list(recent.values())
        ticks = [kept[i] for i in sample_all([f.time_s for f in kept], manifest.rate_hz)][: manifest.clip_frames]
        logits = _run(model, ticks + ticks[-1:] * (manifest.clip_frames - len(ticks)))
        yield logits[:, : len(ticks)]
        counts.computed += left
        counts.pending -= left
        return
    counts.finish(left)


def _run(model: ClipModel, frames: list[Frame]) -> Logits:
    return model.run(np.stack([fit(f.pixels, model.manifest.input) for f in frames])).logits
