"""What an exit sees of a frame, and the one memory that all exits share.

One memory, many eyes: each exit has an eye of its own, which tells the memory what the frame shows, the deeper ones
better than the earlier ones. What the memory keeps of a step is what the deciding exit told it. So stopping early
leaves no hole in anybody's past, and stages that can be skipped carry no state that could go stale.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgevid_train.models.temporal import TAPS, Carry, CausalConv

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
        places, pointing = x.new_zeros(len(x), 2, 0), x.new_zeros(len(x))
        if self.search is not None and self.aim is not None:
            searched: Tensor = self.search(x if finer is None else torch.cat([_as_fine(x, finer), finer], 1))
            places, pointing = self._aim(self.aim(searched))
            seen.append(about_zero(places).flatten(1))
        return Sight(self.mix(torch.cat(seen, 1)), places.transpose(1, 2), pointing)

    def _aim(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Places `(N, 2, points)`; and, `(N,)`, whether a hand points at the first of them."""
        height, width = maps.shape[2:]
        likely, beside, points_there = maps.flatten(2).split_with_sizes([self.points, 2 * self.points, 1], 1)
        weight = likely.softmax(2)  # (N, points, H*W)
        ys = (torch.arange(height, device=maps.device) + 0.5).repeat_interleave(width)
        xs = (torch.arange(width, device=maps.device) + 0.5).repeat(height)
        size = torch.tensor([width, height], device=maps.device).view(1, 2, 1)
        cells = torch.stack([xs, ys])[:, None] + beside.reshape(len(maps), 2, self.points, -1)  # (N, 2, points, H*W)
        return (weight.unsqueeze(1) * cells).sum(3) / size, (weight[:, :1] * points_there).sum((1, 2))


def _as_fine(x: Tensor, finer: Tensor) -> Tensor:
    """`x` repeated to the size of `finer`, which strides of two, each rounding up, have made it from."""
    height, width = finer.shape[2:]
    if x.shape[2:] == finer.shape[2:]:
        return x
    factor = 1
    while factor * x.shape[2] < height or factor * x.shape[3] < width:
        factor *= 2
    return functional.interpolate(x, scale_factor=float(factor), mode="nearest")[:, :, :height, :width]


def about_zero(places: Tensor) -> Tensor:
    """Places in 0..1 as numbers about zero and one in size, as everything else that a layer sees."""
    return 4 * places - 2


class Unrolled(NamedTuple):
    """The weights of a tower of L layers as a step takes them, batch norms folded in.

    `before` `(L, 2 * size, size)` of what a layer was told before, `now`, L times `(size, size)`, of what it is told in
    this step, `bias` `(L, 1, size)`.
    """

    before: Tensor
    now: Sequence[Tensor]
    bias: Tensor


