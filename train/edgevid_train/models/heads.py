"""Heads: from a feature map to what a frame shows, and from that, over time, to what is being done."""

import torch
from torch import Tensor, nn

from edgevid_train.models.temporal import Carry, CausalConv


class WhatAndWhere(nn.Module):
    """Pools a feature map into what is in it (mean) and where (spatial soft-argmax, Levine et al. 2016, sec. 4.1).

    A mean forgets place, and a pointing gesture is nothing but the path of a place. `(N, C, H, W)` -> `(N, size)`.
    Places are in -1..1, left to right and top to bottom.
    """

    def __init__(self, channels: int, points: int, size: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, points, 1) if points else None
        self.mix = nn.Sequential(
            nn.Conv2d(channels + 2 * points, size, 1, bias=False), nn.BatchNorm2d(size), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x.mean((2, 3), keepdim=True)]
        if self.attend is not None:
            height, width = x.shape[2:]
            weight = self.attend(x).flatten(2).softmax(2)  # (N, points, H*W)
            ys = torch.linspace(-1, 1, height, device=x.device).repeat_interleave(width)
            xs = torch.linspace(-1, 1, width, device=x.device).repeat(height)
            seen += [(weight * xs).sum(2)[..., None, None], (weight * ys).sum(2)[..., None, None]]
        out: Tensor = self.mix(torch.cat(seen, 1))
        return out.flatten(1)


class CausalTower(nn.Module):
    """Residual causal convolutions of growing reach (Bai et al. 2018, TCN). `(B, C, 1, T)` -> the same shape."""

    def __init__(self, carry: Carry, size: int, dilations: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                CausalConv(carry, size, dilation), nn.BatchNorm2d(size), nn.ReLU(inplace=True), nn.Dropout(dropout)
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


class ExitHead(nn.Module):
    """An exit: what and where, over time, to scores.

    Feature map `(N, C, H, W)`, and the pooled frames of the exit before it `(N, size)` if there is one, to
    logits `(B, L, 1, T)`, embedding `(B, size, 1, T)` and its own pooled frames `(N, size)`; N = B*T.
    """

    def __init__(
        self,
        carry: Carry,
        channels: int,
        labels: int,
        *,
        points: int,
        size: int,
        dilations: tuple[int, ...],
        dropout: float,
        follows: bool,
    ) -> None:
        super().__init__()
        self.carry = carry
        self.look = WhatAndWhere(channels, points, size)
        self.join = nn.Linear(2 * size, size) if follows else None
        self.remember = CausalTower(carry, size, dilations, dropout)
        self.decide = nn.Conv2d(size, labels, 1)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        seen: Tensor = self.look(x)
        if self.join is not None and before is not None:
            seen = self.join(torch.cat([before, seen], 1))
        frames = 1 if self.carry.frames is None else self.carry.frames
        over_time = seen.reshape(-1, frames, seen.shape[1]).transpose(1, 2).unsqueeze(2)  # (B, size, 1, T)
        embedding = self.remember(over_time)
        return self.decide(embedding), embedding, seen
