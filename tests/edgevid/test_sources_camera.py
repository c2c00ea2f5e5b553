"""Cameras, with OpenCV's capture replaced by one that does what the test says."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevid.errors import InputError
from edgevid.sources import camera, open_source

Read = tuple[bool, float]
"""Whether the read gives a frame, and the camera's own time of it in milliseconds."""


class FakeCapture:
    """Gives the reads it was made with, then fails for ever."""

    def __init__(self, reads: list[Read]) -> None:
        self._reads: Iterator[Read] = iter(reads)
        self._ms = 0.0
        self.set_to: dict[int, float] = {}
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, what: int, value: float) -> bool:
        self.set_to[what] = value
        return True

    def get(self, what: int) -> float:
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_POS_MSEC: self._ms,
        }[what]

    def read(self) -> tuple[bool, np.ndarray | None]:
        there, self._ms = next(self._reads, (False, 0.0))
        return (True, np.full((480, 640, 3), (255, 0, 10), np.uint8)) if there else (False, None)

    def release(self) -> None:
        self.released += 1


def plug_in(monkeypatch: pytest.MonkeyPatch, reads: list[Read]) -> FakeCapture:
    capture = FakeCapture(reads)
    monkeypatch.setattr(camera, "_check_present", lambda _: None)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    monkeypatch.setattr(camera, "RETRY_S", 0.0)
    return capture


def test_frames_are_rgb_reduced_timed_by_the_camera_and_never_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = plug_in(monkeypatch, [(True, 5000.0), (True, 5033.0), (True, 5066.0)])
    clock = itertools.chain([10.0, 10.04, 10.07], itertools.repeat(10.1)).__next__
    with open_source(0, clock=clock) as source:
        frames = list(source)
    assert frames[0].pixels.shape == (240, 320, 3)
    assert frames[0].pixels[0, 0].tolist() == [10, 0, 255]
    assert [f.time_s for f in frames] == pytest.approx([0, 0.033, 0.066])
    assert [f.captured_s for f in frames] == [10.0, 10.04, 10.07]
    assert [f.index for f in frames] == [0, 1, 2]
    assert capture.set_to[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert capture.released
    info = source.info
    assert (info.name, info.width, info.height, info.rate_hz, info.live) == ("camera 0", 640, 480, 30, True)


def test_a_failed_read_is_survived_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, [(True, 0.0), (False, 0.0), (False, 0.0), (True, 0.0)])
    clock = iter([1.0, 1.1, 1.2, 1.5]).__next__
    with open_source(0, clock=clock) as source:
        frames = iter(source)
        assert [next(frames).time_s, next(frames).time_s] == pytest.approx([0, 0.5])
        assert source.counts.failed_reads == 2
        assert source.fault is None


def test_a_camera_that_is_unplugged_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, [(True, 0.0)])
    with open_source(0) as source:
        assert len(list(source)) == 1
    assert source.fault is not None
    assert "unplugged" in source.fault
    assert source.counts.failed_reads == camera.MAX_FAILED_READS


def test_a_camera_that_is_plugged_in_again_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, [])
    captures = [FakeCapture([(True, 0.0)] * 2), FakeCapture([]), FakeCapture([(True, 0.0)])]
    left = iter(captures)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: next(left))
    silenced: list[None] = []
    monkeypatch.setattr(camera, "no_stderr", lambda: contextlib.nullcontext(silenced.append(None)))
    with open_source(0, reconnect_s=60.0, sleep=lambda _: None) as source:
        frames = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        assert (source.counts.reconnects, source.counts.frames) == (1, 3)
        assert source.counts.failed_reads == 2 * camera.MAX_FAILED_READS
    assert len(silenced) == 1  # later others have something to say on standard error
    assert all(capture.released for capture in captures)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_camera_that_hangs_is_not_waited_for_twenty_times(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """OpenCV's read comes back after ten seconds without a frame."""
    plug_in(monkeypatch, [(True, 0.0)] * frames)
    clock = itertools.count(100.0, 10.0).__next__
    with open_source(0, clock=clock) as source:
        assert len(list(source)) == frames
    assert "gives no frames any more" in (source.fault or "")
    assert source.counts.failed_reads == 2 - frames


def test_closing_during_a_read_ends_the_reader_and_releases_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = plug_in(monkeypatch, [(True, 0.0)] * 2)
    in_read, go_on = threading.Event(), threading.Event()
    read = capture.read

    def slow_read() -> tuple[bool, np.ndarray | None]:
        in_read.set()
        go_on.wait(60)
        return read()

    monkeypatch.setattr(capture, "read", slow_read)
    source = open_source(0)
    thread = threading.Thread(target=lambda: list(source), daemon=True)
    thread.start()
    assert in_read.wait(60)
    source.close()
    assert capture.released == 0  # never under the hands of a read
    go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert capture.released == 1


def test_no_such_camera_is_one_line_and_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    for index in (-1, 97):
        with pytest.raises(InputError) as refusal:
            open_source(index)
        assert str(index) in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert capfd.readouterr().err == ""


def test_a_camera_that_opencv_cannot_open_is_one_line_and_no_noise(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(camera, "_check_present", lambda _: None)
    if Path("/dev/video97").exists():
        pytest.skip("this machine has a camera 97")
    with pytest.raises(InputError, match="camera 97 cannot be opened"):
        open_source(97)
    assert capfd.readouterr().err == ""


def test_a_camera_cannot_be_looped(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = plug_in(monkeypatch, [])
    with pytest.raises(InputError, match="only a recording can be looped"):
        open_source(0, loop=True)
    assert capture.released
