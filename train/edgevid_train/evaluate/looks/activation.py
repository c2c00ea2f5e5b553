"""Class activation by gradient: what each place of a network's last maps adds to a label's score.

Grad-CAM (Selvaraju et al. 2017) weighs channels by their mean gradient over places; what is summed here is activation
times gradient at each place (HiResCAM, Draelos and Carin 2020). Where a head averages its map the two are the same;
where it asks at which place something is, as our eyes do, only this one says what the score was made of.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevid_train.evaluate.looks import Maps
from edgevid_train.evaluate.looks.resize import resized


@dataclass(frozen=True)
class Tap:
    """A place in a network at which its last maps are taken: what goes into `module`, or what comes out of it.

    `arrange`: one of these maps, of one clip, and the module's other inputs -> `(t, C, h, w)`.
    """

    module: nn.Module
    entering: bool
    arrange: Callable[[Tensor, tuple[Any, ...]], Tensor]


def activation(taps: Sequence[Tap], ask: Callable[[], Tensor], frames: int) -> Maps:
    """What speaks for a score in each of `frames` frames; all zero where nothing does.

    `ask` runs the network, whose weights need no gradient, on one clip and gives the score.
    """
    seen = _Seen()
    with torch.enable_grad(), ExitStack() as hooks:
        for tap in taps:
            hooks.enter_context(seen.at(tap))
        gradients = torch.autograd.grad(ask(), seen.leaves, allow_unused=True)
    added = [
        _density(arrange(leaf.detach() * gradient))
        for leaf, gradient, arrange in zip(seen.leaves, gradients, seen.arrange, strict=True)
        if gradient is not None
    ]
    size = (frames, max(x.shape[1] for x in added), max(x.shape[2] for x in added))
    total = sum((resized(x, size) for x in added), torch.zeros(size)).relu()
    return np.asarray((total / total.max().clamp(min=1e-12)).numpy(), np.float32)


def mean_of(maps: Sequence[Maps]) -> Maps:
    """The mean of maps of the same frames, at the size of the finest."""
    size = (len(maps[0]), max(x.shape[1] for x in maps), max(x.shape[2] for x in maps))
    return np.asarray(torch.stack([resized(torch.from_numpy(x), size) for x in maps]).mean(0).numpy(), np.float32)


@dataclass
class _Seen:
    """Maps that the score is computed from, cut off from what they were computed from: that needs no gradient."""

    leaves: list[Tensor] = field(default_factory=list)
    arrange: list[Callable[[Tensor], Tensor]] = field(default_factory=list)

    @contextmanager
    def at(self, tap: Tap) -> Iterator[None]:
        def entering(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (self._cut(inputs[0], tap, inputs[1:]), *inputs[1:])

        def leaving(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> Any:
            return self._cut(output, tap, ())

        module = tap.module
        hook = module.register_forward_pre_hook(entering) if tap.entering else module.register_forward_hook(leaving)
        try:
            yield
        finally:
            hook.remove()

    def _cut(self, maps: Any, tap: Tap, others: tuple[Any, ...]) -> Any:
        if isinstance(maps, list | tuple):  # pathways, side by side
            return [self._cut(x, tap, others) for x in maps]
        leaf = maps.detach().requires_grad_()
        self.leaves.append(leaf)
        self.arrange.append(lambda x: tap.arrange(x, others))
        return leaf.clone()  # which the network may write to


def _density(added: Tensor) -> Tensor:
    """`(t, C, h, w)` -> `(t, h, w)`: how much a place adds, so that maps of different sizes can be summed."""
    per_cell = added.float().sum(1).cpu()
    return per_cell * per_cell.numel()
