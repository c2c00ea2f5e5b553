"""A small checkpoint, a small video, and what is exported from the one, made once for all tests here."""

from pathlib import Path

import pytest
import torch
from students import moving_pictures, small_student, write_checkpoint
from videos import write_video

from edgevid_deploy.export import export


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    student = small_student(height=64, width=48, exits=(2, 3))
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", student)


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory) -> Path:
    """Folder with small.onnx and small.clip.onnx of `checkpoint`."""
    out = tmp_path_factory.mktemp("exported")
    export(checkpoint, to="onnx", out=out)
    return out


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """Five seconds, 40 steps of the checkpoint's student, which runs at 8 Hz."""
    return write_video(tmp_path_factory.mktemp("videos") / "moving.mp4", moving_pictures(120, 96, 128), fps=24.0)
