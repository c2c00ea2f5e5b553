"""`edgevid classify`, as a person runs it, on videos written here."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from command_runs import run_command
from tiny_models import coloured_frames, damage, score_frames, tiny_clip_model, tiny_manifest, tiny_stream_model
from videos import truncate, write_audio, write_video

from edgevid import cli
from edgevid.commands import classify
from edgevid.models.load import load
from edgevid.recognise import FileScores, score_file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_stream_model(tmp_path / "tiny.onnx")


def video(path: Path, *periods: tuple[str, int]) -> Path:
    """25 frames a second of plain colours."""
    return write_video(path, list(coloured_frames(*periods, height=48, width=64)))


def test_each_file_gets_its_label(tmp_path: Path, model: Path) -> None:
    red = video(tmp_path / "red.mp4", ("other", 20), ("red", 25))
    blue = video(tmp_path / "blue.webm", ("blue", 30), ("other", 30))
    out = tmp_path / "out.json"
    ran = run_command(classify.register, "classify", red, blue, "--model", model, "--top", 2, "--json", out)
    assert ran.status == 0
    assert ran.err == ""
    assert "red" in ran.out
    assert "blue" in ran.out
    data = json.loads(out.read_text())
    assert data["model"].startswith("tiny@")
    assert data["skipped"] == []
    first, second = data["predictions"]
    assert (first["file"], first["predicted"]) == (str(red), "red")
    assert (second["file"], second["predicted"]) == (str(blue), "blue")
    assert next(iter(first["scores"])) == "red"
    assert sum(first["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert first["frames"]["captured"] == 45
    assert first["frames"]["computed"] == 18  # 1.8 s at 10 Hz
    assert first["frames"]["captured"] == first["frames"]["computed"] + first["frames"]["unsampled"]


def test_top_says_how_many_labels_are_shown(tmp_path: Path, model: Path) -> None:
    green = video(tmp_path / "g.mp4", ("green", 10))
    shown = {
        top: run_command(classify.register, "classify", green, "--model", model, "--top", top).out for top in (1, 2)
    }
    assert "other" not in shown[1]
    assert "other" in shown[2]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_are_told_and_not_obeyed(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "a\x1b[2J\nb.mp4", ("green", 10))
    ran = run_command(classify.register, "classify", "a\x1b[2J\nb.mp4", "--model", model, "--top", 1)
    assert "a\\x1b[2J\\nb.mp4" in ran.out
    assert "\x1b" not in ran.out


def test_labels_that_do_not_exclude_one_another_are_each_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_models, "BIAS", np.full(4, -0.3, np.float32))  # a black picture shows nothing
    model, out = tmp_path / "several.onnx", tmp_path / "out.json"
    tiny_stream_model(model, tiny_manifest("stream", activation="sigmoid", labels=("red", "green", "blue", "dusk")))
    yellow = write_video(tmp_path / "yellow.mp4", list(np.full((25, 48, 64, 3), (255, 255, 0), np.uint8)))
    black = write_video(tmp_path / "black.mp4", list(np.zeros((25, 48, 64, 3), np.uint8)))
    ran = run_command(classify.register, "classify", yellow, black, "--model", model, "--top", 3, "--json", out)
    assert ran.status == 0
    both, nothing = json.loads(out.read_text())["predictions"]
    assert sorted(both["predicted"]) == ["green", "red"]
    assert min(both["scores"][label] for label in both["predicted"]) >= 0.5
    assert nothing["predicted"] == []
    rows = ran.out.split("(nothing)")
    assert len(rows) == 2
    assert all(re.search(rf"\b{label} +[01]\.", rows[0]) for label in ("red", "green"))


def test_bad_files_are_named_and_the_good_ones_processed(tmp_path: Path, model: Path) -> None:
    good = video(tmp_path / "good.mp4", ("green", 25))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    write_audio(tmp_path / "sound.m4a")
    bad = [tmp_path / name for name in ("none.mp4", "empty.mp4", "text.mp4", "sound.m4a")] + [tmp_path]
    out = tmp_path / "out.json"
    ran = run_command(classify.register, "classify", bad[0], good, *bad[1:], "--model", model, "--json", out)
    assert ran.status == 2
    lines = ran.err.splitlines()
    assert len(lines) == len(bad)
    for path, line in zip(bad, lines, strict=True):
        assert str(path) in line
    data = json.loads(out.read_text())
    assert [p["predicted"] for p in data["predictions"]] == ["green"]
    assert [s["file"] for s in data["skipped"]] == [str(path) for path in bad]
    assert [f"edgevid: {s['reason']}" for s in data["skipped"]] == lines


def test_a_file_that_was_cut_off_is_scored_up_to_there_and_says_so(tmp_path: Path, model: Path) -> None:
    path = write_video(
        tmp_path / "cut.mp4",
        list(coloured_frames(("blue", 100), height=48, width=64)),
        container_options={"movflags": "faststart"},
        options={"g": "5"},
    )
    truncate(path, 0.8)
    out = tmp_path / "out.json"
    ran = run_command(classify.register, "classify", path, "--model", model, "--json", out)
    assert ran.status == 0
    assert str(path) in ran.err
    prediction = json.loads(out.read_text())["predictions"][0]
    assert prediction["predicted"] == "blue"
    assert prediction["frames"]["captured"] < 100
    assert prediction["fault"] or prediction["frames"]["undecodable"]


def test_a_clip_model_classifies_too_even_what_is_shorter_than_its_clip(tmp_path: Path) -> None:
    model = tiny_clip_model(tmp_path / "tiny.clip.onnx")
    short = video(tmp_path / "short.mp4", ("red", 6))
    assert " red " in run_command(classify.register, "classify", short, "--model", model).out


def test_a_model_that_is_none_is_refused_before_any_file_is_read(tmp_path: Path) -> None:
    wrong = tiny_stream_model(tmp_path / "wrong.onnx", tiny_manifest("stream", labels=("a", "b")))
    for model in ("no-such-model", wrong, tmp_path):
        ran = run_command(classify.register, "classify", tmp_path / "none.mp4", "--model", model)
        assert ran.status == 2
        assert ran.err.count("\n") == 1
        assert "none.mp4" not in ran.err


def test_existing_output_is_kept_unless_forced(tmp_path: Path, model: Path) -> None:
    red, out = video(tmp_path / "red.mp4", ("red", 10)), tmp_path / "out.json"
    out.write_text("precious")
    args = ["classify", red, "--model", model, "--json", out]
    assert run_command(classify.register, *args).status == 2
    assert out.read_text() == "precious"
    assert run_command(classify.register, *args, "--force").status == 0
    assert json.loads(out.read_text())["predictions"]


@pytest.mark.parametrize("args", [[], ["--top", "0", "x.mp4"], ["--threads", "0", "x.mp4"]])
def test_bad_usage_is_status_2(args: list[str]) -> None:
    assert run_command(classify.register, "classify", *args).status == 2


def test_scores_that_are_no_numbers_are_an_error(tmp_path: Path, model: Path) -> None:
    damage(model, "stream")
    ran = run_command(classify.register, "classify", video(tmp_path / "r.mp4", ("red", 5)), "--model", model)
    assert ran.status == 1
    assert "NaN" in ran.err
    assert ran.out == ""


def test_a_file_scores_as_its_frames_do(tmp_path: Path, model: Path) -> None:
    network = load(model)
    path = video(tmp_path / "v.mp4", ("other", 25), ("green", 25))
    by_file = score_file(path, network).scores
    by_frames = score_frames(coloured_frames(("other", 10), ("green", 10)), network)
    assert by_file.steps.shape == by_frames.steps.shape
    assert abs(by_file.clip - by_frames.clip).max() < 0.02  # what the video codec does to the colours


@pytest.mark.parametrize("name", ["corrupted.mp4", "gradient.gif", "rotated_90.mov", "unordered.mov"])
def test_recordings_from_elsewhere(shared_data: Path, model: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.json"
    ran = run_command(classify.register, "classify", shared_data / "odd" / name, "--model", model, "--json", out)
    assert ran.status == 0
    frames = json.loads(out.read_text())["predictions"][0]["frames"]
    assert frames["captured"] == frames["computed"] + frames["unsampled"] > 0
    assert ("could not be decoded" in ran.err) == (name == "corrupted.mp4")


def test_what_was_scored_before_an_interrupt_is_written(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(video(tmp_path / f"{name}.mp4", (name, 20))) for name in ("red", "blue")]

    def interrupted(file: str, *args: Any, **kwargs: Any) -> FileScores:
        if "blue" in file:
            raise KeyboardInterrupt
        return score_file(file, *args, **kwargs)

    monkeypatch.setattr("edgevid.recognise.score_file", interrupted)
    out = tmp_path / "out.json"
    assert cli.run(["classify", *files, "--model", str(model), "--json", str(out)]) == 130
    told = json.loads(out.read_text())
    assert (told["interrupted"], [one["predicted"] for one in told["predictions"]]) == (True, ["red"])
    assert "red" in capsys.readouterr().out
