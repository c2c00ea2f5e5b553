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


@dataclass
class Carry:
    """Shared by all temporal modules of one network.

    `frames`: T of the clip graph; None while the stream graph runs. `old` and `new`: state tensors by name.
    """

    frames: int | None = None
    old: Mapping[str, Tensor] = field(default_factory=dict)
    new: dict[str, Tensor] = field(default_factory=dict)

    def clip(self, frames: int) -> None:
        self.frames, self.old, self.new = frames, {}, {}

    def stream(self, state: Mapping[str, Tensor]) -> None:
        self.frames, self.old, self.new = None, state, {}

    def release(self) -> dict[str, Tensor]:
        """The new state; afterwards no tensor is held here."""
        new, self.old, self.new = self.new, {}, {}
        return new


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
        frames = self.carry.frames
        if frames is None:
            before = self.past()
            self.keep(moving)
        else:
            clips = _per_clip(moving, frames)
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
        frames, n = self.carry.frames, self.moved
        if frames is None:
            raise RuntimeError("a network that looks ahead cannot take one frame at a time")
        before, after = _per_clip(x[:, :n], frames), _per_clip(x[:, n : 2 * n], frames)
        nothing = torch.zeros_like(before[:, :1])
        before = torch.cat([nothing, before[:, :-1]], 1).flatten(0, 1)
        after = torch.cat([after[:, 1:], nothing], 1).flatten(0, 1)
        return torch.cat([before, after, x[:, 2 * n :]], 1)


class CausalConv(Temporal):
    """Convolution over time that sees the present and `(taps - 1) * dilation` steps of the past.

    Input and output `(B, C, 1, T)`, T = 1 in the stream graph; state `(B, C, 1, (taps - 1) * dilation)`. The memory is
    finite: what lies further back has no influence, so a stream is as right after ten minutes as after ten seconds.
    """

    def __init__(self, carry: Carry, channels: int, dilation: int, taps: int = 3) -> None:
        super().__init__(carry)
        self.reach = (taps - 1) * dilation
        self.conv = nn.Conv2d(channels, channels, (1, taps), dilation=(1, dilation), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.carry.frames is None:
            x = torch.cat([self.past(), x], 3)
            self.keep(x[..., 1:])
        else:
            x = functional.pad(x, (self.reach, 0))
        out: Tensor = self.conv(x)
        return out


class Shifted(nn.Module):
    """A shift in front of the first layer of a residual branch; the shortcut stays unshifted (TSM, residual form)."""

    def __init__(self, shift: Temporal, layer: nn.Module) -> None:
        super().__init__()
        self.shift = shift
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.shift(x))
        return out


def _per_clip(x: Tensor, frames: int) -> Tensor:
    """`(B*T, ...)` -> `(B, T, ...)`."""
    return x.reshape(-1, frames, *x.shape[1:])


def name_states(modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Give every temporal module its state's name: its place in the network, as an identifier Core ML accepts."""
    for name, module in modules:
        if isinstance(module, Temporal):
            module.state_name = name.replace(".", "_").removesuffix("_shift")
