"""What makes a two-dimensional network temporal, in two graphs from the same weights.

Every temporal module computes the same thing in two ways. In the *clip* graph it sees all T frames of a clip at once,
before the first of which the past is zero; in the *stream* graph it sees one frame and a state that holds what it needs
of the past, zero at the start. The `Carry` of a network says which of the two runs and passes the state, so that the
layers between (a timm backbone, say) need not know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = 3
"""Of a causal convolution."""


@dataclass
class Carry:
    """Shared by all temporal modules of one network.

    `frames`: T of the clip graph; None while the stream graph runs. `old` and `new`: state tensors by name.

    `eyes`: K, how many exits the memory answers at once; they stand one after the other in its batch. `deciding`: which
    of them decided each step of a clip, int64 `(B, T)`: of a step the memory keeps what that exit saw. None: the last.
    """

    frames: int | None = None
    eyes: int = 1
    deciding: Tensor | None = None
    old: Mapping[str, Tensor] = field(default_factory=dict)
    new: dict[str, Tensor] = field(default_factory=dict)

    def clip(self, frames: int, deciding: Tensor | None = None) -> None:
        self.frames, self.deciding, self.old, self.new = frames, deciding, {}, {}

    def by_clip(self, x: Tensor) -> Tensor:
        """`(B*T, ...)` -> `(B, T, ...)`. Raises RuntimeError in the stream graph, where nobody can look ahead."""
        if self.frames is None:
            raise RuntimeError("a network that looks ahead cannot take one frame at a time")
        return x.reshape(-1, self.frames, *x.shape[1:])

    def stream(self, state: Mapping[str, Tensor]) -> None:
        self.frames, self.deciding, self.old, self.new = None, None, state, {}

    def release(self) -> dict[str, Tensor]:
        """The new state; afterwards no tensor is held here."""
        new, self.deciding, self.old, self.new = self.new, None, {}, {}
        return new

    def kept(self, x: Tensor) -> Tensor:
        """Of `(K*B, C, 1, T)` what the memory keeps: `(B, C, 1, T)`."""
        batch = len(x) // self.eyes
        if self.deciding is None:
            return x[-batch:]
        by_eye = x.reshape(self.eyes, batch, *x.shape[1:])
        index = self.deciding[None, :, None, None].expand(1, *by_eye.shape[1:])
        chosen: Tensor = by_eye.gather(0, index)[0]
        return chosen


class Temporal(nn.Module):
    """A module that looks at the past. `state_name` is set by the network that owns it."""

    def __init__(self, carry: Carry) -> None:
        super().__init__()
        self.carry = carry
        self.state_name = ""

    def past(self) -> Tensor:
        return self.carry.old[self.state_name]

    def keep(self, value: Tensor) -> None:
        self.carry.new[self.state_name] = value


class CausalShift(Temporal):
    """The first `channels // divisor` channels come from the frame before (Lin et al. 2019, TSM, online form).

    Input and output `(B*T, C, H, W)` in the clip graph, `(B, C, H, W)` in the stream graph; state `(B, n, H, W)`.
    """

    def __init__(self, carry: Carry, channels: int, divisor: int = 8) -> None:
        super().__init__(carry)
        self.moved = max(1, channels // divisor)

    def forward(self, x: Tensor) -> Tensor:
        moving = x[:, : self.moved]
        if self.carry.frames is None:
            before = self.past()
            self.keep(moving)
        else:
            clips = self.carry.by_clip(moving)
            before = torch.cat([torch.zeros_like(clips[:, :1]), clips[:, :-1]], 1).flatten(0, 1)
        return torch.cat([before, x[:, self.moved :]], 1)


class BothWaysShift(Temporal):
    """TSM's offline form, for teachers: as many channels come from the frame after as from the one before.

    Needs the whole clip; it has no stream graph. `(B*T, C, H, W)` -> the same shape.
    """

    def __init__(self, carry: Carry, channels: int, divisor: int = 8) -> None:
        super().__init__(carry)
        self.moved = max(1, channels // divisor)

    def forward(self, x: Tensor) -> Tensor:
        n = self.moved
        before, after = self.carry.by_clip(x[:, :n]), self.carry.by_clip(x[:, n : 2 * n])
        nothing = torch.zeros_like(before[:, :1])
        before = torch.cat([nothing, before[:, :-1]], 1).flatten(0, 1)
        after = torch.cat([after[:, 1:], nothing], 1).flatten(0, 1)
        return torch.cat([before, after, x[:, 2 * n :]], 1)


class CausalConv(nn.Module):
    """Convolution over time that sees the present and two `dilation`s of the past, in the clip graph.

    Input and output `(K*B, C, 1, T)`: K exits' present, each with the one past that the deciding exits left. The memory
    is finite: what lies further back has no influence, so a stream is as right after ten minutes as after ten seconds.
    """

    def __init__(self, carry: Carry, channels: int, dilation: int) -> None:
        super().__init__()
        self.carry = carry
        self.dilation = (1, dilation)
        self.reach = (TAPS - 1) * dilation
        self.conv = nn.Conv2d(channels, channels, (1, TAPS), dilation=(1, dilation), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        past, eyes = functional.pad(self.carry.kept(x), (self.reach, 0))[..., :-1], self.carry.eyes
        if eyes == 1:
            whole: Tensor = self.conv(torch.cat([past, x[..., -1:]], 3))
            return whole
        # the past is the same for every eye, so its taps are computed once
        weight = self.conv.weight
        before = functional.conv2d(past, weight[..., :-1], dilation=self.dilation)[..., : x.shape[3]]
        return functional.conv2d(x, weight[..., -1:], self.conv.bias) + before.repeat(eyes, 1, 1, 1)


class Shifted(nn.Module):
    """A shift in front of the first layer of a residual branch; the shortcut stays unshifted (TSM, residual form)."""

    def __init__(self, shift: Temporal, layer: nn.Module) -> None:
        super().__init__()
        self.shift = shift
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.shift(x))
        return out


def name_states(modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Give every temporal module its state's name: its place in the network, as an identifier Core ML accepts."""
    for name, module in modules:
        if isinstance(module, Temporal):
            module.state_name = name.replace(".", "_").removesuffix("_shift")