class CausalTower(nn.Module):
    """Residual causal convolutions of growing reach (Bai et al. 2018, TCN).

    The clip graph is `forward`. In the stream graph one state `(B, steps, size)` holds what every layer was told, one
    layer after the other, the oldest first. What the past adds in a step is the same whatever the step shows: `recall`
    reckons it once, for all layers in one product, and `tell` as often as there is an answer to give.
    """

    def __init__(self, carry: Carry, size: int, dilations: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                CausalConv(carry, size, dilation), nn.BatchNorm2d(size), nn.ReLU(inplace=True), nn.Dropout(dropout)
            )
            for dilation in dilations
        )
        self.fixed: Unrolled | None = None
        reaches = [(TAPS - 1) * dilation for dilation in dilations]
        firsts = [sum(reaches[:layer]) for layer in range(len(reaches))]
        self.steps = sum(reaches)
        self._heard = sum(reaches[:1]) - 1
        self._taps = [
            first + dilation * k for first, dilation in zip(firsts, dilations, strict=True) for k in range(TAPS - 1)
        ]
        # a layer's rows move on by one, and what it was told in this step, which stands behind the state, comes last
        self._next = [
            row
            for layer, (first, reach) in enumerate(zip(firsts, reaches, strict=True))
            for row in (*range(first + 1, first + reach), self.steps + layer)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """The clip graph, `(K*B, size, 1, T)` -> the same shape."""
        for layer in self.layers:
            x = x + layer(x)
        return x

    def unrolled(self) -> Unrolled:
        """Its weights for `recall` and `tell`, of a tower in evaluation mode; the fixed ones if there are such."""
        if self.fixed is not None:
            return self.fixed
        before, now, bias = [], [], []
        for layer in cast(Iterable[nn.Sequential], self.layers):
            conv, norm = cast(CausalConv, layer[0]).conv, layer[1]
            if isinstance(norm, nn.BatchNorm2d):
                conv = fuse_conv_bn_eval(conv, norm)
            *taps, last = conv.weight[:, :, 0].permute(2, 1, 0)
            before.append(torch.cat(taps))
            now.append(last.contiguous())
            assert conv.bias is not None
            bias.append(conv.bias[None])
        return Unrolled(torch.stack(before), now, torch.stack(bias))

    def recall(self, state: Tensor) -> Tensor:
        """What each layer adds of its past, `(L, B, size)`."""
        if not self.layers:
            return state.transpose(0, 1)
        weights = self.unrolled()
        told = _rows(state, self._taps).reshape(len(state), len(self.layers), -1).transpose(0, 1)
        return torch.matmul(told, weights.before) + weights.bias

    def tell(self, told: Tensor, recalled: Tensor) -> tuple[Tensor, Tensor]:
        """K answers to one step, `(K*B, size)` -> the same shape; and what is kept of the last, `(B, L, size)`."""
        if not self.layers:
            return told, recalled.transpose(0, 1)
        weights = self.unrolled()
        streams = recalled.shape[1]
        if len(told) > streams:
            recalled = recalled.repeat(1, len(told) // streams, 1)
        heard = []
        for now, before in zip(weights.now, torch.split(recalled.flatten(0, 1), len(told)), strict=True):
            heard.append(told[-streams:])
            told = told + torch.addmm(before, told, now).relu()
        return told, torch.cat(heard, 1).reshape(streams, len(heard), -1)

    def heard(self, state: Tensor) -> Tensor:
        """What was told in the step before, `(B, size)`."""
        return state[:, self._heard]

    def after(self, state: Tensor, kept: Tensor) -> Tensor:
        """The state after a step of which the layers keep this, `(B, L, size)`."""
        return _rows(torch.cat([state, kept], 1), self._next)


def _rows(state: Tensor, rows: Sequence[int]) -> Tensor:
    """As `state[:, rows]`, which exporters make five nodes of."""
    return state.index_select(1, torch.tensor(rows, device=state.device))


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

    def forward(self, sights: Sequence[Sight]) -> tuple[list[Tensor], Tensor]:
        """The clip graph. A step's past is what the deciding exits saw (`Carry.deciding`), by default the last.

        Returns: of each eye, as if it decided, logits `(B, L, 1, T)`; of the last the embedding `(B, size, 1, T)`.
        """
        return self._over_time([self._told(i, sight) for i, sight in enumerate(sights)])

    def step(self, sights: Sequence[Sight], recalled: Tensor, first: int = 0) -> tuple[list[Tensor], Tensor, Tensor]:
        """The stream graph. `sights` are those of the eyes from number `first` on; `recalled` as of its tower.

        Returns: of each, as if it decided, logits `(B, L)`; of the last the embedding `(B, size)` and what is kept.
        """
        told = [self._told(i, sight) for i, sight in enumerate(sights, start=first)]
        embedding, kept = self.remember.tell(torch.cat(told), recalled)
        logits = self._decide(embedding)
        return list(logits.chunk(len(told))), embedding.chunk(len(told))[-1], kept

    def hold(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A step of a stream in which no eye looked: told again what it was told last.

        Returns: logits `(B, L)`, the embedding `(B, size)`, what is kept.
        """
        embedding, kept = self.remember.tell(self.remember.heard(state), self.remember.recall(state))
        return self._decide(embedding), embedding, kept

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
        (logits,), _ = self._over_time([self.point_out(path.flatten(0, 1), pointing.flatten())])
        return logits.squeeze(2).transpose(1, 2)

    def _told(self, i: int, sight: Sight) -> Tensor:
        """What eye i tells of what it saw, `(N, size)`."""
        told: Tensor = self.what[i](sight.what)
        if self.where is None:
            return told
        return told + self.point_out(sight.places[:, 0], sight.pointing.sigmoid())

    def _over_time(self, told: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        self.carry.eyes = len(told)
        together = torch.cat(list(told))
        assert self.carry.frames is not None
        over_time = together.reshape(-1, self.carry.frames, together.shape[1]).transpose(1, 2).unsqueeze(2)
        embedding: Tensor = self.remember(over_time)  # (K*B, size, 1, T)
        logits: Tensor = self.decide(embedding)
        return list(logits.chunk(len(told))), embedding.chunk(len(told))[-1]

    def _decide(self, embedding: Tensor) -> Tensor:
        """`(N, size)` -> logits `(N, L)`."""
        return functional.linear(embedding, self.decide.weight[:, :, 0, 0], self.decide.bias)
