"""`edgevid live` as a person runs it."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny_models
from command_runs import started
from tiny_models import coloured_frames, tiny_clip_model, tiny_manifest, tiny_stream_model
from videos import write_video

from edgevid import cli

FIELDS = {
    *("schema", "type", "id", "label", "score", "start_s", "end_s", "emitted_s", "utc"),
    *("latency_ms", "exit", "dropped_frames", "source", "model"),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models and a recording of two seconds, red in its middle."""
    folder = tmp_path_factory.mktemp("live")
    tiny_stream_model(folder / "tiny.onnx")
    tiny_clip_model(folder / "clip.onnx")
    frames = coloured_frames(("other", 18), ("red", 24), ("other", 18), height=48, width=64)
    write_video(folder / "play.mp4", list(frames), fps=30)
    return folder


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "edgevid", "live", "--no-window", *map(str, args)]


def live(cwd: Path, *args: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(command(*args), cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def adds_up(frames: dict[str, int]) -> bool:
    fates = ("unsampled", "gated", "dropped", "computed", "pending")
    return frames["captured"] == sum(frames[fate] for fate in fates)


def running(cwd: Path, *args: object) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return started(command(*args), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_recording_at_its_own_pace(here: Path, tmp_path: Path) -> None:
    began_s = time.monotonic()
    files = ("--events", tmp_path / "e.jsonl", "--metrics", tmp_path / "m.json", "--json", tmp_path / "j.json")
    ran = live(here, "--source", "play.mp4", "--model", "tiny.onnx", *files)
    assert time.monotonic() - began_s > 1.9
    assert ran.stderr == ""
    start, end = (line.split() for line in ran.stdout.splitlines()[:2])
    assert (start[2:], end[2:4]) == (["start", "red"], ["end", "red"])
    assert "60 frames captured" in ran.stdout
    events = lines(tmp_path / "e.jsonl")
    assert [e["type"] for e in events if e["type"] != "update"] == ["start", "end"]
    assert all(set(event) == FIELDS for event in events)
    assert len({event["id"] for event in events}) == 1
    # Exact times are `detect`'s to prove: here a machine that is busy with other things may drop frames.
    assert events[0]["start_s"] == pytest.approx(0.6, abs=0.5)
    assert events[-1]["end_s"] == pytest.approx(1.5, abs=0.5)
    for event in events:  # the source is paced: what was emitted came after the frame that decided, by its latency
        assert 0 < event["latency_ms"] < 60_000
        assert event["emitted_s"] >= event["start_s"]
    assert (events[0]["schema"], events[0]["source"], events[0]["model"][:5]) == (1, "play.mp4", "tiny@")
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert adds_up(metrics["frames"])
    assert {"captured", "unsampled", "repeated", "gated", "dropped", "computed"} <= set(metrics["frames"])
    assert metrics["frames"]["captured"] == 60
    assert set(metrics["latency_ms"]) == {"p50", "p95", "p99"}
    assert sum(metrics["exits"].values()) == metrics["frames"]["computed"]
    assert metrics["reconnects"] == 0
    assert 20 < metrics["rss_mb"] < 300
    told = json.loads((tmp_path / "j.json").read_text())
    assert [event["label"] for event in told["events"]] == ["red"]


def test_torch_stays_unloaded(here: Path) -> None:
    code = (
        "import sys; from edgevid.cli import run; "
        "assert run(['live', '--source', 'play.mp4', '--model', 'tiny.onnx', '--no-window', '--pace', 'fast']) == 0; "
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, timeout=300, check=True
    )
    loaded = ran.stdout.splitlines()[-1].split()
    assert "onnxruntime" in loaded
    assert not set(loaded) & {"torch", "torchvision", "timm", "transformers", "onnx", "coremltools", "matplotlib"}
    assert loaded.index("cv2") < loaded.index("av")  # the other way round OpenCV's first window hangs


@pytest.mark.parametrize(
    "how",
    [["SIGINT"], ["SIGTERM"], ["SIGTERM", "SIGHUP"], ["SIGHUP", "SIGHUP", "SIGTERM"], ["SIGINT", "SIGINT"]],
    ids=str,
)
def test_ctrl_c_ends_what_is_going_on_with_a_summary(here: Path, tmp_path: Path, how: list[str]) -> None:
    files = ("--events", tmp_path / "e.jsonl", "--metrics", tmp_path / "m.json")
    with running(here, "--source", "play.mp4", "--model", "tiny.onnx", "--loop", *files) as process:
        assert process.stdout is not None
        assert "start  red" in process.stdout.readline()
        for name in how:  # at once: two are one
            process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (130, "")
    assert "frames captured" in out
    types = [event["type"] for event in lines(tmp_path / "e.jsonl") if event["type"] != "update"]
    assert types == ["start", "end"] * (len(types) // 2) != []
    assert adds_up(json.loads((tmp_path / "m.json").read_text())["frames"])


def test_events_on_standard_output_are_alone_there(here: Path) -> None:
    ran = live(here, "--source", "play.mp4", "--model", "tiny.onnx", "--pace", "fast", "--events", "-")
    assert [json.loads(line)["type"] for line in ran.stdout.splitlines()][::2] == ["start", "end"]
    assert "frames captured" in ran.stderr


def test_a_reader_that_has_had_enough_is_no_error(here: Path) -> None:
    with running(here, "--source", "play.mp4", "--model", "tiny.onnx", "--loop", "--events", "-") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(timeout=300) == 0
    assert "Traceback" not in said
    assert "Broken" not in said


def test_a_clip_model_takes_the_same_path(here: Path, tmp_path: Path) -> None:
    files = ("--events", tmp_path / "e.jsonl", "--metrics", tmp_path / "m.json")
    live(here, "--source", "play.mp4", "--model", "clip.onnx", "--pace", "fast", "--stride", 0.2, *files)
    assert {event["label"] for event in lines(tmp_path / "e.jsonl")} == {"red"}
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["frames"]["dropped"] == 0
    assert adds_up(metrics["frames"])


def test_it_stops_by_itself_and_the_event_rule_can_be_changed(here: Path, tmp_path: Path) -> None:
    options = ("--loop", "--seconds", 1.2, "--min-s", 30, "--events", tmp_path / "e.jsonl")
    live(here, "--source", "play.mp4", "--model", "tiny.onnx", *options)
    assert (tmp_path / "e.jsonl").read_text() == ""  # it exists, and nothing lasted thirty seconds


@contextlib.contextmanager
def camera_on_the_net(stream: bytes, answers: Iterator[bool]) -> Iterator[str]:
    """Sends `stream` within two seconds to whoever asks, or refuses, and then hangs up."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not next(answers, False):
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for begin in range(0, len(stream), 1 + len(stream) // 50):
                    self.wfile.write(stream[begin : begin + 1 + len(stream) // 50])
                    time.sleep(0.04)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/live.ts"
        finally:
            server.shutdown()
            thread.join()


def test_a_camera_on_the_net_that_hangs_up_is_asked_again(here: Path, tmp_path: Path) -> None:
    frames = coloured_frames(("other", 12), ("red", 48), height=48, width=64)
    video = write_video(tmp_path / "live.ts", list(frames), fps=30, options={"g": "10"}).read_bytes()
    with camera_on_the_net(video, iter([True, False, True])) as address:
        files = ("--events", tmp_path / "e.jsonl", "--metrics", tmp_path / "m.json")
        ran = live(here, "--source", address, "--model", "tiny.onnx", "--reconnect", 2, *files, status=1)
    fault = ran.stderr.removeprefix(f"edgevid: {address} ").removesuffix("; given up after 2 s\n")
    assert fault in {"has ended", "cannot be read on: Input/output error"}, "FFmpeg's versions differ"
    told = [line for line in lines(tmp_path / "e.jsonl") if line["type"] != "update"]
    words = [line.get("notice", line["type"]) for line in told]
    assert words == ["start", "lost", "end", "back", "start", "lost", "end"]
    assert told[1]["text"] == f"{address} {fault}; trying again"
    first, second = (line for line in told if line["type"] == "end")
    assert second["start_s"] > first["end_s"] + 0.5
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["reconnects"] == 1
    assert adds_up(metrics["frames"])


def test_ctrl_c_does_not_wait_for_a_camera_that_is_lost(here: Path, tmp_path: Path) -> None:
    frames = coloured_frames(("other", 12), height=48, width=64)
    video = write_video(tmp_path / "live.ts", list(frames), fps=30).read_bytes()
    with (
        camera_on_the_net(video, iter([True])) as address,
        running(here, "--source", address, "--model", "tiny.onnx", "--events", "-") as process,
    ):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["notice"] == "lost"
        asked_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130, err
        assert time.monotonic() - asked_s < 60, "it waited for --reconnect"
    assert "Traceback" not in err


def test_a_folder_of_images_at_a_rate(here: Path, tmp_path: Path) -> None:
    for number, pixels in enumerate(coloured_frames(("other", 5), ("blue", 5))):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    events = tmp_path / "e.jsonl"
    model = ("--model", here / "tiny.onnx")
    live(here, "--source", tmp_path, "--rate", 10, "--pace", "fast", "--events", events, *model)
    assert {event["label"] for event in lines(events)} == {"blue"}


def test_a_view_in_a_terminal(here: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    shown = b""
    with started(
        command("--source", "play.mp4", "--model", "tiny.onnx"),
        cwd=here,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"},
    ) as process:
        while process.poll() is None:
            with contextlib.suppress(BlockingIOError):
                shown += os.read(ours, 65536)
            time.sleep(0.02)
    with contextlib.suppress(BlockingIOError):
        shown += os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    text = shown.decode()
    assert process.returncode == 0
    assert text.count("╭") > 2  # drawn again and again
    assert "╭" in text[text.rindex("\x1b[?1049l") :]  # and the last one stays
    assert "█████" in text
    assert "red" in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert "60 frames captured" in text


@pytest.mark.parametrize(("end", "status"), [(b"q", 0), (b"\x1b", 0), (b"\x03", 130), (signal.SIGTERM, 130)])
def test_what_is_typed_is_left_to_nobody_and_ends_as_the_window_does(
    here: Path, end: bytes | signal.Signals, status: int
) -> None:
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    os.set_blocking(ours, False)
    shown = b""

    def wait_for(what: bytes, times: int = 1) -> None:
        nonlocal shown
        until_s = time.monotonic() + 120
        while shown.count(what) < times:
            assert time.monotonic() < until_s, shown
            with contextlib.suppress(BlockingIOError):
                shown += os.read(ours, 65536)
            time.sleep(0.02)

    def quiet() -> bool:
        return not termios.tcgetattr(ours)[3] & (termios.ECHO | termios.ICANON)

    with started(
        command("--source", "play.mp4", "--model", "tiny.onnx", "--loop"),
        cwd=here,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        wait_for("╰".encode(), 3)
        assert quiet()
        os.write(ours, b"zz\r\x1b[A\x1bq")  # an arrow and Alt-q are neither Escape nor q
        os.write(ours, b"\x1a")  # stops nothing here, where no shell could make it go on: it leaves and comes again
        wait_for(b"\x1b[?1049h", 2)
        wait_for("╰".encode(), shown.count("╰".encode()) + 3)
        assert quiet()
        assert process.poll() is None
        if isinstance(end, bytes):
            os.write(ours, end)
        else:
            process.send_signal(end)
        wait_for(b"frames captured")
        assert process.wait(timeout=120) == status
    assert not quiet()
    os.close(theirs)
    os.close(ours)
    assert b"zz" not in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert shown.count(b"\x1b[?1049l") == shown.count(b"\x1b[?1049h") == 2


def test_two_at_once_do_not_disturb_each_other(here: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        both = [
            stack.enter_context(
                running(here, "--source", "play.mp4", "--model", model, "--events", tmp_path / f"{model}.jsonl")
            )
            for model in ("tiny.onnx", "clip.onnx")
        ]
        assert [process.wait(timeout=300) for process in both] == [0, 0]
    one, other = (lines(tmp_path / f"{model}.jsonl") for model in ("tiny.onnx", "clip.onnx"))
    assert {event["label"] for event in one + other} == {"red"}
    assert not {event["id"] for event in one} & {event["id"] for event in other}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to look at"),
        (["--camera", "9", "--source", "demo"], "say what to look at"),
        (["--camera", "9"], "no such camera: 9"),
        (["--source", "missing.mp4"], "missing.mp4: no such file"),
        (["--source", "."], "rate"),
        (["--source", "play.mp4", "--reconnect", "-1"], "--reconnect is a number from 0"),
        (["--source", "play.mp4", "--reconnect", "nan"], "--reconnect is a number from 0"),
        (["--source", "play.mp4", "--reconnect", "5"], "--reconnect is for cameras and live addresses; play.mp4"),
        (["--source", "empty.mp4"], "empty.mp4"),
        (["--source", "tiny.onnx"], "tiny.onnx: not a video"),
        (["--source", "play.mp4", "--model", "play.mp4"], "no ONNX model"),
        (["--source", "play.mp4", "--model", "nonsense"], "nonsense"),
        (["--source", "play.mp4", "--events", "no/folder.jsonl"], "No such file or directory"),
        (["--source", "play.mp4", "--events", "empty.mp4/e.jsonl"], "Not a directory"),
        (["--source", "play.mp4", "--events", "."], "Is a directory"),
        (["--source", "play.mp4", "--events", "play.mp4"], "it is the source"),
        (["--source", "play.mp4", "--metrics", "play.mp4"], "--force"),
        (["--source", "play.mp4", "--json", "x.json", "--metrics", "x.json"], "two outputs are one file"),
        (["--source", "play.mp4", "--events", "./x.json", "--metrics", "x.json"], "two outputs are one file"),
        (["--source", "play.mp4", "--on", "0.2"], "--off 0.3 would be above --on 0.2"),
        (["--source", "play.mp4", "--off", "1.5"], "--off"),
        (["--source", "play.mp4", "--min-s", "inf"], "--min-s"),
        (["--source", "play.mp4", "--seconds", "0"], "--seconds"),
        (["--source", "play.mp4", "--stride", "nan"], "--stride"),
        (["--source", "play.mp4", "--stride", "0.5"], "is a stream model"),
        (["--source", "play.mp4", "--events", "/dev/full", "--pace", "fast"], "No space left on device"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "/dev/full" in arguments and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.chdir(here)
    (here / "empty.mp4").touch()
    model = [] if "--model" in arguments else ["--model", "tiny.onnx"]
    assert cli.run(["live", "--no-window", *arguments, *model]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert message in said
    assert (here / "play.mp4").stat().st_size > 0


def test_one_file_that_cannot_be_written_costs_no_other(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.chdir(here)
    files = ["--metrics", "/dev/full", "--json", str(tmp_path / "j.json"), "--events", str(tmp_path / "e.jsonl")]
    source = ["--source", "play.mp4", "--model", "tiny.onnx", "--pace", "fast", "--no-window"]
    assert cli.run(["live", *source, *files]) == 2
    assert capsys.readouterr().err == "edgevid: cannot write /dev/full: No space left on device\n"
    events = lines(tmp_path / "e.jsonl")
    assert [event["type"] for event in events if event["type"] != "update"] == ["start", "end"]
    assert json.loads((tmp_path / "j.json").read_text())["frames"]["captured"] == 60


def test_a_damaged_model_ends_the_run_with_one_line_and_complete_files(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tiny_models, "BIAS", np.array([0, np.nan, 0, 0.4], np.float32))
    model = tiny_stream_model(tmp_path / "nan.onnx", tiny_manifest("stream", name="damaged"))
    metrics = tmp_path / "m.json"
    arguments = ["live", "--no-window", "--source", here / "play.mp4", "--model", model, "--metrics", metrics]
    assert cli.run([str(argument) for argument in arguments]) == 1
    assert capsys.readouterr().err == (
        "edgevid: the model computed NaN or infinity; its file or its input is damaged\n"
    )
    frames = json.loads(metrics.read_text())["frames"]
    assert adds_up(frames)
    assert (frames["computed"], frames["pending"]) == (0, 0)


def test_a_window_where_there_is_a_display(here: Path) -> None:
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("needs Xvfb, a display without a screen")
    with started([server, "-displayfd", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as display:
        number = display.stdout.readline().decode().strip()
        ran = subprocess.run(
            [sys.executable, "-m", "edgevid", "live", "--source", "play.mp4", "--model", "tiny.onnx", "--window"],
            cwd=here,
            env=os.environ | {"DISPLAY": f":{number}"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        display.terminate()  # it removes its socket and its lock
        display.wait(timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "60 frames captured" in ran.stdout
