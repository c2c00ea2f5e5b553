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
def package(checkpoint, tmp_path_factory) -> Path:
    """small.mlpackage of `checkpoint`, as it is made unless something else is asked for: in fp16."""
    return _package(checkpoint, tmp_path_factory.mktemp("coreml"))


@pytest.fixture(scope="session")
def whole_package(checkpoint, tmp_path_factory) -> Path:
    """The same in fp32."""
    return _package(checkpoint, tmp_path_factory.mktemp("whole"), precision="fp32")


def _package(checkpoint: Path, out: Path, **options) -> Path:
    pytest.importorskip("coremltools", reason="needs coremltools, which has no wheel for every Python")
    (made,) = export(checkpoint, to="coreml", out=out, **options)
    assert made.precision == options.get("precision", "fp16")
    assert made.bytes == sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    return out / "small.mlpackage"


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """Five seconds, 40 steps of the checkpoint's student, which runs at 8 Hz."""
    return write_video(tmp_path_factory.mktemp("videos") / "moving.mp4", moving_pictures(120, 96, 128), fps=24.0)
