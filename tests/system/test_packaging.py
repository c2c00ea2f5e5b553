"""What a person gets who installs the wheel: a runtime that runs the demo, and nothing larger than it says."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = {"av", "numpy", "onnxruntime", "opencv-python", "pydantic", "rich", "typer"}


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    if shutil.which("uv"):
        _run("uv", "build", "--wheel", "--quiet", "--out-dir", out, ROOT, cwd=out)
    else:
        _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The folder of programs of a fresh environment in which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment")
    if shutil.which("uv"):
        _run("uv", "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        _run("uv", "pip", "install", "--quiet", "--python", python, wheel, cwd=folder)
    else:
        _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
        _run(folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "venv" / "bin"


def test_wheel_carries_three_packages_recipes_and_assets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "edgevid/cli.py",
        "edgevid_train/commands/__init__.py",
        "edgevid_deploy/commands.py",
        "edgevid/assets/models/air-gesture.onnx",
    ):
        assert needed in names
    assert any(name.startswith("edgevid/assets/demo/") and name.endswith(".mp4") for name in names)
    assert any(name.endswith("air-gesture.toml") for name in names)


def test_installed_wheel_runs_the_demo_without_torch(empty_environment: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    done = _run(
        empty_environment / "edgevid", "live", "--source", "demo", "--no-window", "--pace", "fast",
        "--events", events, "--metrics", tmp_path / "metrics.json", cwd=tmp_path,
    )  # fmt: skip
    kinds = [json.loads(line)["type"] for line in events.read_text().splitlines()]
    assert kinds.count("start") == kinds.count("end") >= 3, done.stdout
    installed = _run(
        empty_environment / "python", "-c",
        "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))", cwd=tmp_path,
    ).stdout.split()  # fmt: skip
    assert "torch" not in installed
    assert "opencv-python-headless" not in installed
    assert set(installed) >= RUNTIME | {"edgevid"}


def test_a_command_whose_extra_is_missing_names_it(empty_environment: Path, tmp_path: Path) -> None:
    for command, extra in (("train-distill", "edgevid[train]"), ("export", "edgevid[deploy]")):
        done = subprocess.run(
            [empty_environment / "edgevid", command, *(["--recipe", "air-gesture", "--data", ".", "--out", "x"]
             if extra.endswith("[train]") else [".", "--to", "onnx", "--out", "x"])],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert extra in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_runtime_asks_for_nothing_larger_than_it_says() -> None:
    requires = importlib.metadata.requires("edgevid") or []
    runtime = {
        r.split(";")[0].split(">")[0].split("<")[0].split("=")[0].strip() for r in requires if "extra ==" not in r
    }
    assert runtime == RUNTIME


def test_nothing_here_brings_the_headless_opencv() -> None:
    """With every extra installed, no distribution asks for the wheel that breaks windows."""
    asking = [
        distribution.name
        for distribution in importlib.metadata.distributions()
        for requirement in distribution.requires or []
        if requirement.lower().startswith("opencv-python-headless") and "extra ==" not in requirement
    ]
    assert asking == []
