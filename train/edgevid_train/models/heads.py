"""What an exit sees of a frame, and the one memory that all exits share.

One memory, many eyes: each exit has an eye of its own, which tells the memory what the frame shows, the deeper ones
better than the earlier ones. What the memory keeps of a step is what the deciding exit told it. So stopping early
leaves no hole in anybody's past, and stages that can be skipped carry no state that could go stale.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevid_train.models.temporal import Carry, CausalConv

LOOK = 64
"""Channels of the map in which an eye searches for places."""


class Sight(NamedTuple):
    """What an eye saw in N frames.

    `what` `(N, size)`; `places` `(N, points, 2)`, x and y in 0..1 of the picture; `pointing` `(N,)`, logit of whether a
    hand points at the first of them at all.
    """

    what: Tensor
    places: Tensor
    pointing: Tensor


class Eye(nn.Module):
    """Pools a feature map into what is in it (mean) and where (spatial soft-argmax, Levine et al. 2016, sec. 4.1).

    A mean forgets place, and a pointing gesture is nothing but the path of a place. The deepest maps have the best
    idea of a hand and the worst of where it is (5 x 6 cells of a picture of 72 x 96), so places are searched in an
    earlier, finer map beside the deep one, and each cell says how far beside its middle the place lies (as key point
    offsets do, Papandreou et al. 2017, sec. 3.1).

    `channels`: of the map; `finer`: channels of the finer map, 0 where the map itself is searched; `before`: size of
    what the eye before it saw, 0 for none.
    """

    def __init__(self, channels: int, finer: int, points: int, size: int, before: int = 0) -> None:
        super().__init__()
        self.points = points
        self.search = (
            nn.Sequential(nn.Conv2d(channels + finer, LOOK, 1, bias=False), nn.BatchNorm2d(LOOK), nn.ReLU(inplace=True))
            if points
            else None
        )
        # per point: how likely it is in a cell, and how far beside the cell's middle; and whether a hand points there
        self.aim = nn.Conv2d(LOOK, 3 * points + 1, 1) if points else None
        self.mix = nn.Sequential(
            nn.Linear(channels + before + 2 * points, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor, finer: Tensor | None = None, before: Tensor | None = None) -> Sight:
        """`x` `(N, C, H, W)`, `finer` `(N, F, h, w)`, `before` `(N, size)`."""
        seen = [x.mean((2, 3))] if before is None else [x.mean((2, 3)), before]
        places, pointing = x.new_zeros(len(x), 0, 2), x.new_zeros(len(x))
        if self.search is not None and self.aim is not None:
            searched: Tensor = self.search(x if finer is None else torch.cat([_as_fine(x, finer), finer], 1))
            places, pointing = self._aim(self.aim(searched))
            seen += [about_zero(places[:, :, 0]), about_zero(places[:, :, 1])]
        return Sight(self.mix(torch.cat(seen, 1)), places, pointing)

    def _aim(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        height, width = maps.shape[2:]
        likely, beside_x, beside_y, points_there = maps.flatten(2).split_with_sizes([*[self.points] * 3, 1], 1)
        weight = likely.softmax(2)  # (N, points, H*W)
        ys = (torch.arange(height, device=maps.device) + 0.5).repeat_interleave(width)
        xs = (torch.arange(width, device=maps.device) + 0.5).repeat(height)
        px, py = (weight * (xs + beside_x)).sum(2) / width, (weight * (ys + beside_y)).sum(2) / height
        return torch.stack([px, py], 2), (weight[:, 0] * points_there[:, 0]).sum(1)


def _as_fine(x: Tensor, finer: Tensor) -> Tensor:
    """`x` repeated to the size of `finer`, of which it is a whole fraction but for the border."""
    height, width = finer.shape[2:]
    if x.shape[2:] == finer.shape[2:]:
        return x
    factor = -(-height // x.shape[2])
    return functional.interpolate(x, scale_factor=float(factor), mode="nearest")[:, :, :height, :width]


def about_zero(places: Tensor) -> Tensor:
    """Places in 0..1 as numbers about zero and one in size, as everything else that a layer sees."""
    return 4 * places - 2


class CausalTower(nn.Module):
    """Residual causal convolutions of growing reach (Bai et al. 2018, TCN). `(K*B, C, 1, T)` -> the same shape."""

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

    def heard(self) -> Tensor:
        """What a stream's step before put in, `(B, C, 1, 1)`: the first layer keeps it. Of a tower with layers."""
        first = cast(CausalConv, self.get_submodule("layers.0.0"))
        return first.past()[..., -1:]


