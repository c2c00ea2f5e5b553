"""A clip's score, the deployed way: what `classify` and `evaluate` report.

Frames are sampled at the manifest's rate and go through the network as a live stream's do: a stream model steps from a
zero state, a clip model gets sliding windows, the exit that decides gives each tick's scores. `clip_pool` makes one
score of them. Nothing looks at the clip's length first, and there is no motion gate: a clip's score is of every tick.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgevid.cascade import deciding_exit
from edgevid.errors import InputError
from edgevid.files import is_folder
from edgevid.frame import Frame
from edgevid.manifest import Manifest
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.scores import Scores, clip_score
from edgevid.network import Decision, network_for
from edgevid.sampling import FrameCounts, sample_all, schedule_for
from edgevid.sources import SourceCounts, open_source


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What a model says of one clip.

    Attributes:
        steps: scores of every exit at every tick of the model's rate, float32 `(exits, T, labels)`; NaN where a
            conditional model had stopped before that exit.
        exits: index of the exit that decided at each tick, `(T,)`.
        clip: the clip's score, float32 `(labels,)`.
        embeddings: what the network made of each tick, float32 `(T, embedding_size)`, where it was asked.
    """

    steps: Scores
    exits: NDArray[np.intp]
    clip: Scores
    embeddings: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, steps: Scores, manifest: Manifest) -> Self:
        """From scores of every exit, float32 `(exits, T, labels)` with T at least 1, by the manifest's rule."""
        ticks = range(steps.shape[1])
        exits = np.array([deciding_exit(steps[:, t], manifest.exits, manifest.activation) for t in ticks], np.intp)
        return cls(steps, exits, clip_score(steps[exits, ticks], manifest))

    @classmethod
    def of_decisions(cls, decisions: Sequence[Decision], manifest: Manifest) -> Self:
        """From at least one decision, by the manifest's rule."""
        steps = np.full((len(manifest.exits), len(decisions), len(manifest.labels)), np.nan, np.float32)
        for tick, decision in enumerate(decisions):
            steps[: len(decision.every_exit), tick] = decision.every_exit
        exits = np.array([decision.exit for decision in decisions], np.intp)
        clip = clip_score(np.stack([decision.scores for decision in decisions]), manifest)
        return cls(steps, exits, clip, np.stack([decision.embedding for decision in decisions]))


@dataclass(frozen=True, slots=True)
class FileScores:
    """A file's score, what became of its frames, and what its source could not give; `fault` as the source's."""

    scores: ClipScores
    counts: FrameCounts
    source: SourceCounts
    fault: str | None


def settling_steps(manifest: Manifest) -> int:
    """Steps for which a stream model sees a clip's last frame again before the clip is scored."""
    return round(manifest.clip_pool.settle_s * manifest.rate_hz)


def score_file(file: str | Path, model: StreamModel | ClipModel, *, threads: int = 1) -> FileScores:
    """Score a video file, or as text an address or `demo`; `threads` are those that decode it.

    Raises:
        InputError: one line that says why there is nothing to score.
        EdgevidError: the model computed NaN or infinity.
    """
    if is_folder(file):
        raise InputError(f"{file} is a folder, not a video file")
    with open_source(file, pace="fast", threads=threads) as source:
        if source.info.live:
            raise InputError(f"{source.info.name} is live and has no end: see `edgevid live`")
        try:
            scores, counts = score_clip(source, model)
        except InputError as error:
            raise InputError(f"{file}: {source.fault or error}") from None
        return FileScores(scores, counts, source.counts, source.fault)


def score_clip(frames: Iterable[Frame], model: StreamModel | ClipModel) -> tuple[ClipScores, FrameCounts]:
    """Score the frames of one recording, and say what became of each of them.

    A clip model that gives a single score for its T frames gives it at a window's last tick; from one window to the
    next the score before is held, as it is live. A recording too short for a window fills one up with its last frame.

    Raises:
        InputError: there are no frames.
        EdgevidError: the model computed NaN or infinity.
    """
    manifest = model.manifest
    schedule, network, counts = schedule_for(manifest), network_for(model), FrameCounts()
    reach_s = 0.0 if manifest.kind == "stream" else (manifest.clip_frames + 1) / manifest.rate_hz
    recent: dict[int, Frame] = {}  # all that a window may ask for
    decisions: list[Decision] = []
    last_index = -1
    shown: Frame | None = None  # the last frame that went through the network
    for frame in frames:
        recent = {i: f for i, f in recent.items() if f.time_s >= frame.time_s - reach_s} | {frame.index: frame}
        due = schedule.offer(frame.index, frame.time_s)
        counts.capture(due)
        if due.steps:
            decided = network.compute([recent[i] for i in due.steps], reset=due.reset)
            counts.settle(due, "computed")
            new = sum(i > last_index for i in due.steps)
            last_index = due.steps[-1]
            shown = recent[last_index]
            if not due.reset:
                decisions += decisions[-1:] * (new - len(decided))
            decisions += decided
    left = schedule.finish()
    rest = settling_steps(manifest) if manifest.kind == "stream" else 0
    if shown is not None and rest:
        decisions += network.compute([shown] * rest, reset=False)
    if recent and not decisions:
        kept = list(recent.values())
        ticks = [kept[i] for i in sample_all([f.time_s for f in kept], manifest.rate_hz)][: manifest.clip_frames]
        decided = network.compute(ticks + ticks[-1:] * (manifest.clip_frames - len(ticks)), reset=False)
        decisions = decided[: len(ticks)]
        counts.computed += left
        counts.pending -= left
    else:
        counts.finish(left)
    if not decisions:
        raise InputError("no frames")
    return ClipScores.of_decisions(decisions, manifest), counts
