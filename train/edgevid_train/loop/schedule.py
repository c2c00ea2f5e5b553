"""How fast a network learns at each step, and when it is over: pure functions of where the training is.

So a resumed training needs nothing but its counters to go on as it would have gone on.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping

from edgevid.errors import InputError
from edgevid_train.loop.optim import OptimConfig

_BEGIN = 25.0
"""A one-cycle rate begins at its highest divided by this, as torch's does."""


def learning_rate(optim: OptimConfig, step: int, total: int, per_epoch: int, falls: int = 0) -> float:
    """The rate at a step, which counts from 0, of `total`. `falls`: how often a plateau has let it fall.

    After a linear warm-up: half a cosine (Loshchilov & Hutter 2017), steps down (He et al. 2016), or down whenever
    nothing gets better. One cycle needs no warm-up: half a cosine up, one down (Smith & Topin 2018, torch's form).
    """
    if optim.schedule == "one_cycle":
        top = optim.rise * total - 1
        if step <= top:
            return _half_cosine(optim.lr / _BEGIN, optim.lr, step / max(top, 1))
        return _half_cosine(optim.lr, optim.least_lr, (step - top) / max(total - 1 - top, 1))
    warmup = min(round(optim.warmup_epochs * per_epoch), total - 1)
    if step < warmup:
        return optim.lr * (step + 1) / (warmup + 1)
    if optim.schedule == "cosine":
        done = (step - warmup) / max(1, total - 1 - warmup)
        return optim.least_lr + (optim.lr - optim.least_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if optim.schedule == "step":
        falls = bisect_right(optim.drops, step / per_epoch)
    return max(optim.lr * optim.factor**falls, min(optim.lr, optim.least_lr))


def leading(figures: Mapping[str, float]) -> float:
    """The one of `figures` that is to be high."""
    return figures.get("map", figures.get("top1", 0.0))


def better(metrics: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Higher top-1, or mAP, where there are labels; of equals the lower loss, which small held-out sets need."""

    def rank(figures: Mapping[str, float]) -> tuple[float, float]:
        return leading(figures), -figures["loss"]

    return not best or rank(metrics) > rank(best)


def is_plateau(optim: OptimConfig, epoch: int, best_epoch: int, fell_epoch: int) -> bool:
    """Whether the rate is to fall after `epoch`; the best was `best_epoch`, it fell last after `fell_epoch`."""
    return optim.schedule == "plateau" and epoch - max(best_epoch, fell_epoch) >= optim.wait_epochs


def lost_patience(optim: OptimConfig, epoch: int, best_epoch: int) -> bool:
    """Whether to stop early after `epoch`, though epochs are left."""
    return optim.patience is not None and epoch < optim.epochs and epoch - best_epoch >= optim.patience


def check_held_out(optim: OptimConfig, section: str, *, held_out: bool) -> None:
    """Raises InputError when figures of held-out clips decide, and there are none."""
    if not held_out and (optim.patience is not None or optim.schedule == "plateau"):
        what = "patience" if optim.patience is not None else "schedule = plateau"
        raise InputError(f"{section}.{what} goes by clips that are held out, and none are; with --all there never are")


def _half_cosine(begin: float, end: float, done: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * done))
