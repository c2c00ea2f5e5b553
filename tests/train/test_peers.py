"""The benchmark against peers, from training to the table, with the smallest clips and recipe."""

import json
import runpy
from pathlib import Path

import pytest
import torch
from tiny_run import RECIPE

from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.recipe import load_recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "peers.py"

pytest.importorskip("pytorchvideo", reason="X3D is pytorchvideo's")


def peers(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))  # its neighbour timing.py
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *map(str, args)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_every_peer_is_what_the_recipe_makes_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    table = runpy.run_path(str(SCRIPT))["PEERS"]
    recipes = {
        name: load_recipe("air-gesture", (*peer.changes, "student.weights=none", "teacher.weights=none"))
        for name, peer in table.items()
    }
    x3d = build_teacher(recipes["x3d-xs"].teacher, 11).eval()
    assert sum(parameter.numel() for parameter in x3d.parameters()) == pytest.approx(3e6, rel=0.01)
    with torch.no_grad():
        assert x3d(torch.zeros(1, 4, 3, 160, 160)).logits.shape == (1, 11)
    looking = build_teacher(recipes["x3d-looking"].teacher, 11).eval()
    theirs, ours = x3d.network.blocks[1:5].parameters(), looking.stages.parameters()
    assert [tensor.shape for tensor in theirs] == [tensor.shape for tensor in ours]
    with torch.no_grad():
        assert looking(torch.zeros(1, 16, 3, 72, 96)).logits.shape == (1, 11)
    for name, wide in (("tsm-mobilenetv2", 960), ("tsm-lite0", 1152)):
        shifted = build_teacher(recipes[name].teacher, 11).eval()
        assert (320, wide, 1, 1) in {tensor.shape for tensor in shifted.parameters()}, "the backbone's last stage"
        with torch.no_grad():
            assert shifted(torch.zeros(1, 16, 3, 72, 96)).logits.shape == (1, 11)


@pytest.mark.slow
def test_peers_are_trained_measured_and_not_trained_again(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    args = [tmp_path / "tiny.toml", clips, "--out", tmp_path / "runs"]
    args += ["--set", "optim.epochs=1", "--set", "teacher.weights=none"]
    args += ["--rounds", 2, "--json", tmp_path / "peers.json"]
    peers(monkeypatch, *args)
    rows = {row["name"]: row for row in json.loads((tmp_path / "peers.json").read_text())}
    assert list(rows) == ["ours", "x3d-xs", "x3d-looking", "tsm-mobilenetv2", "tsm-lite0"]
    assert {row["n"] for row in rows.values()} == {3}
    assert rows["x3d-xs"]["ms"][0] > rows["ours"]["ms"][0]
    assert 10 < rows["x3d-xs"]["mb"] < 14  # 3 million parameters, without 400 labels
    assert (rows["ours"]["better"], rows["ours"]["worse"]) == (0, 0)
    assert "| x3d-xs | a clip of 4 frames of 160x160 |" in capsys.readouterr().out

    weights = list((tmp_path / "runs").rglob("last/model.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    peers(monkeypatch, *args, "--run", f"ours={tmp_path / 'runs' / 'ours'}", "--peer", "tsm-mobilenetv2")
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert [row["name"] for row in json.loads((tmp_path / "peers.json").read_text())] == ["ours", "tsm-mobilenetv2"]


def test_a_run_that_is_none_is_one_line(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        peers(monkeypatch, "nothing", clips, "--out", tmp_path)
    assert ended.value.code == 2
    assert "recipe 'nothing'" in capsys.readouterr().err


def test_a_run_of_a_network_that_is_no_peer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        peers(monkeypatch, "air-gesture", tmp_path, "--out", tmp_path, "--run", f"resnet={tmp_path}")
    assert ended.value.code == 2
    assert "is not NAME=RUN with a name of ours, x3d-xs" in capsys.readouterr().err
