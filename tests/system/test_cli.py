"""The command line as a whole: which commands there are, what it costs to ask, how errors become one line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from edgevid import __version__, cli
from edgevid.errors import CheckFailedError, InputError


def edgevid(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevid", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell")
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_nobody_listens(tmp_path: Path, redirection: str) -> None:
    told = tmp_path / "models.json"
    line = f'"{sys.executable}" -m edgevid models list --json "{told}" {redirection}'
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=300, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert told.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path) -> None:
    told = tmp_path / "models.json"
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "edgevid", "models", "list", "--json", told],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr == "edgevid: cannot write to standard output: No space left on device\n"
    assert told.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use is not removed there")
def test_the_folder_it_runs_in_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.run(["models", "list", "--json", "a.json"]) == 2
    assert "the folder that this runs in is gone" in capsys.readouterr().err


def test_help_lists_the_commands_of_all_three_packages() -> None:
    ran = edgevid("--help")
    assert ran.returncode == 0
    for command in ("live", "detect", "classify", "models", "bench", "train-distill", "evaluate", "export", "verify"):
        assert f" {command} " in ran.stdout
    assert ran.stderr == ""


def test_the_version_and_no_arguments() -> None:
    assert edgevid("--version").stdout == f"edgevid {__version__}\n"
    ran = edgevid()
    assert " live " in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_assembling_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys; from edgevid.cli import build; build(); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "edgevid.commands.live" in loaded
    assert not loaded & {"torch", "timm", "transformers", "coremltools", "onnx", "onnxruntime", "av", "cv2", "rich"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leve"], "No such command 'leve'"),
        (["live", "--camera", "x"], "--camera"),
        (["live", "--bogus"], "No such option: --bogus"),
        (["live", "--pace", "slow"], "--pace"),
        (["live", "--source"], "--source"),
        (["detect"], "Missing argument"),
        (["live", "--threads", "0"], "--threads"),
        (["live", "--source", ""], "an argument is empty: is a variable not set?"),
        (["live", "--source="], "an argument is empty: is a variable not set?"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("edgevid: ")
    assert said.err.count("\n") == 1
    assert message in said.err


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["detect", LONG, "a.mp4"],
        ["classify", LONG],
        ["live", "--source", LONG, "--no-window"],
        ["live", "--source", "demo", "--no-window", "--events", LONG],
        ["models", "show", f"{LONG}.onnx"],
        ["bench", LONG],
        ["data", "stats", LONG],
        ["data", "index", LONG],
        ["data", "prepare", LONG, "--out", "out"],
        ["data", "shards", LONG, "--out", "out"],
        ["data", "review", LONG, "--out", "out"],
        ["data", "synthesize", "--out", "out", "--backgrounds", LONG],
        ["evaluate", LONG, "."],
        ["evaluate", "air-gesture", LONG],
        ["calibrate", "air-gesture", LONG, "--out", "out.onnx"],
        ["fit-events", "air-gesture", LONG, "--out", "out.onnx"],
        ["train-distill", "--recipe", LONG, "--data", ".", "--out", "out"],
        ["train-distill", "--recipe", "air-gesture", "--data", LONG, "--out", "out"],
        ["train-distill", "--recipe", "air-gesture", "--data", ".", "--out", LONG],
        ["train-teacher", "--recipe", "air-gesture", "--data", ".", "--out", "out", "--init", LONG],
        ["pretrain", "--recipe", "air-gesture-videomae", "--data", LONG, "--out", "out"],
        ["export", LONG, "--to", "onnx", "--out", "out"],
        ["verify", f"{LONG}.onnx", "--against", "air-gesture"],
        ["verify", "air-gesture", "--against", LONG],
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("edgevid: ") for line in said)
    assert 1 <= len(said) <= 2
    assert not list(tmp_path.iterdir())


def app_that_raises(error: BaseException, module: str = "edgevid.commands.test") -> typer.Typer:
    """A command line of one command, which belongs to `module` and fails."""
    namespace: dict[str, Any] = {"error": error, "__name__": module}
    exec("def fail():\n    raise error", namespace)
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command("fail")(namespace["fail"])
    return app


@pytest.mark.parametrize(
    ("error", "module", "status", "said"),
    [
        (InputError("no such thing: x"), "edgevid.commands.test", 2, "edgevid: no such thing: x\n"),
        (CheckFailedError("it drifts"), "edgevid_deploy.commands", 1, "edgevid: it drifts\n"),
        (KeyboardInterrupt(), "edgevid.commands.test", 130, "edgevid: interrupted\n"),
        (typer.Exit(130), "edgevid.commands.test", 130, ""),
        (typer.Exit(1), "edgevid.commands.test", 1, ""),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "edgevid_train.commands",
            2,
            "edgevid: this command needs torch: pip install 'edgevid[train]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"),
            "edgevid_deploy.commands",
            2,
            "edgevid: this command needs torch: pip install 'edgevid[deploy]'\n",
        ),
    ],
)
def test_every_way_to_fail_has_its_status(
    error: BaseException,
    module: str,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "build", lambda: app_that_raises(error, module))
    assert cli.run(["fail"]) == status
    assert capsys.readouterr().err == said


def test_a_module_of_our_own_that_is_missing_is_a_fault_not_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModuleNotFoundError("No module named 'edgevid.oops'", name="edgevid.oops")
    monkeypatch.setattr(cli, "build", lambda: app_that_raises(error))
    with pytest.raises(ModuleNotFoundError):
        cli.run(["fail"])
