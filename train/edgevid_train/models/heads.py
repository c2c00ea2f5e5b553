"""Heads: from a feature map to what a frame shows, and from that, over time, to what is being done."""

import torch
from torch import Tensor, nn

from edgevid_train.models.temporal import Carry, CausalConv


class WhatAndWhere(nn.Module):
    """Pools a feature map into what is in it (mean) and where (spatial soft-argmax, Levine et al. 2016, sec. 4.1).

    A mean forgets place, and a pointing gesture is nothing but the path of a place. `(N, C, H, W)` -> `(N, size)`, and
    the places `(N, points, 2)`, x and y in 0..1 of the picture. Clips that know where the hand points teach the first.
    """

    def __init__(self, channels: int, points: int, size: int) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, points, 1) if points else None
        self.mix = nn.Sequential(
            nn.Conv2d(channels + 2 * points, size, 1, bias=False), nn.BatchNorm2d(size), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        places = x.new_zeros(len(x), 0, 2)
        seen = [x.mean((2, 3), keepdim=True)]
        if self.attend is not None:
            height, width = x.shape[2:]
            weight = self.attend(x).flatten(2).softmax(2)  # (N, points, H*W)
            ys = ((torch.arange(height, device=x.device) + 0.5) / height).repeat_interleave(width)
            xs = ((torch.arange(width, device=x.device) + 0.5) / width).repeat(height)
            px, py = (weight * xs).sum(2), (weight * ys).sum(2)
            places = torch.stack([px, py], 2)
            # about zero and one in size, as everything else the next layer sees
            seen += [4 * px[..., None, None] - 2, 4 * py[..., None, None] - 2]
        out: Tensor = self.mix(torch.cat(seen, 1))
        return out.flatten(1), places


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
    logits `(B, L, 1, T)`, embedding `(B, size, 1, T)`, its own pooled frames `(N, size)` and the places it looked at
    `(N, points, 2)`; N = B*T.
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

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        seen, places = self.look(x)
        if self.join is not None and before is not None:
            seen = self.join(torch.cat([before, seen], 1))
        frames = 1 if self.carry.frames is None else self.carry.frames
        over_time = seen.reshape(-1, frames, seen.shape[1]).transpose(1, 2).unsqueeze(2)  # (B, size, 1, T)
        embedding = self.remember(over_time)
        return self.decide(embedding), embedding, seen, places
