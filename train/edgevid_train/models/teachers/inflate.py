"""Two-dimensional convolutions with pre-trained weights made three-dimensional (Carreira & Zisserman 2017)."""

from typing import Literal

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional

from edgevid_train.models.temporal import Carry

Inflation = Literal["centre", "mean"]
TAPS = 3
"""Frames a convolution sees: the one before, its own and the one after."""


class InflatedConv(nn.Module):
    """A convolution over space and time. `(B*T, C, H, W)` -> `(B*T, C', H', W')`: no frame is lost.

    Before the first and after the last frame stands that frame again, so that a clip at rest is seen as a picture is.
    """

    def __init__(self, carry: Carry, conv: nn.Conv2d, inflation: Inflation) -> None:
        super().__init__()
        self.carry = carry
        self.same = isinstance(conv, Conv2dSame)
        self.kernel, self.stride, self.dilation, self.groups = conv.kernel_size, conv.stride, conv.dilation, conv.groups
        assert isinstance(conv.padding, tuple)
        self.padding = conv.padding
        weight = conv.weight.detach().unsqueeze(2)
        if inflation == "mean":
            weight = weight.repeat(1, 1, TAPS, 1, 1) / TAPS
        else:
            weight = functional.pad(weight, (0, 0, 0, 0, TAPS // 2, TAPS // 2))
        self.weight = nn.Parameter(weight)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            x = pad_same(x, list(self.kernel), list(self.stride), list(self.dilation))
        x = self.carry.by_clip(x).transpose(1, 2)  # (B, C, T, H, W)
        x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
        x = functional.conv3d(
            x, self.weight, self.bias, (1, *self.stride), (0, *self.padding), (1, *self.dilation), self.groups
        )
        return x.transpose(1, 2).flatten(0, 1)


def inflate(network: nn.Module, carry: Carry, inflation: Inflation) -> None:
    """Make every convolution of `network` that is larger than one pixel see the frames beside its own too.

    Args:
        inflation: `centre` gives the picture's weights to the frame itself and zeros to its neighbours: at first the
            network sees each frame alone, exactly as before. `mean` gives each a third: it sees a blurred time, and a
            clip at rest exactly as before.
    """
    for name, module in list(network.named_children()):
        if isinstance(module, nn.Conv2d):
            if max(module.kernel_size) > 1:
                setattr(network, name, InflatedConv(carry, module, inflation))
        else:
            inflate(module, carry, inflation)
