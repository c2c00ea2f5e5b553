"""Heads: from a feature map to what a frame shows, and from that, over time, to what is being done."""

import torch
from torch import Tensor, nn

from edgevid_train.models.temporal import Carry, CausalConv


class WhatAndWhere(nn.Module):
    """Pools a feature map into what is in it (mean) and where (spatial soft-argmax, Levine et al. 2016, sec. 4.1).

    A mean forgets place, and a pointing gesture is nothing but the path of a place. `(N, C, H, W)` -> what `(N, size)`,
    and the places `(N, points, 2)`, x and y in 0..1 of the picture. Clips that know where the hand points teach the
    first. `more`: features of another kind, `(N, more)`, that go in with the mean.
    """

    def __init__(self, channels: int, points: int, size: int, more: int = 0) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, points, 1) if points else None
        self.mix = nn.Sequential(
            nn.Linear(channels + more + 2 * points, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor, more: Tensor | None = None) -> tuple[Tensor, Tensor]:
        places = x.new_zeros(len(x), 0, 2)
        seen = [x.mean((2, 3))] if more is None else [x.mean((2, 3)), more]
        if self.attend is not None:
            height, width = x.shape[2:]
            weight = self.attend(x).flatten(2).softmax(2)  # (N, points, H*W)
            ys = ((torch.arange(height, device=x.device) + 0.5) / height).repeat_interleave(width)
            xs = ((torch.arange(width, device=x.device) + 0.5) / width).repeat(height)
            px, py = (weight * xs).sum(2), (weight * ys).sum(2)
            places = torch.stack([px, py], 2)
            seen += [about_zero(px), about_zero(py)]
        what: Tensor = self.mix(torch.cat(seen, 1))
        return what, places


def about_zero(places: Tensor) -> Tensor:
    """Places in 0..1 as numbers about zero and one in size, as everything else that a layer sees."""
    return 4 * places - 2


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

    Feature map `(N, C, H, W)`, and what the exit before it saw `(N, size)` if there is one, to logits `(B, L, 1, T)`,
    embedding `(B, size, 1, T)`, what it saw itself `(N, size)` and the places it looked at `(N, points, 2)`; N = B*T.

    The first place, where the hand points, has a way of its own into memory, beside that of everything else. So the
    memory can learn from paths alone what a gesture is (`edgevid_train.paths`), thousands of times faster than from
    pictures; what else is seen begins at nothing and is learned on top.
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
        self.look = WhatAndWhere(channels, points, size, size if follows else 0)
        self.what = nn.Linear(size, size)
        self.where = nn.Linear(2, size) if points else None
        if self.where is not None:
            nn.init.zeros_(self.what.weight)
            nn.init.zeros_(self.what.bias)
        self.remember = CausalTower(carry, size, dilations, dropout)
        self.decide = nn.Conv2d(size, labels, 1)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        what, places = self.look(x, before)
        seen: Tensor = self.what(what)
        if self.where is not None:
            seen = seen + self.where(about_zero(places[:, 0]))
        logits, embedding = self.judge(seen)
        return logits, embedding, what, places

    def follow(self, path: Tensor) -> Tensor:
        """Logits `(B, T, L)` of paths alone, `(B, T, 2)` in 0..1, as if nothing else had been seen."""
        if self.where is None:
            raise RuntimeError("a head without points follows no path")
        self.carry.clip(path.shape[1])
        logits, _ = self.judge(self.where(about_zero(path.flatten(0, 1))))
        return logits.squeeze(2).transpose(1, 2)

    def judge(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        frames = 1 if self.carry.frames is None else self.carry.frames
        over_time = seen.reshape(-1, frames, seen.shape[1]).transpose(1, 2).unsqueeze(2)  # (B, size, 1, T)
        embedding = self.remember(over_time)
        return self.decide(embedding), embedding
