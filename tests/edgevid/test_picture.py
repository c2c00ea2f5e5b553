"""The watch over a camera's picture: what it finds, when it says so, that it says it once, and where that is seen."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_runs import run_command
from rich.console import Console
from test_live import FILE, Collected, Frames
from test_sinks import view
from tiny_models import tiny_stream_model
from videos import write_video

from edgevid.commands import live
from edgevid.frame import Frame, Pixels
from edgevid.models.load import load
from edgevid.notice import Notice
from edgevid.picture import BLACK, FAULTS, FROZEN_S, LASTS_S, LOOK_EVERY_S, VERY_BLURRED, PictureWatch, luma, sharpness
from edgevid.pipeline import Pipeline
from edgevid.sinks.jsonl import JsonLines
from edgevid.sinks.overlay import draw
from edgevid.sinks.plain import PlainLines
from edgevid.sinks.queued import QueuedSink
from edgevid.sinks.terminal import render

RNG = np.random.default_rng(0)
SCENE = cv2.resize(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8), (64, 48), interpolation=cv2.INTER_NEAREST)


def alive(frame: Pixels) -> Pixels:
    """With a sensor's noise, so that no two are the same."""
    noisy = frame.astype(int) + RNG.integers(-2, 3, frame.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def black() -> Pixels:
    return alive(np.full((48, 64, 3), 3, np.uint8))


def blown_out() -> Pixels:
    frame = np.full((48, 64, 3), 255, np.uint8)
    frame[:8] = SCENE[:8]
    return frame


def blurred() -> Pixels:
    frame = cv2.GaussianBlur(SCENE, (0, 0), 12)
    return np.asarray(frame // 2 + RNG.integers(0, 99, dtype=np.uint8), np.uint8)  # its light goes on changing


def good() -> Pixels:
    return alive(SCENE)


def told(watch: PictureWatch, picture: Callable[[], Pixels], start_s: float, seconds: float) -> list[tuple[float, str]]:
    times_s = start_s + np.arange(0, seconds, 0.1)
    found = [(round(float(t), 1), watch.look(float(t), picture())) for t in times_s]
    return [(t, fault) for t, fault in found if fault]


@pytest.mark.parametrize(("fault", "picture"), [("black", black), ("blown out", blown_out), ("blurred", blurred)])
def test_a_fault_that_lasts_is_told_of_once(fault: str, picture: Callable[[], Pixels]) -> None:
    watch = PictureWatch()
    assert told(watch, good, 0, 4) == []
    (found,) = told(watch, picture, 4, 4)
    assert found[1] == fault
    assert LASTS_S <= found[0] - 4 <= LASTS_S + LOOK_EVERY_S + 0.1
    assert watch.lasting == (fault,)
    assert told(watch, good, 8, 1) == []
    assert watch.lasting == ()
    assert told(watch, picture, 9, 9) == []  # it was told of before, and is seen in the view all the same
    assert watch.lasting == (fault,)


def test_a_frozen_camera_gives_the_same_picture_again_and_again() -> None:
    watch = PictureWatch()
    (found,) = told(watch, lambda: SCENE, 0, 12)
    assert found[1] == "frozen"
    assert FROZEN_S <= found[0] <= FROZEN_S + 2 * LOOK_EVERY_S
    assert told(PictureWatch(), good, 0, 12) == []  # nothing moves, but the sensor lives


def test_a_hand_over_the_lens_for_a_moment_is_no_fault() -> None:
    watch = PictureWatch()
    for start_s in range(0, 20, 4):
        assert told(watch, black, start_s, 2.5) == []
        assert told(watch, good, start_s + 2.5, 1.5) == []


@pytest.mark.parametrize("picture", [blurred, lambda: SCENE])
def test_what_nobody_saw_did_not_last(picture: Callable[[], Pixels]) -> None:
    watch = PictureWatch()
    assert told(watch, picture, 0, 2) == []
    assert told(watch, picture, 60, 2) == []
    assert watch.lasting == ()


def test_limits_lie_between_what_works_and_what_does_not() -> None:
    assert (
        sharpness(luma(blurred())) < VERY_BLURRED < sharpness(luma(np.asarray(cv2.blur(SCENE, (3, 3)), np.uint8))) / 10
    )
    assert luma(black()).mean() < BLACK


def test_a_run_tells_its_sinks_and_its_metrics(tmp_path: Path) -> None:
    model = load(tiny_stream_model(tmp_path / "tiny.onnx"))
    frames = [Frame(black() if i > 20 else good(), i / 10, i) for i in range(80)]
    for watched in (True, False):
        sink = Collected()
        pipeline = Pipeline(Frames(frames, 10.0), model, replace(FILE, watch_picture=watched, gate=True), [sink])
        while pipeline.read():
            while pipeline.compute(wait=False):
                pass
        assert [notice.notice for notice in sink.notices] == ["black"] * watched
        assert [notice["notice"] for notice in pipeline.metrics()["notices"]] == ["black"] * watched
        assert pipeline.view(with_frame=False).faults == (FAULTS["black"],) * watched
    assert all(5 <= notice.time_s <= 6 for notice in sink.notices)


NOTICE = Notice("black", FAULTS["black"], 3.04, "2026-01-01T00:00:00.000Z", "camera 0", "m@1")


def test_a_notice_is_a_line_among_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with QueuedSink(JsonLines.open(str(tmp_path / "e.jsonl")), "events") as queue:
        queue.notice(NOTICE)
    (line,) = (tmp_path / "e.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        **{"schema": 1, "type": "notice", "notice": "black", "text": "the picture is nearly black"},
        **{"time_s": 3.04, "utc": "2026-01-01T00:00:00.000Z", "source": "camera 0", "model": "m@1"},
    }
    PlainLines(sys.stdout).notice(NOTICE)
    assert capsys.readouterr().out == "    3.04 s  notice  the picture is nearly black\n"


def test_faults_stand_in_the_views_while_they_last() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(view(faults=(FAULTS["black"],)), 100))
    assert "! the picture is nearly black" in console.export_text()
    plain, warned = (draw(replace(view(), faults=faults)) for faults in ((), (FAULTS["black"], FAULTS["frozen"])))
    changed = np.argwhere((plain != warned).any(axis=2))
    assert len(changed) > 500
    assert changed[:, 0].min() > plain.shape[0] - 120  # above the figures, below the scores


def test_live_warns_of_a_black_picture(tmp_path: Path) -> None:
    tiny_stream_model(tmp_path / "tiny.onnx")
    write_video(tmp_path / "dark.mp4", [black() for _ in range(60)], fps=10)
    files = {name: tmp_path / f"{name}.json" for name in ("events", "metrics", "json")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    args = ("--no-window", "--model", tmp_path / "tiny.onnx", "--source", tmp_path / "dark.mp4", "--pace", "fast")
    ran = run_command(live.register, "live", *args, *options)
    assert ran.status == 0, ran.err
    lines = [json.loads(line) for line in files["events"].read_text().splitlines()]
    assert [line["notice"] for line in lines if line["type"] == "notice"] == ["black"]
    assert "notice at 3.0 s: the picture is nearly black" in ran.out
    assert [notice["notice"] for notice in json.loads(files["metrics"].read_text())["notices"]] == ["black"]
    assert json.loads(files["json"].read_text())["notices"][0]["source"]
