"""Ways of training beside each other, and the figure of a choice: from finished runs to what is printed."""

import json
import runpy
from collections.abc import Mapping
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCENES = {"a.mp4": "hall", "b.mp4": "hall", "c.mp4": "yard", "d.mp4": "yard"}


def say(folder: Path, scores: Mapping[str, float]) -> Path:
    """A finished run that gives each clip, all of which are `left`, this score of being it."""
    (folder / "student").mkdir(parents=True)
    said = [
        {"file": clip, "label": "left", "predicted": "left" if score > 0.5 else "up", "scores": {"left": score}}
        for clip, score in scores.items()
    ]
    (folder / "student" / "predictions.json").write_text(json.dumps({"n": len(said), "predictions": said}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for clip in SCENES:
        (tmp_path / "data" / clip).touch()
    rows = [f"{clip},left,{scene}" for clip, scene in SCENES.items()]
    (tmp_path / "data" / "clips.csv").write_text("\n".join(["file,label,group", *rows]) + "\n")
    return tmp_path / "data"


def run(monkeypatch: pytest.MonkeyPatch, script: str, *args: object) -> int:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr("sys.argv", [script, *map(str, args)])
    try:
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_arms_are_compared_on_the_same_clips_over_scenes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = [say(tmp_path / f"alone-{i}", dict.fromkeys(SCENES, 0.4) | {"a.mp4": 0.9}) for i in range(2)]
    taught = [say(tmp_path / f"taught-{i}", dict.fromkeys(SCENES, 0.9) | {"d.mp4": 0.4}) for i in range(2)]
    out = tmp_path / "arms.json"
    assert run(monkeypatch, "arms.py", data, "--arm", "alone", *alone, "--arm", "taught", *taught, "--json", out) == 0
    first, second = json.loads(out.read_text())
    assert (first["n"], first["top1"], first["by_run"]) == (8, 0.25, [0.25, 0.25])
    assert (second["top1"], second["more"]) == (0.75, 0.5)
    assert first["more_interval"] == [0, 0]
    assert second["more_interval"] == [0.5, 0.5], "one clip more in each scene, whichever are drawn"
    assert second["top1_interval"] == [0.5, 1.0], "of two scenes one is told wholly, the other by half"
    assert second["loss_change"] < 0
    assert (
        "| taught | 8 | 0.750 (0.500 to 1.000) | 0.750, 0.750 | +0.500 (+0.500 to +0.500) |" in capsys.readouterr().out
    )


def test_arms_that_cannot_be_compared_are_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, part = say(tmp_path / "whole", dict.fromkeys(SCENES, 0.9)), say(tmp_path / "part", {"a.mp4": 0.9})
    foreign = say(tmp_path / "foreign", {"z.mp4": 0.9})
    for words, says in (
        (("--arm", "a", whole, "--arm", "b", part), "b and a were judged by different clips"),
        (("--arm", "a", whole, "--arm", "b", whole, whole), "b and a were judged by different clips"),
        (("--arm", "a", part), "all held-out clips are of one group"),
        (("--arm", "a", foreign), "z.mp4 is not among the data's clips"),
        (("--arm", "a", tmp_path), "no finished run with held-out clips"),
        (("--arm", "a"), "--arm a: no runs"),
    ):
        assert run(monkeypatch, "arms.py", data, *words) == 2, says
        assert says in capsys.readouterr().err


def test_a_fold_is_judged_by_the_version_that_the_other_folds_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, scores in (("sure", (0.9, 0.9, 0.4)), ("mild", (0.6, 0.4, 0.6))):
        for i, score in enumerate(scores, start=1):
            say(tmp_path / name / f"fold-{i}", {f"{i}.mp4": score})
    assert run(monkeypatch, "nested.py", tmp_path / "sure", tmp_path / "mild") == 0
    out = capsys.readouterr().out
    # Without fold 1 each has one of two, and less loss decides. Without fold 2 mild has both, without fold 3 sure has.
    assert [line.split("/")[-1] for line in out.splitlines()[:3]] == [
        "sure, 1 of 1",
        "mild, 0 of 1",
        "sure, 0 of 1",
    ]
    assert "chosen by top1 on the other folds: top-1 0.333" in out
    assert run(monkeypatch, "nested.py", tmp_path / "sure", tmp_path / "mild", "--by", "loss") == 0
    assert "chosen by loss" in capsys.readouterr().out
    say(tmp_path / "other" / "fold-1", {"1.mp4": 0.9})
    say(tmp_path / "other" / "fold-2", {"3.mp4": 0.9})
    assert run(monkeypatch, "nested.py", tmp_path / "sure", tmp_path / "other") == 2
    assert run(monkeypatch, "nested.py", tmp_path / "sure" / "fold-1") == 2
    assert "no cross-validation" in capsys.readouterr().err
