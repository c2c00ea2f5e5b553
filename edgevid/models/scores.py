"""Logits to scores, and the scores of a clip's steps to one clip score: the deployed way, for every caller."""

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import EdgevidError
from edgevid.manifest import ClipPool, Manifest

Scores = NDArray[np.float32]

LIKELY = 0.5
"""Where labels do not exclude one another, those are predicted whose score is at least this."""


def activate(logits: NDArray[np.float32], activation: str) -> Scores:
    """Scores 0..1 over the last axis.

    Raises:
        EdgevidError: a logit is NaN or infinite; such a score must never become an event.
    """
    if not np.isfinite(logits).all():
        raise EdgevidError("the model computed NaN or infinity; its file or its input is damaged")
    if activation == "sigmoid":
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), np.float32)  # the logistic function, without overflow
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True), np.float32)


def smooth(scores: Scores, steps: int) -> Scores:
    """Mean over the `steps` steps up to and including each: `(T, labels)` -> `(T, labels)`; shorter at the start."""
    if steps <= 1:
        return scores
    total = np.cumsum(np.concatenate([np.zeros_like(scores[:1]), scores]), axis=0, dtype=np.float64)
    end = np.arange(1, len(scores) + 1)
    begin = np.maximum(0, end - steps)
    return np.asarray((total[end] - total[begin]) / (end - begin)[:, None], np.float32)


def pool(scores: Scores, rule: ClipPool, rate_hz: float, background: int | None, activation: str = "softmax") -> Scores:
    """The score of a clip from the scores of its steps, `(T, labels)` -> `(labels,)`, T at least 1.

    Without a background label `peak` is the step whose best score is highest; of labels that are independent of one
    another (`sigmoid`) each has a peak of its own.
    """
    scores = smooth(scores, round(rule.smooth_s * rate_hz))
    if rule.kind == "mean":
        return np.asarray(scores.mean(axis=0, dtype=np.float64), np.float32)
    if rule.kind == "peak" and activation == "sigmoid":
        return np.asarray(scores.max(axis=0), np.float32)
    step = -1
    if rule.kind == "peak":
        step = int(scores.max(axis=1).argmax() if background is None else scores[:, background].argmin())
    return np.asarray(scores[step], np.float32)


def clip_score(step_scores: Scores, manifest: Manifest) -> Scores:
    """`pool` with the manifest's own rule: what `classify`, `evaluate` and validation in training all report."""
    return pool(step_scores, manifest.clip_pool, manifest.rate_hz, manifest.background, manifest.activation)
