"""A network that others build, with its own normalisation in front."""

from typing import Any

import torch
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class NormalisedNetwork(nn.Module):
    """`network`, and float frames `(B, T, 3, H, W)` in 0..255 as it was trained with them.

    Checkpoints hold `network` alone, under its own names, so that they are checkpoints of its library too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, normal: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET) -> None:
        """`normal`: mean and deviation of pixels in 0..1, by channel."""
        super().__init__()
        self.network = network
        for name, values in zip(("mean", "std"), normal, strict=True):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 1, 3, 1, 1), persistent=False)

    def normal(self, frames: Tensor) -> Tensor:
        return (frames - self.mean) / self.std