class Memory(nn.Module):
    """What eyes saw, over time, to scores; one for all exits.

    The first place, where the hand points, has a way of its own into memory, beside that of everything else. So the
    memory can learn from paths alone what a gesture is (`edgevid_train.paths`), thousands of times faster than from
    pictures; what else is seen begins at nothing and is learned on top.
    """

    def __init__(
        self,
        carry: Carry,
        eyes: int,
        labels: int,
        *,
        points: int,
        size: int,
        dilations: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.carry = carry
        self.what = nn.ModuleList(nn.Linear(size, size) for _ in range(eyes))
        self.where = nn.Linear(3, size) if points else None
        if self.where is not None:
            for layer in self.what.parameters():
                nn.init.zeros_(layer)
        self.remember = CausalTower(carry, size, dilations, dropout)
        self.decide = nn.Conv2d(size, labels, 1)

    def forward(self, sights: Sequence[Sight], first: int = 0) -> tuple[list[Tensor], Tensor]:
        """Of each eye, as if it decided: logits `(B, L, 1, T)`. And the embedding `(B, size, 1, T)` of the last.

        `sights` are those of the eyes from number `first` on. A step's past is what the deciding exits saw
        (`Carry.deciding`), by default the last of these.
        """
        seen = []
        for i, sight in enumerate(sights, start=first):
            told: Tensor = self.what[i](sight.what)
            if self.where is not None:
                told = told + self.point_out(sight.places[:, 0], sight.pointing.sigmoid())
            seen.append(told)
        return self._judge(seen)

    def hold(self) -> tuple[Tensor, Tensor]:
        """One step of a stream in which no eye looked: told again what it was told last.

        Returns: logits `(B, L, 1, 1)` and the embedding `(B, size, 1, 1)`.
        """
        self.carry.eyes = 1
        return self._recall(self.remember.heard())

    def point_out(self, place: Tensor, pointing: Tensor) -> Tensor:
        """What memory takes of places `(N, 2)` and of how sure it is `(N,)` that a hand points there."""
        assert self.where is not None
        sure = pointing.unsqueeze(1)
        out: Tensor = self.where(torch.cat([about_zero(place) * sure, 2 * sure - 1], 1))
        return out

    def follow(self, path: Tensor, pointing: Tensor) -> Tensor:
        """Logits `(B, T, L)` of paths alone, `(B, T, 2)` in 0..1 and `(B, T)`, as if nothing else had been seen."""
        if self.where is None:
            raise RuntimeError("a student without points follows no path")
        self.carry.clip(path.shape[1])
        (logits,), _ = self._judge([self.point_out(path.flatten(0, 1), pointing.flatten())])
        return logits.squeeze(2).transpose(1, 2)

    def _judge(self, seen: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        self.carry.eyes = len(seen)
        together = torch.cat(list(seen))
        frames = 1 if self.carry.frames is None else self.carry.frames
        over_time = together.reshape(-1, frames, together.shape[1]).transpose(1, 2).unsqueeze(2)  # (K*B, size, 1, T)
        logits, embedding = self._recall(over_time)
        return list(logits.chunk(len(seen))), embedding.chunk(len(seen))[-1]

    def _recall(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """`(K*B, size, 1, T)` -> logits `(K*B, L, 1, T)` and the embedding, of the same shape as what was told."""
        embedding: Tensor = self.remember(told)
        logits: Tensor = self.decide(embedding)
        return logits, embedding
