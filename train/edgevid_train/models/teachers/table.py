"""Every kind of teacher: what it was trained with, where its weights are from, what it costs. No torch is needed here.

Parameters and GFLOPs are those with 400 labels at the input the kind expects; a test computes them anew. One
multiply-add counts as one, as in the papers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from edgevid.manifest import InputSpec
from edgevid_train.models.teachers import networks

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]
Library = Literal["timm", "transformers", "torchvision", "pytorchvideo"]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS: tuple[Triple, Triple] = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
FACEBOOK: tuple[Triple, Triple] = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
ZERO_CENTRED: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Takes:
    """The clip a network was trained with. `rate_hz` None: spread evenly over the action."""

    frames: int
    height: int
    width: int
    rate_hz: float | None

    @property
    def input(self) -> InputSpec:
        return InputSpec(height=self.height, width=self.width, fit="stretch" if self.rate_hz is None else "crop")

    def __str__(self) -> str:
        when = "spread" if self.rate_hz is None else f"at {self.rate_hz:g} Hz"
        return f"{self.frames} x {self.width}x{self.height}, {when}"


@dataclass(frozen=True)
class Published:
    """A network that others build and have trained.

    Attributes:
        build: `(labels, input, frames)` -> the network with random weights.
        normal: mean and deviation of pixels in 0..1, by channel.
        arrange: `(B, T, 3, H, W)` -> what the network's forward takes.
        head: module paths of what may be new for other labels; first the classifier, whose input are the features.
        idle: module path of what classifying never runs, if there is such a part; it is not trained.
    """

    library: Library
    build: "Callable[[int, InputSpec, int], nn.Module]"
    normal: tuple[Triple, Triple]
    arrange: Callable[..., Any]
    head: tuple[str, ...]
    idle: str | None = None


@dataclass(frozen=True)
class TeacherKind:
    """One row of the table.

    `source`: hub id, torchvision's name or address of its weights. `published`: None of edgevid's own networks.
    `backbone`, `stages`: of edgevid's own, who builds their backbone, and how many stages of it they read.
    """

    network: str
    takes: Takes
    source: str
    licence: str
    parameters: int
    gflops: float
    published: Published | None = None
    backbone: Library = "timm"
    stages: int = 7

    @property
    def library(self) -> Library:
        return self.backbone if self.published is None else self.published.library


def _transformers(kind: str, normal: tuple[Triple, Triple], *head: str, idle: str | None = None) -> Published:
    build = partial(networks.from_transformers, kind)
    return Published("transformers", build, normal, networks.frames_first, ("classifier", *head), idle)


_OWN = Takes(16, 96, 128, None)
_BACKBONE = ("tf_efficientnet_lite0", "Apache-2.0")
_TORCHVISION = "BSD-3-Clause"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/"

TEACHERS = {
    "tsm": TeacherKind("TSM both ways on a timm backbone (Lin et al. 2019)", _OWN, *_BACKBONE, 5282002, 1.50),
    "cnn-lstm": TeacherKind("timm backbone, LSTM both ways (Donahue et al. 2015)", _OWN, *_BACKBONE, 4347792, 1.44),
    "inflated": TeacherKind(
        "timm backbone inflated over time (Carreira & Zisserman 2017)", _OWN, *_BACKBONE, 3453008, 1.78
    ),
    "videomae": TeacherKind(
        "VideoMAE ViT-B (Tong et al. 2022)",
        Takes(16, 224, 224, 7.5),
        "MCG-NJU/videomae-base-finetuned-kinetics",
        "CC BY-NC 4.0",
        86534800,
        180.3,
        _transformers("videomae", IMAGENET, "fc_norm"),
    ),
    "videomae-looking": TeacherKind(
        "VideoMAE's encoder, read as those of `tsm` are (Tong et al. 2022)",
        Takes(16, 224, 224, 7.5),
        "MCG-NJU/videomae-base-finetuned-kinetics",
        "CC BY-NC 4.0",
        88375250,
        180.5,
        backbone="transformers",
    ),
    "timesformer": TeacherKind(
        "TimeSformer ViT-B (Bertasius et al. 2021)",
        Takes(8, 224, 224, 0.9375),
        "facebook/timesformer-base-finetuned-k400",
        "CC BY-NC 4.0",
        121566352,
        195.8,
        _transformers("timesformer", FACEBOOK),
    ),
    "vivit": TeacherKind(
        "ViViT-B/16x2 (Arnab et al. 2021)",
        Takes(32, 224, 224, 12.5),
        "google/vivit-b-16x2-kinetics400",
        "MIT",
        88954000,
        451.5,
        _transformers("vivit", ZERO_CENTRED),
    ),
    "vjepa2": TeacherKind(
        "V-JEPA 2 ViT-L (Assran et al. 2025)",
        Takes(16, 256, 256, 4.0),
        "facebook/vjepa2-vitl-fpc16-256-ssv2",
        "MIT",
        375717648,
        935.2,
        _transformers("vjepa2", IMAGENET, "pooler", idle="vjepa2.predictor"),
    ),
    "r2plus1d": TeacherKind(
        "R(2+1)D-18 (Tran et al. 2018)",
        Takes(16, 112, 112, 15.0),
        "R2Plus1D_18_Weights.KINETICS400_V1",
        _TORCHVISION,
        31505325,
        40.5,
        Published("torchvision", networks.r2plus1d, KINETICS, networks.channels_first, ("fc",)),
    ),
    "mvit": TeacherKind(
        "MViTv2-S (Li et al. 2022)",
        Takes(16, 224, 224, 7.5),
        "MViT_V2_S_Weights.KINETICS400_V1",
        _TORCHVISION,
        34537744,
        64.2,
        Published("torchvision", networks.mvit, FACEBOOK, networks.channels_first, ("head",)),
    ),
    "swin3d": TeacherKind(
        "Video Swin-T (Liu et al. 2022)",
        Takes(32, 224, 224, 15.0),
        "Swin3D_T_Weights.KINETICS400_V1",
        _TORCHVISION,
        28158070,
        87.8,
        Published("torchvision", networks.swin3d, IMAGENET, networks.channels_first, ("head",)),
    ),
    "s3d": TeacherKind(
        "S3D (Xie et al. 2018)",
        Takes(128, 224, 224, 15.0),
        "S3D_Weights.KINETICS400_V1",
        _TORCHVISION,
        8320048,
        143.8,
        Published("torchvision", networks.s3d, KINETICS, networks.channels_first, ("classifier",)),
    ),
    "i3d": TeacherKind(
        "I3D-R50 8x8 (Carreira & Zisserman 2017)",
        Takes(8, 224, 224, 3.75),
        f"{_PYTORCHVIDEO}I3D_8x8_R50.pyth",
        "Apache-2.0",
        28043472,
        28.4,
        Published("pytorchvideo", networks.i3d, FACEBOOK, networks.channels_first, ("blocks.6.proj",)),
    ),
    "slowfast": TeacherKind(
        "SlowFast-R50 8x8 (Feichtenhofer et al. 2019)",
        Takes(32, 224, 224, 15.0),
        f"{_PYTORCHVIDEO}SLOWFAST_8x8_R50.pyth",
        "Apache-2.0",
        34566488,
        50.3,
        Published("pytorchvideo", networks.slowfast, FACEBOOK, networks.two_pathways, ("blocks.6.proj",)),
    ),
    "x3d": TeacherKind(
        "X3D-S (Feichtenhofer 2020)",
        Takes(13, 160, 160, 5.0),
        f"{_PYTORCHVIDEO}X3D_S.pyth",
        "Apache-2.0",
        3794274,
        1.96,
        Published("pytorchvideo", networks.x3d, FACEBOOK, networks.channels_first, ("blocks.5.proj",)),
    ),
    "x3d-looking": TeacherKind(
        "X3D-S stages, read as those of `tsm` are (Feichtenhofer 2020)",
        _OWN,
        f"{_PYTORCHVIDEO}X3D_S.pyth",
        "Apache-2.0",
        4283716,
        1.21,
        backbone="pytorchvideo",
        stages=4,
    ),
}
"""By the name that `teacher.kind` takes."""

KINDS = (*TEACHERS, "ensemble")


def rows() -> list[dict[str, Any]]:
    """The table as plain values, for `edgevid models list --teachers`."""
    return [
        {
            "kind": kind,
            "network": row.network,
            "parameters": row.parameters,
            "gflops": row.gflops,
            "input": str(row.takes),
            "frames": row.takes.frames,
            "height": row.takes.height,
            "width": row.takes.width,
            "rate_hz": row.takes.rate_hz,
            "library": row.library,
            "weights": row.source,
            "licence": row.licence,
        }
        for kind, row in TEACHERS.items()
    ]
