"""Parameters in groups that learn alike: how much they decay, and at which share of the rate."""

import math
import re
from typing import Any

from timm.models import group_parameters
from torch import nn

from edgevid.errors import InputError
from edgevid_train.loop.optim import OptimConfig

_STEM = re.compile(r"\b(?:stem|conv_proj|patch_embed|embeddings|pos_encoding)\b")
_LAYER = re.compile(r"\b(?:stages|blocks|layers?|features)\.?(\d+)\.")
"""Where in a backbone a parameter stands, by its name; what has no such name, as a last norm, stands with the head."""


def parameter_groups(task: nn.Module, optim: OptimConfig, backbone: tuple[str, ...]) -> list[dict[str, Any]]:
    """Trained parameters by what they get: weight decay for matrices and filters only, a smaller rate the backbone.

    `backbone`: beginnings of the names of what came from elsewhere. With `optim.layer_decay` each of its layers has
    that share of the rate of the layer after it (Bao et al. 2022, BEiT).

    Raises:
        InputError: a decay by layer is asked for, and there is no backbone.
    """
    trained = [(name, parameter) for name, parameter in task.named_parameters() if parameter.requires_grad]
    if optim.layer_decay < 1 and not backbone:
        raise InputError("layer_decay is for a backbone that has been trained before; here everything begins anew")
    below = _layers_below_head(task, backbone)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained:
        decay = optim.weight_decay if parameter.ndim > 1 else 0.0
        share = optim.layer_decay ** below[name] * (optim.backbone_lr if name.startswith(backbone) else 1.0)
        groups.setdefault((decay, share), []).append(parameter)
    return [{"params": found, "weight_decay": decay, "share": share} for (decay, share), found in groups.items()]


def _layers_below_head(task: nn.Module, backbone: tuple[str, ...]) -> dict[str, int]:
    """For each parameter how many layers below the head it stands: 0 in the head, 1 in the backbone's last layer."""

    def place(name: str) -> float:
        layer = _LAYER.search(name) if name.startswith(backbone) else None
        if name.startswith(backbone) and _STEM.search(name):
            return -1
        return float(layer[1]) if layer else math.inf

    layers = group_parameters(task, place, reverse=True)
    return {name: max(layers.values()) - layer for name, layer in layers.items()}
