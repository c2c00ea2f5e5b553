"""Answers of a stream, step by step."""

import numpy as np
from numpy.typing import NDArray

from edgevid.models.scores import Scores
from edgevid.recognise import ClipScores
from edgevid.sampling import sample_all
from edgevid_train.decode import DecodedClip


def deciding(scores: ClipScores) -> Scores:
    """Scores of the exit that decided at every step, `(T, labels)`."""
    return np.asarray(scores.steps[scores.exits, np.arange(len(scores.exits))], np.float32)


def surest(embeddings: NDArray[np.float32], steps: Scores, clip: Scores) -> NDArray[np.float32]:
    """Of `(T, E)` the embedding of the step that is surest of the clip's answer, `(E,)`."""
    return np.asarray(embeddings[surest_step(steps, clip)], np.float32)


def surest_step(steps: Scores, clip: Scores) -> int:
    """The step `(T, labels)` with the highest score of the label that the clip's score `(labels,)` is highest for."""
    return int(steps[:, int(clip.argmax())].argmax())


def step_times_s(clip: DecodedClip, steps: int, rate_hz: float) -> NDArray[np.float64]:
    """`(steps,)` seconds from the clip's start of the frame that each step saw; the last one is held beyond the end."""
    taken = sample_all([float(t) for t in clip.times_s], rate_hz)[:steps]
    times_s = clip.times_s[taken] - clip.times_s[0]
    held = np.arange(1, steps - len(taken) + 1) / rate_hz
    return np.concatenate([times_s, times_s[-1] + held])
