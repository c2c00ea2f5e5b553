"""Where a transformer's answer was read from: attention rollout over the teachers that attend from token to token.

What a place has is more than an even share of the answer: a network that attends to everything alike has no such place.
It is the answer as a whole that is asked for: attention says where a network looked, not what spoke for a label.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevid_train.evaluate.looks import Maps
from edgevid_train.evaluate.looks.resize import resized
from edgevid_train.evaluate.looks.rollout import Layer, among_all, over_places, over_time
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.tokens import GRIDDED, TokenGrid

_LEAST = 0.01
"""What is above an even share by less than this is not made brighter: it may be rounding."""


def attention(teacher: nn.Module, ask: Callable[[], object], frames: int) -> Maps | None:
    """Of each of `frames` frames; None of what does not attend from token to token.

    MViT and Swin3D do not: they pool or shift their tokens between layers, and the same token is then none.
    `ask` runs the teacher, which is in evaluation mode, on one clip.
    """
    if not isinstance(teacher, PublishedTeacher) or teacher.config.kind not in GRIDDED:
        return None
    layers: list[Layer] = []
    read: list[Tensor] = []
    with torch.no_grad(), _eager(teacher.network), ExitStack() as hooks:
        for module, layer in _attending(teacher.config.kind, teacher.network):
            keep = _keeping(layers, layer)
            hooks.callback(module.register_forward_hook(keep).remove)
        if teacher.config.kind == "vjepa2":
            reader = teacher.network.pooler.cross_attention_layer.cross_attn
            hooks.callback(reader.register_forward_hook(lambda _, __, out: read.append(_of_heads(out)[0, 0])).remove)
        ask()
    grid = TokenGrid.of(teacher.config, teacher.network)
    shares = read[0] if read else _read(teacher.network, grid).to(teacher.mean.device)
    for back in reversed(layers):
        shares = back(shares)
    placed = grid.maps(shares[None, :, None])[0, 0]
    above = resized(placed / placed.mean() - 1, (frames, grid.rows, grid.columns)).relu()
    return np.asarray((above / above.max().clamp(min=_LEAST)).cpu().numpy(), np.float32)


def _attending(kind: str, network: Any) -> list[tuple[nn.Module, Callable[[Tensor], Layer]]]:
    """The modules that give attention as their output or its second part, each with what it is among."""
    if kind == "videomae":
        return [(layer.attention.attention, _among_all) for layer in network.videomae.encoder.layer]
    if kind == "vivit":
        return [(layer.attention, _among_all) for layer in network.vivit.layers]
    if kind == "vjepa2":
        encoder = [(layer.attention, _among_all) for layer in network.vjepa2.encoder.layer]
        return encoder + [(layer.self_attn, _among_all) for layer in network.pooler.self_attention_layers]
    # its output_attentions leaves attention over time out; both go through these, which do nothing in evaluation
    return [
        part
        for layer in network.timesformer.encoder.layer
        for part in (
            (layer.temporal_attention.attention.attn_drop, over_time),
            (layer.attention.attention.attn_drop, over_places),
        )
    ]


def _among_all(of_clips: Tensor) -> Layer:
    return among_all(of_clips[0])


def _keeping(layers: list[Layer], layer: Callable[[Tensor], Layer]) -> Callable[..., None]:
    return lambda _, __, output: layers.append(layer(_of_heads(output)))


def _of_heads(output: Any) -> Tensor:
    """`(B, heads, N, M)` -> their mean: what all layers' heads would take together is too much to keep."""
    weights: Tensor = output[1] if isinstance(output, tuple) else output
    return weights.float().mean(1)


def _read(network: Any, grid: TokenGrid) -> Tensor:
    """Shares of the last layer's tokens in an answer: all alike, or the class token alone, which stands first."""
    if getattr(network, "fc_norm", None) is not None:
        return torch.full((grid.total,), 1 / grid.total)
    with_class = grid.total + (0 if hasattr(network, "fc_norm") else 1)
    return torch.eye(1, with_class)[0]


@contextmanager
def _eager(network: Any) -> Iterator[None]:
    """What attends in one fused step has no attention to show."""
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)
