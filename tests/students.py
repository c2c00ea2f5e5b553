"""Small students that nobody trained, checkpoints of them, and pictures to show them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgevid.frame import Pixels
from edgevid.manifest import InputSpec
from edgevid_train.checkpoint import Checkpoint, CheckpointInfo, SplitInfo
from edgevid_train.models.student import Student, StudentConfig
from edgevid_train.recipe import AboutConfig, Recipe

LABELS = ("left", "right", "tick", "circle", "other")


def small_student(backbone: str = "mobilenetv2_050", *, height: int = 64, width: int = 64, **changes: Any) -> Student:
    """In evaluation mode; `changes` are a StudentConfig's fields.

    Its batch norms do something: fresh ones are the identity and would hide errors of folding them.
    """
    torch.manual_seed(7)
    options = {"exits": (2, 3, 4), "points": 4, "size": 16, "dilations": (1, 2)} | changes
    spec = InputSpec(height=height, width=width)
    student = Student(StudentConfig(backbone=backbone, weights="none", input=spec, **options), len(LABELS))
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.1)
    return student.eval()


NO_SPLIT = SplitInfo(name="none", train_clips=0, val_clips=0, train_groups=(), val_groups=())


def write_checkpoint(folder: Path, student: Student, name: str = "small", split: SplitInfo = NO_SPLIT) -> Path:
    """As training leaves it."""
    info = CheckpointInfo(kind="student", labels=LABELS, weights_from=student.weights_from, split=split)
    about = AboutConfig(data="nothing: untrained", licences="MIT")
    Checkpoint(student, Recipe(name=name, about=about, student=student.config), info).write(folder)
    return folder


def moving_pictures(count: int, height: int, width: int, seed: int = 3) -> list[Pixels]:
    """uint8 `(height, width, 3)` each: coloured patches that drift by two pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 8), (width + 2 * count) // 8 + 1, 3), np.uint8)
    wide = coarse.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(wide[:height, 2 * i : 2 * i + width]) for i in range(count)]
