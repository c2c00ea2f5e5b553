"""The table of linear probes: what a stage knows shows in it, and what was held out stays out."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from students import LABELS, small_student
from tiny_run import write_clips

from edgevid_train.checkpoint import Checkpoint, CheckpointInfo, SplitInfo
from edgevid_train.recipe import Recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "probes.py"


def checkpoint(folder: Path, held_out: tuple[str, ...]) -> Path:
    student = small_student(height=32, width=32)
    split = SplitInfo(name="x", train_clips=1, val_clips=1, train_groups=("a",), val_groups=held_out)
    info = CheckpointInfo(kind="student", labels=LABELS, weights_from="none", split=split)
    Checkpoint(student, Recipe(name="small", student=student.config), info).write(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("probed"), ["left", "right", "other"] * 8, per_group=3)


def probes(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # its neighbour ending.py
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, args)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_what_a_stage_knows_of_held_out_clips(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = checkpoint(tmp_path / "run" / "student" / "last", ("scene0", "scene3", "scene6")).parents[1]
    probes(monkeypatch, run, data, "--grid", 2, "--parts", 2, "--json", tmp_path / "p.json")
    rows = json.loads((tmp_path / "p.json").read_text())
    assert [row["stage"] for row in rows] == ["stage 1", "stage 2", "stage 3", "stage 4", "memory"]
    assert {probe["n"] for row in rows for probe in row["probes"].values()} == {9}  # what was held out, no more
    costs = [row["macs"] for row in rows]
    assert costs[:4] == sorted(set(costs[:4]))
    assert rows[0]["probes"]["parts"]["hits"] >= 7  # where a white square was first and where later
    out = capsys.readouterr().out
    assert "| stage 1 | 8x16x16 |" in out
    assert "groups that neither has seen, 9 clips" in out


def test_a_student_that_has_seen_everything_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probes(monkeypatch, checkpoint(tmp_path / "all", ()), data)
    out = capsys.readouterr().out
    assert "the student was trained on all of them" in out


def test_other_data_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in (checkpoint(tmp_path / "elsewhere", ("kitchen",)), tmp_path / "no"):
        with pytest.raises(SystemExit) as ended:
            probes(monkeypatch, run, data)
        assert ended.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_parts_of_a_clip_shorter_than_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    pooled = runpy.run_path(str(SCRIPT))["pooled"]
    steps = np.array([[1.0], [3.0]], np.float32)
    assert {name: values.tolist() for name, values in pooled(steps, 3).items()} == {
        "last": [3.0],
        "mean": [2.0],
        "parts": [1.0, 3.0, 3.0],
    }
