"""Networks that others build, with their own normalisation in front."""

from typing import Any

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Normalised(nn.Module):
    """Float frames `(B, T, 3, H, W)` in 0..255 as a network was trained with them."""

    mean: Tensor
    std: Tensor

    def __init__(self, normal: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET) -> None:
        """`normal`: mean and deviation of pixels in 0..1, by channel."""
        super().__init__()
        for name, values in zip(("mean", "std"), normal, strict=True):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 1, 3, 1, 1), persistent=False)

    def normal(self, frames: Tensor) -> Tensor:
        return (frames - self.mean) / self.std


class NormalisedNetwork(Normalised):
    """`network`, and its normalisation.

    Checkpoints hold `network` alone, under its own names, so that they are checkpoints of its library too.
    """

    def __init__(self, network: Any, normal: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET) -> None:
        """`normal` as of `Normalised`."""
        super().__init__(normal)
        self.network = network
