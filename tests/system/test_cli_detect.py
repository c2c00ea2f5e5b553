"""`edgevid detect` as a person runs it."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tiny_models import coloured_frames, tiny_clip_model, tiny_conditional_model, tiny_stream_model
from videos import truncate, write_video

from edgevid import cli, live
from edgevid.commands.detect import _progress
from edgevid.errors import EdgevidError


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detect")
    tiny_stream_model(folder / "tiny.onnx")
    for name, label in (("a.mp4", "red"), ("b.mp4", "green")):
        frames = coloured_frames(("other", 30), (label, 30), ("other", 30), height=48, width=64)
        write_video(folder / name, list(frames), fps=30)
    return folder


def test_the_events_of_several_files_and_what_could_not_be_read(here: Path, tmp_path: Path) -> None:
    files = ("--events", tmp_path / "e.jsonl", "--json", tmp_path / "j.json")
    ran = subprocess.run(
        [sys.executable, "-m", "edgevid", "detect", "a.mp4", "missing.mp4", "b.mp4", "--model", "tiny.onnx"]
        + [str(part) for part in files],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr == "edgevid: missing.mp4: no such file\n"
    assert [line.split()[0] for line in ran.stdout.splitlines() if line.split()] == [
        *("a.mp4", "event", "───────────────────────────────", "red"),
        *("b.mp4", "event", "───────────────────────────────", "green"),
    ]
    told = json.loads((tmp_path / "j.json").read_text())
    assert [skipped["file"] for skipped in told["skipped"]] == ["missing.mp4"]
    for result, label in zip(told["files"], ("red", "green"), strict=True):
        (event,) = result["events"]
        assert event["label"] == label
        assert event["start_s"] == pytest.approx(1.0, abs=0.11)
        assert event["end_s"] == pytest.approx(2.1, abs=0.21)
        assert event["emitted_s"] == event["end_s"]  # not paced: what was computed when says nothing
        assert result["frames"]["dropped"] == 0
        assert result["frames"]["computed"] == 30
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert {event["source"]: event["label"] for event in events} == {"a.mp4": "red", "b.mp4": "green"}
    assert len({event["id"] for event in events}) == 2


def run(monkeypatch: pytest.MonkeyPatch, here: Path, *args: object) -> int:
    monkeypatch.chdir(here)
    return cli.run(["detect", *map(str, args), "--model", "tiny.onnx"])


def test_a_model_that_fails_in_the_second_file_loses_nothing_of_the_first(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = live.run

    def fails_at_b(pipeline: live.Pipeline, **options: Any) -> bool:
        if pipeline.source.info.name == "b.mp4":
            raise EdgevidError("the model computed NaN")
        return whole(pipeline, **options)

    monkeypatch.setattr(live, "run", fails_at_b)
    assert run(monkeypatch, here, "a.mp4", "b.mp4", "a.mp4", "--json", tmp_path / "j.json") == 1
    printed = capsys.readouterr()
    assert printed.err == "edgevid: the model computed NaN\n"
    assert "a.mp4" in printed.out
    told = json.loads((tmp_path / "j.json").read_text())
    assert [result["events"][0]["label"] for result in told["files"]] == ["red"]
    assert told["skipped"] == [{"file": "b.mp4", "reason": "the model computed NaN"}]


def test_live_at_full_speed_gives_the_same_events(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "detect.jsonl", tmp_path / "live.jsonl"
    assert run(monkeypatch, here, "a.mp4", "--events", one) == 0
    arguments = ["live", "--source", "a.mp4", "--pace", "fast", "--no-window", "--model", "tiny.onnx", "--events"]
    assert cli.run([*arguments, str(other)]) == 0
    changing = {"id", "utc", "latency_ms"}
    seen = [
        [{k: v for k, v in json.loads(line).items() if k not in changing} for line in path.read_text().splitlines()]
        for path in (one, other)
    ]
    assert seen[0] == seen[1]


def told_of_two_exits(folder: Path, words: list[str]) -> Any:
    """What `detect --json` tells of a.mp4, seen with these words by a model that can stop early and hold."""
    model, result = tiny_conditional_model(folder / "two.onnx"), folder / "j.json"
    assert cli.run(["detect", "a.mp4", "--model", str(model), "--json", str(result), *words]) == 0
    (file,) = json.loads(result.read_text())["files"]
    return file


@pytest.mark.parametrize(("threshold", "exits"), [([], ["final"]), (["--threshold", "0"], ["early"])])
def test_a_threshold_lets_an_earlier_exit_decide(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: list[str], exits: list[str]
) -> None:
    monkeypatch.chdir(here)
    file = told_of_two_exits(tmp_path, threshold)
    assert [name for name, count in file["exits"].items() if count] == exits


@pytest.mark.parametrize(
    ("words", "holds"), [([], False), (["--hold", "2"], True), (["--hold", "0", "--no-gate"], False)]
)
def test_one_look_may_stand_for_frames_after_it(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], holds: bool
) -> None:
    monkeypatch.chdir(here)
    file = told_of_two_exits(tmp_path, words)
    assert (file["held"] > 0.5 * sum(file["exits"].values())) == holds
    assert file["events"][0]["label"] == "red"


def test_holding_needs_the_gate(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_conditional_model(tmp_path / "two.onnx")
    assert cli.run(["detect", str(here / "a.mp4"), "--model", str(model), "--hold", "2", "--no-gate"]) == 2
    assert "--hold 2 and --no-gate: it is the gate that holds" in capsys.readouterr().err


def test_events_of_before_stay_where_nothing_can_be_seen(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    events, model = tmp_path / "e.jsonl", str(tiny_stream_model(tmp_path / "tiny.onnx"))
    assert cli.run(["detect", "a.mp4", "--model", model, "--events", str(events)]) == 0
    before = events.read_text()
    assert before
    assert cli.run(["detect", "typo.mp4", "--model", model, "--events", str(events)]) == 2
    assert events.read_text() == before


def test_what_a_name_holds_forges_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("detect", "classify"):
        assert cli.run([command, str(tmp_path / "a\nedgevid: all fine\x1b[31m.mp4")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "a\\nedgevid: all fine\\x1b[31m.mp4: no such file" in line


def test_a_threshold_without_an_exit_for_it(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_clip_model(tmp_path / "clip.onnx")
    monkeypatch.chdir(here)
    assert cli.run(["detect", "a.mp4", "--model", str(tmp_path / "clip.onnx"), "--threshold", "0.5"]) == 2
    assert "--threshold is for stream models with several exits, and tiny-clip is none" in capsys.readouterr().err


def test_events_on_standard_output_and_the_table_on_the_other(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, here, "a.mp4", "--events", "-") == 0
    said = capsys.readouterr()
    assert all(json.loads(line)["label"] == "red" for line in said.out.splitlines())
    assert "frames computed" in said.err


@pytest.mark.skipif(sys.platform != "linux", reason="a name that is no text")
def test_a_name_that_is_no_text_loses_nothing(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    odd.write_bytes((here / "a.mp4").read_bytes())
    events, result = tmp_path / "e.jsonl", tmp_path / "j.json"
    assert run(monkeypatch, here, odd, "--events", events, "--json", result) == 0
    assert {json.loads(line)["label"] for line in events.read_text().splitlines()} == {"red"}
    assert json.loads(result.read_text())["files"][0]["file"] == str(odd)


def test_a_truncated_file_gives_what_comes_before_and_says_so(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = coloured_frames(("other", 30), ("red", 60), height=240, width=320)
    cut = truncate(write_video(tmp_path / "cut.mkv", list(frames), fps=30), 0.8)
    result = tmp_path / "j.json"
    assert run(monkeypatch, here, cut, "--json", result) == 0
    assert "saw what comes before" in capsys.readouterr().err
    (file,) = json.loads(result.read_text())["files"]
    assert "truncated" in file["fault"]
    assert file["events"][0]["label"] == "red"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4"], "missing.mp4: no such file"),
        (["."], "is a folder"),
        (["tiny.onnx"], "not a video"),
        (["a.mp4", "--events", "a.mp4"], "it is the source"),
        (["a.mp4", "--events", "no/e.jsonl"], "No such file or directory"),
        (["a.mp4", "--json", "b.mp4"], "--force"),
        (["a.mp4", "--events", "e.json", "--json", "./e.json"], "two outputs are one file"),
        (["n" * 300], "File name too long"),
        (["a.mp4", "--hold", "-1"], "--hold"),
        (["a.mp4", "--threshold", "nan"], "--threshold is a score from 0 to 1, or with commas"),
        (["a.mp4", "--threshold", "1.5"], "--threshold is a score from 0 to 1, or with commas"),
        (["a.mp4", "--off", "0.9"], "--off 0.9 would be above --on 0.6; give both"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, here, *arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert (here / "a.mp4").stat().st_size > 0


def test_real_recordings_that_break_readers(
    shared_data: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((shared_data / "odd").iterdir())
    result = tmp_path / "j.json"
    assert run(monkeypatch, here, *files, "--json", result) in (0, 2)
    told = json.loads(result.read_text())
    assert len(told["files"]) + len(told["skipped"]) == len(files)
    assert len(told["files"]) >= len(files) - 2
    for file in told["files"]:
        frames = file["frames"]
        assert frames["dropped"] == frames["pending"] == 0
        assert frames["captured"] == frames["unsampled"] + frames["gated"] + frames["computed"] > 0


def test_a_still_scene_is_gated_and_said_to_be(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = coloured_frames(("other", 120), ("red", 30), ("other", 30), height=48, width=64)
    still = write_video(tmp_path / "still.mp4", list(frames), fps=30)
    told = {}
    for option in ("--gate", "--no-gate"):
        result = tmp_path / f"{option[2:]}.json"
        assert run(monkeypatch, here, still, option, "--json", result) == 0
        (told[option],) = json.loads(result.read_text())["files"]
    assert told["--gate"]["frames"]["gated"] > 20
    assert told["--no-gate"]["frames"]["gated"] == 0
    due = [told[o]["frames"]["gated"] + told[o]["frames"]["computed"] for o in told]
    assert due == [60, 60]
    events = [[(e["label"], e["start_s"], e["end_s"]) for e in told[o]["events"]] for o in told]
    assert events[0] == events[1]
    assert [label for label, *_ in events[0]] == ["red"]


def test_on_a_terminal_what_is_said_has_a_line_of_its_own(here: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "edgevid", "detect", "a.mp4", "missing.mp4", "--model", "tiny.onnx"]
    ran = subprocess.run(words, cwd=here, stdout=subprocess.PIPE, stderr=theirs, timeout=300, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert ran.returncode == 2
    assert shown.endswith("\r\x1b[Kedgevid: missing.mp4: no such file\r\n")


def shown_on_a_terminal(cwd: Path, columns: int, *words: str, taken: bool = False) -> str:
    """What `detect` says on a terminal of so many columns: on standard error, and where `taken` on both."""
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    whole = [sys.executable, "-m", "edgevid", "detect", *words, "--model", "tiny.onnx"]
    out = theirs if taken else subprocess.PIPE
    ran = subprocess.run(whole, cwd=cwd, stdout=out, stderr=theirs, timeout=300, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert ran.returncode == 0, shown
    return shown


def test_progress_is_no_wider_than_the_terminal(here: Path, tmp_path: Path) -> None:
    name = "a very long name of a recording " * 3 + ".mp4"
    write_video(tmp_path / name, list(coloured_frames(("red", 4000), height=48, width=64)), fps=30)
    lines = shown_on_a_terminal(here, 40, str(tmp_path / name), "--no-gate").split("\r\x1b[K")
    assert len(lines) > 2
    assert all(len(line) < 40 and "\n" not in line for line in lines)
    assert any("…" in line and line.endswith("s seen") for line in lines)


@pytest.mark.parametrize("columns", range(1, 60))
def test_progress_keeps_the_end_of_a_name_and_what_was_seen(columns: int) -> None:
    line = _progress("视频/recording\x1b[2J\n.mp4", " 100%, 12 s seen", columns)
    assert cell_len(line) < columns or not line
    assert line.isprintable()
    assert columns < 24 or ".mp4 100%, 12 s seen" in line
    assert columns < 55 or line.startswith("视频/recording\\x1b[2J\\n")


def test_no_progress_among_events(here: Path) -> None:
    shown = shown_on_a_terminal(here, 80, "a.mp4", "--events", "-", taken=True)
    assert "seen" not in shown
    assert '"type": "start"' in shown.replace('":"', '": "')
    assert "\x1b[K" not in shown


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_are_told_and_not_obeyed(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(here / "a.mp4", tmp_path / "a\x1b[2J\nb.mp4")
    assert run(monkeypatch, here, tmp_path / "a\x1b[2J\nb.mp4") == 0
    out = capsys.readouterr().out
    assert "a\\x1b[2J\\nb.mp4" in out
    assert "\x1b" not in out
