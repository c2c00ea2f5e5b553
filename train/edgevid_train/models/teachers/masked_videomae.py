"""Masked pre-training of VideoMAE (Tong et al. 2022): its encoder, and a decoder that is thrown away afterwards."""

from typing import Any, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from edgevid.manifest import InputSpec
from edgevid_train.models.teachers.normalised import NormalisedNetwork
from edgevid_train.models.teachers.videomae import VideoMAESize, new_encoder, xavier

_EPSILON = 1e-6
"""What the targets' deviation is kept above, as transformers has it."""
_LONGEST = 20.0
"""The longest wave of a decoder's positions, in cubes over 2 pi: no axis of a clip has many more."""
_NEAR = 0.7
"""How strongly a decoder's attention is drawn to what is near, before it learns."""


class DecoderSize(BaseModel):
    """The decoder of pre-training, narrower and shallower than the encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=96, gt=0, le=16384)
    layers: int = Field(default=2, gt=0, le=256)
    heads: int = Field(default=3, gt=0)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        if self.width % 6:
            raise ValueError(f"width {self.width} is no multiple of 6: a sine and a cosine of time, row and column")
        return self


class Reconstruction(NamedTuple):
    """`loss`: mean squared error over the hidden cubes, in units of each cube's own deviation.

    `cubes`: `(B, hidden cubes, tubelet * patch * patch * 3)`, what they are thought to hold, normalised.
    """

    loss: Tensor
    cubes: Tensor


class MaskedVideoMAE(NormalisedNetwork):
    """From the cubes that are left of a clip it says what the hidden ones hold.

    The targets are the pixels of each hidden cube, normalised by its own mean and deviation, channel by channel.
    Takes float frames `(B, T, 3, H, W)` in 0..255.
    """

    def __init__(self, size: VideoMAESize, decoder: DecoderSize, spec: InputSpec, frames: int) -> None:
        grid = (frames // size.tubelet, spec.height // size.patch, spec.width // size.patch)
        super().__init__(EncoderDecoder(new_encoder(size, spec, frames), CubeDecoder(decoder, size, grid)))
        self.size = size
        self.steps = grid[0]

    def forward(self, frames: Tensor, hidden: Tensor) -> Reconstruction:
        """`hidden`: bool `(B, patches of a frame)`, as many in every clip; a tube: the same places in every frame."""
        hidden = hidden.repeat(1, self.steps)
        seen = self.network.videomae(self.normal(frames), bool_masked_pos=hidden).last_hidden_state
        cubes: Tensor = self.network.decoder(seen, hidden)
        targets = normalised(to_cubes(frames / 255, self.size)).flatten(2)[hidden].reshape(cubes.shape)
        return Reconstruction((cubes - targets).square().mean(), cubes)


class EncoderDecoder(nn.Module):
    """Under the names and with the configuration by which transformers finds the encoder in a checkpoint."""

    def __init__(self, videomae: Any, decoder: "CubeDecoder") -> None:
        super().__init__()
        self.videomae = videomae
        self.decoder = decoder
        self.config = videomae.config


class CubeDecoder(nn.Module):
    """Hidden cubes ask the seen ones what they hold, and only these (Fu et al. 2024, CrossMAE).

    In VideoMAE's own decoder all attend to all, nine in ten of which know nothing; a small network that starts there
    says each cube's mean for thousands of steps. Queries and keys begin alike (Trockman & Kolter 2023), so that what is
    near is asked first.
    """

    positions: Tensor

    def __init__(self, config: DecoderSize, size: VideoMAESize, grid: tuple[int, int, int]) -> None:
        super().__init__()
        self.width = config.width
        self.norm = nn.LayerNorm(size.width)
        self.narrow = nn.Linear(size.width, config.width)
        self.unknown = nn.Parameter(torch.zeros(config.width))
        layers = [AskingLayer(config.width, config.heads) for _ in range(config.layers)]
        self.layers = nn.ModuleList(layers)
        self.say = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 3 * size.tubelet * size.patch**2))
        xavier(self)
        for layer in layers:
            layer.look_near()
        self.register_buffer("positions", _positions(grid, config.width), persistent=False)

    def forward(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """`seen` `(B, seen cubes, width)`, `hidden` bool `(B, cubes)` -> `(B, hidden cubes, values of a cube)`."""
        count = len(hidden)
        places = self.positions.expand(count, -1, -1)
        known = self.narrow(self.norm(seen))
        there = known + places[~hidden].reshape(known.shape)
        x = self.unknown + places[hidden].reshape(count, -1, self.width)
        for layer in self.layers:
            x = layer(x, there, known)
        said: Tensor = self.say(x)
        return said


class AskingLayer(nn.Module):
    """Attention from one set of tokens to another, then a perceptron: a transformer's layer, normalised before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    @torch.no_grad()
    def look_near(self) -> None:
        """Let each head compare places, in a random subspace of its own."""
        width = self.query.in_features
        size = width // self.heads
        for head in range(self.heads):
            rows = slice(head * size, (head + 1) * size)
            own = nn.init.orthogonal_(torch.empty(size, width), (_NEAR * width / size) ** 0.5)
            self.query.weight[rows], self.key.weight[rows] = own, own

    def forward(self, x: Tensor, there: Tensor, known: Tensor) -> Tensor:
        """`x` `(B, N, width)`; `there`, `known` `(B, M, width)`: what is asked, with its place and without."""
        query, key, value = self.query(self.norms[0](x)), self.key(there), self.value(known)
        query, key, value = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        read = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.out(read)
        said: Tensor = x + self.perceptron(self.norms[1](x))
        return said


def _positions(grid: tuple[int, int, int], width: int) -> Tensor:
    """Sines and cosines of time, row and column, a third of the width each: `(cubes, width)`."""
    places = torch.cartesian_prod(*(torch.arange(length, dtype=torch.float32) for length in grid))
    waves = _LONGEST ** -torch.linspace(0, 1, width // 6 + 1)[:-1]
    turns = places[:, :, None] * waves
    return torch.cat([turns.sin(), turns.cos()], 2).flatten(1)


def to_cubes(frames: Tensor, size: VideoMAESize) -> Tensor:
    """Float `(B, T, 3, H, W)` -> `(B, cubes, tubelet * patch * patch, 3)`, cubes by time, row and column."""
    b, t, c, h, w = frames.shape
    p, q = size.patch, size.tubelet
    cut = frames.reshape(b, t // q, q, c, h // p, p, w // p, p)
    return cut.permute(0, 1, 4, 6, 2, 5, 7, 3).reshape(b, -1, q * p * p, c)


def from_cubes(cubes: Tensor, size: VideoMAESize, height: int, width: int) -> Tensor:
    """The inverse of `to_cubes`."""
    b, c = cubes.shape[0], cubes.shape[-1]
    p, q = size.patch, size.tubelet
    cut = cubes.reshape(b, -1, height // p, width // p, q, p, p, c)
    return cut.permute(0, 1, 4, 7, 2, 5, 3, 6).reshape(b, -1, c, height, width)


def normalised(cubes: Tensor, least: float = _EPSILON) -> Tensor:
    """Each cube less its mean, by its deviation and `least`; channel by channel."""
    return (cubes - cubes.mean(2, keepdim=True)) / (cubes.var(2, keepdim=True).sqrt() + least)
