"""What is asked of every step of a training stream: which label, how much it counts, and where nothing can be asked."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

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
