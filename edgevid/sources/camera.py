"""Cameras, through OpenCV."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgevid.errors import InputError
from edgevid.frame import Frame
from edgevid.preprocess import reduce
from edgevid.sources.contract import Source, SourceCounts, SourceInfo
from edgevid.sources.quiet import no_stderr, quiet_opencv
from edgevid.sources.times import CameraTimes

MAX_FAILED_READS, SILENT_S = 20, 5.0
"""After so many reads in a row that fail, or so long without a frame (OpenCV waits 10 s for one), it is gone."""
RETRY_S = 0.1

_BACKENDS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_MSMF}
"""The system's own; OpenCV's search for one is slow and noisy where there is no camera."""


class CameraSource(Source):
    """Frames of camera `index` as they come, of which the driver is asked to keep one and no backlog.

    On macOS open it on the main thread (the system asks the person for permission there); reading may be elsewhere.
    `alone`: no other thread has something to say on standard error now.
    A camera that gives nothing any more ends the source with a `fault`.

    Raises:
        InputError: no such camera, or no permission to use it.
    """

    def __init__(
        self,
        index: int,
        *,
        short_side: int,
        counts: SourceCounts | None = None,
        clock: Callable[[], float] = time.monotonic,
        alone: bool = True,
    ) -> None:
        super().__init__(counts)
        _check_present(index)
        with quiet_opencv(), no_stderr() if alone else contextlib.nullcontext():
            self._capture = cv2.VideoCapture(index, _BACKENDS.get(sys.platform, cv2.CAP_ANY))
            opened = self._capture.isOpened()
        if not opened:
            self._capture.release()
            hint = "; allow the terminal to use it in System Settings, Privacy" if sys.platform == "darwin" else ""
            raise InputError(f"camera {index} cannot be opened: not there, or in use{hint}")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._short_side = short_side
        self._clock = clock
        self._times = CameraTimes()
        self._index = 0
        self._heard_s: float | None = None  # when it gave a frame, or was found to give none
        width, height = (int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(f"camera {index}", width, height, rate_hz if rate_hz > 0 else None, None, live=True)

    def _read(self) -> Frame | None:
        for _ in range(MAX_FAILED_READS):
            read, image = self._capture.read()
            if self._closing.is_set():
                return None
            if read:
                now_s = self._heard_s = self._clock()
                time_s = self._times(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, now_s)
                self.counts.retimed += self._times.repaired
                self._times.repaired = 0
                bgr = reduce(np.asarray(image, np.uint8), self._short_side)
                frame = Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), time_s, self._index, now_s)
                self._index += 1
                self.counts.frames += 1
                return frame
            self.counts.failed_reads += 1
            failed_s = self._clock()
            self._heard_s = failed_s if self._heard_s is None else self._heard_s
            if failed_s - self._heard_s > SILENT_S:
                break
            self._closing.wait(RETRY_S)
        self.fault = "gives no frames any more: unplugged, or taken by another program"
        return None

    def _release(self) -> None:
        self._capture.release()


def _check_present(index: int) -> None:
    """On Linux a camera is a file, which tells more, and sooner, than OpenCV does."""
    if index < 0:
        raise InputError(f"no such camera: {index}")
    if sys.platform != "linux":
        return
    device = Path(f"/dev/video{index}")
    if not device.exists():
        there = sorted(int(p.name[5:]) for p in Path("/dev").glob("video*") if p.name[5:].isdecimal())
        raise InputError(f"no such camera: {index} (there {_list(there)})")
    if not os.access(device, os.R_OK | os.W_OK):
        raise InputError(f"camera {index}: no permission to use {device}; its group is usually 'video'")


def _list(cameras: list[int]) -> str:
    return f"are {', '.join(map(str, cameras))}" if cameras else "is none"
