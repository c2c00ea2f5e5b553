"""Networks that others build: transformers', torchvision's and pytorchvideo's, for our labels, frames and input size.

Every library is imported where it is used, so that the table of teachers can be read without any of them.
"""

from importlib import import_module
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from edgevid.errors import InputError
from edgevid.manifest import InputSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

SLOW_EVERY = 4
"""SlowFast's alpha: its slow pathway takes every fourth of the frames."""


def from_transformers(kind: str, labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    """transformers' classifier of this model type in its published size, with random weights."""
    from transformers import AutoConfig, AutoModelForVideoClassification

    side, count = SIZE_NAMES[kind]
    config = AutoConfig.for_model(kind, **{side: spec.height, count: frames, "num_labels": labels})
    network: nn.Module = AutoModelForVideoClassification.from_config(config)
    return network


SIZE_NAMES = {
    "videomae": ("image_size", "num_frames"),
    "timesformer": ("image_size", "num_frames"),
    "vivit": ("image_size", "num_frames"),
    "vjepa2": ("crop_size", "frames_per_clip"),
}
"""What the configurations of transformers call the side of the picture and the number of frames."""


def r2plus1d(labels: int, spec: InputSpec, frames: int) -> "nn.Module":  # noqa: ARG001
    from torchvision.models.video import r2plus1d_18

    network: nn.Module = r2plus1d_18(num_classes=labels)
    return network


def mvit(labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    """MViTv2-S. torchvision's own function builds it for 16 frames of 224x224 only: its positions have that size."""
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    heads = (1, 2, 2, *[4] * 11, 8, 8)  # of 96 channels each; where they double, the picture is halved
    blocks = [
        MSBlockConfig(
            num_heads=now,
            input_channels=96 * before,
            output_channels=96 * now,
            kernel_q=[3, 3, 3],
            kernel_kv=[3, 3, 3],
            stride_q=[1, now // before, now // before],
            stride_kv=[1, 8 // now, 8 // now],
        )
        for before, now in pairwise((1, *heads))
    ]
    network: nn.Module = MViT(
        (spec.height, spec.width),
        frames,
        blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        stochastic_depth_prob=0.2,
        num_classes=labels,
    )
    return network


def swin3d(labels: int, spec: InputSpec, frames: int) -> "nn.Module":  # noqa: ARG001
    from torchvision.models.video import swin3d_t

    network: nn.Module = swin3d_t(num_classes=labels)
    return network


def s3d(labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    """S3D. Its last pooling needs 16 frames of 224x224; what is less is averaged as a whole."""
    from torch import nn
    from torchvision.models.video import s3d

    network: nn.Module = s3d(num_classes=labels)
    if min(spec.height, spec.width) < 224 or frames < 16:
        network.avgpool = nn.AdaptiveAvgPool3d(1)
    return network


def i3d(labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    """I3D-R50. Its head pools what is left of the clip: half the frames, and 1/32 of the picture."""
    pool = (max(1, frames // 2), *_map_of(spec))
    network: nn.Module = _pytorchvideo("hub").i3d_r50(model_num_class=labels, head_pool_kernel_size=pool)
    return network


def slowfast(labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    if frames % SLOW_EVERY:
        raise InputError(f"a slowfast teacher takes a multiple of {SLOW_EVERY} frames, not {frames}")
    left = _map_of(spec)
    pools = ((frames // SLOW_EVERY, *left), (frames, *left))
    network: nn.Module = _pytorchvideo("hub").slowfast_r50(model_num_class=labels, head_pool_kernel_sizes=pools)
    return network


def x3d(labels: int, spec: InputSpec, frames: int) -> "nn.Module":
    """X3D-S, without the softmax that pytorchvideo puts behind its logits."""
    if spec.height != spec.width:
        raise InputError(f"an x3d teacher takes a square, not {spec.width}x{spec.height}")
    network: nn.Module = _pytorchvideo("x3d").create_x3d(
        input_clip_length=frames, input_crop_size=spec.height, model_num_class=labels, head_activation=None
    )
    return network


def frames_first(frames: "Tensor") -> "Tensor":
    """`(B, T, 3, H, W)`, as the transformers take it."""
    return frames


def channels_first(frames: "Tensor") -> "Tensor":
    """`(B, T, 3, H, W)` -> `(B, 3, T, H, W)`, as convolutions over time take it."""
    return frames.transpose(1, 2)


def two_pathways(frames: "Tensor") -> "list[Tensor]":
    """The slow pathway's frames, spread over the clip as pytorchvideo spreads them, and all of them for the fast."""
    import torch

    count = frames.shape[1]
    slow = torch.linspace(0, count - 1, count // SLOW_EVERY, device=frames.device).long()
    return [channels_first(frames[:, slow]), channels_first(frames)]


def _map_of(spec: InputSpec) -> tuple[int, int]:
    return ceil(spec.height / 32), ceil(spec.width / 32)


def _pytorchvideo(module: str) -> Any:
    """`pytorchvideo.models.MODULE`. Raises InputError where it is not installed."""
    try:
        return import_module(f"pytorchvideo.models.{module}")
    except ModuleNotFoundError as error:
        raise InputError(f"this teacher needs {error.name}: pip install 'edgevid[pytorchvideo]'") from None
