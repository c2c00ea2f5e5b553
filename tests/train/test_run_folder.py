"""A run's folder and another run that wants it: who is refused, what is left behind, and where no lock can be had."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import started
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import distill, tiny_recipe

from edgevid.errors import InputError
from edgevid_train.runs.folder import LOCK, run_folder
from edgevid_train.runs.request import RECIPE as RECIPE_FILE
from edgevid_train.runs.request import RUN, RunRequest

GOING_ON = rf"a run is going on in it, process {os.getpid()} on \S+; wait for it, stop it, or choose another --out"


def quiet(line: str) -> None:
    pytest.fail(line)


@pytest.mark.parametrize("other", [".", "sweep-1-a/seed-0", "fold-1", "..", "../.."])
def test_no_second_run_in_it_above_it_or_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    out = tmp_path / "a" / "b" / "out"
    with run_folder(out, force=False, say=quiet):
        # Of this process' own folders those below one another are a sweep's: another process is what is meant.
        monkeypatch.setattr("edgevid_train.runs.folder._own", set())
        with pytest.raises(InputError, match=GOING_ON) as caught, run_folder(out / other, force=True, say=quiet):
            pass
        assert str(caught.value).startswith(str(out))
        assert [path.name for path in out.iterdir()] == [LOCK]


def test_a_sweep_holds_the_folders_of_its_runs_too(tmp_path: Path) -> None:
    with run_folder(tmp_path, force=True, say=quiet), run_folder(tmp_path / "s" / "seed-0", force=True, say=quiet):
        pass
    assert list(tmp_path.iterdir()) == []


def test_folders_side_by_side_are_free(tmp_path: Path) -> None:
    with run_folder(tmp_path / "a", force=False, say=quiet), run_folder(tmp_path / "b", force=False, say=quiet):
        assert [(tmp_path / name / LOCK).is_file() for name in "ab"] == [True, True]
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200))
def test_whatever_a_lock_says_the_message_is_one_line(tmp_path_factory: pytest.TempPathFactory, said: bytes) -> None:
    out = tmp_path_factory.mktemp("out")
    (out / LOCK).write_bytes(said)
    with (out / LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(InputError, match="a run is going on in it, ") as caught,
            run_folder(out, force=True, say=quiet),
        ):
            pass
    assert str(caught.value).isprintable()


def test_what_was_made_and_not_used_is_gone(tmp_path: Path) -> None:
    with run_folder(tmp_path / "runs" / "a", force=False, say=quiet):
        assert (tmp_path / "runs" / "a").is_dir()
    assert not (tmp_path / "runs").exists()
    (tmp_path / "mine").mkdir()
    with run_folder(tmp_path / "mine", force=False, say=quiet):
        (tmp_path / "mine" / "run.json").touch()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["run.json"]
    with pytest.raises(InputError, match="exists; give --force"), run_folder(tmp_path / "mine", force=False, say=quiet):
        pass
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["run.json"]


def test_a_lock_that_a_killed_run_left_is_none(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("1 elsewhere\n")
    with run_folder(tmp_path, force=False, say=quiet):
        assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} ")


def test_where_no_lock_can_be_had_a_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    said: list[str] = []
    with run_folder(tmp_path / "out", force=False, say=said.append):
        pass
    assert said == [
        f"warning: {tmp_path / 'out'} cannot be locked (No locks available): see to it that no other run writes there"
    ]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(InputError, match=r"cannot write \S+/file/out: \S+/file is not a folder")
    with refused, run_folder(tmp_path / "file" / "out", force=True, say=quiet):
        pass
    with (
        pytest.raises(InputError, match="file is a file; a run needs a folder of its own"),
        run_folder(tmp_path / "file", force=False, say=quiet),
    ):
        pass


def until(true: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    end_s = time.monotonic() + 300
    while not true():
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_two_processes_and_one_that_is_killed(tmp_path: Path, clips: Path) -> None:
    """One process resumes a run, and waits for its table, which is a pipe; this one wants the same folder."""
    table, out = tmp_path / "table.csv", tmp_path / "run"
    out.mkdir()
    alone = {"distill": {"response": 0.0, "feature": 0.0}, "optim": {"epochs": 1}}
    request = RunRequest(data=table, format="clips", all=True)
    (out / RUN).write_text(request.model_dump_json())
    (out / RECIPE_FILE).write_text(tiny_recipe(**alone).to_toml())
    os.mkfifo(table)
    resume = [sys.executable, "-m", "edgevid", "train-distill", "--device", "cpu", "--resume", "--out", str(out)]
    with (tmp_path / "said").open("w") as said, started(resume, stdout=said, stderr=said) as first:
        until(lambda: (out / LOCK).is_file() and (out / LOCK).read_text().endswith("\n"), first)
        again = ("--recipe", out / RECIPE_FILE, "--data", clips, "--out", out, "--all", "--force")
        for words in (("--resume", "--out", out), again):
            assert first.poll() is None, (tmp_path / "said").read_text()  # or this process would wait for the pipe
            ran = distill(*words)
            assert ran.status == 2
            assert ran.err.startswith(f"{out}: a run is going on in it, process {first.pid} on ")
            assert ran.err.count("\n") == 1
        first.kill()
    assert (out / LOCK).exists()
    table.unlink()
    rows = (clips / "clips.csv").read_text().splitlines()
    table.write_text("\n".join([rows[0], *rows[1:7]]))
    for row in rows[1:7]:
        video = row.partition(",")[0]
        (tmp_path / video).symlink_to(clips / video)
    ran = distill("--resume", "--out", out)
    assert ran.status == 0, ran.err
    assert not (out / LOCK).exists()
