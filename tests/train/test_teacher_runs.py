"""Kinds of teachers from clips to a student, as a person runs it; and what a teacher says of each held-out clip."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from test_teacher_kinds import tiny_checkpoint
from tiny_run import RECIPE

from edgevid_train import commands
from edgevid_train.annotations import read_data
from edgevid_train.checkpoint import load_teacher
from edgevid_train.decode import RUNTIME_SHORT_SIDE, decode_clip
from edgevid_train.losses.teacher_outputs import ClipAnswer, ask_teacher
from edgevid_train.runs.phases import teacher
from edgevid_train.samples.held_out import spread

LARGE = pytest.mark.slow  # thirty million parameters


def edgevid(command: str, *args: object) -> Ran:
    return run_command(commands.register, command, "--device", "cpu", *args)


@pytest.mark.parametrize(
    "kind", ["cnn-lstm", "timesformer", *(pytest.param(kind, marks=LARGE) for kind in ("r2plus1d", "slowfast"))]
)
def test_from_clips_to_a_student(kind: str, clips: Path, tmp_path: Path) -> None:
    weights = "none"
    if kind == "timesformer":
        torch.manual_seed(0)
        weights = str(tiny_checkpoint(tmp_path / "pretrained", kind))
    elif kind == "slowfast":
        pytest.importorskip("pytorchvideo", reason="needs the extra edgevid[pytorchvideo]")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    asked = ("--recipe", tmp_path / "recipe.toml", "--data", clips, "--folds", 3, "--fold", 1)
    chosen = ("--set", f"teacher.kind={kind}", "--set", f"teacher.weights={weights}")
    ran = edgevid("train-teacher", *asked, *chosen, "--out", tmp_path / "teacher")
    assert ran.status == 0, ran.err

    folder = tmp_path / "teacher" / "teacher"
    loaded = load_teacher(folder / "last")
    assert loaded.teacher.config.kind == kind
    told = {
        entry["file"]: entry["scores"] for entry in json.loads((folder / "predictions.json").read_text())["predictions"]
    }
    held_out = [record for record in read_data(clips) if record.group in loaded.info.split.val_groups]
    assert sorted(told) == sorted(record.name for record in held_out)
    for record in held_out:
        frames = spread(decode_clip(record, RUNTIME_SHORT_SIDE), loaded.teacher.config)
        answer = ask_teacher(loaded.teacher, frames, torch.device("cpu"))
        assert answer.features.shape == (loaded.teacher.feature_size,)
        scores = np.exp(answer.logits) / np.exp(answer.logits).sum()
        assert told[record.name] == pytest.approx(dict(zip(loaded.labels, scores, strict=True)), abs=1e-5)

    ran = edgevid("train-distill", *asked, "--teacher", tmp_path / "teacher", "--out", tmp_path / "student")
    assert ran.status == 0, ran.err
    assert "response" in ran.out
    assert (tmp_path / "student" / "student" / "last" / "model.safetensors").is_file()


def test_a_teacher_that_computes_nan_predicts_nothing(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ClipAnswer(np.full(3, np.nan, np.float32), np.zeros(8, np.float32))
    monkeypatch.setattr(teacher, "ask_teacher", lambda *_: nothing)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    asked = ("--recipe", tmp_path / "recipe.toml", "--data", clips, "--folds", 3, "--fold", 1)
    ran = edgevid("train-teacher", *asked, "--out", tmp_path / "teacher")
    assert ran.status == 1
    assert "the model computed NaN or infinity" in ran.err
    assert not (tmp_path / "teacher" / "teacher" / "predictions.json").exists()


def test_an_unknown_kind_lists_the_choices(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    ran = edgevid(
        *("train-teacher", "--recipe", tmp_path / "recipe.toml", "--data", clips, "--set", "teacher.kind=resnet"),
        *("--out", tmp_path / "run"),
    )
    assert ran.status == 2
    known = "tsm, cnn-lstm, inflated, videomae, videomae-looking, timesformer, vivit, vjepa2"
    assert f"'resnet' is not one of {known}" in ran.err
    assert ran.err.count("\n") == 1
