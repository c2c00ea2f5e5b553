"""From what a person writes to an opened source."""

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import get_args

from edgevid.address import printable
from edgevid.assets import asset
from edgevid.errors import InputError
from edgevid.files import exists, is_folder
from edgevid.sources.camera import CameraSource
from edgevid.sources.contract import Source, SourceCounts
from edgevid.sources.images import ImageSource
from edgevid.sources.playback import Pace, Playback
from edgevid.sources.reconnecting import Reconnecting
from edgevid.sources.video import Bytes, VideoSource

DEMO = "demo"
DEMO_CLIP = "demo/demo.mp4"
_SCHEMES = {"http", "https", "rtsp", "rtsps"}


def open_source(
    spec: int | str | Path | Bytes,
    *,
    short_side: int = 240,
    pace: Pace = "source",
    loop: bool = False,
    rate_hz: float | None = None,
    threads: int = 1,
    timeout_s: float = 10.0,
    reconnect_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
) -> Source:
    """Open a camera (a number), a video file or its bytes, a folder of images, an address, or the bundled `demo`.

    Args:
        short_side: frames are reduced to at most this many pixels on their short side.
        pace: `source` gives recorded frames at the times they were recorded at, `fast` as soon as they are fetched.
        loop: start a recording again at its end; time goes on.
        rate_hz: how many images of a folder make a second; only for folders, and needed for them.
        threads: for decoding.
        timeout_s: for opening an address and for each read from it.
        reconnect_s: how long a camera or a live address that is lost is opened again and again; 0: its loss is its end.
        clock, sleep: for tests.

    Raises:
        InputError: one line that says why there is nothing to see.
    """
    if pace not in get_args(Pace):
        raise InputError(f"pace is {' or '.join(get_args(Pace))}, not {pace}")
    is_address = isinstance(spec, str) and "://" in spec
    name = _without_password(spec, is_address=is_address) if isinstance(spec, str) else str(spec)
    path = asset(DEMO_CLIP) if spec == DEMO else Path(str(spec))
    is_images = isinstance(spec, str | Path) and not is_address and is_folder(path)
    if is_images and rate_hz is None:
        raise InputError(f"{name}: a folder of images needs a rate in frames per second: --rate")
    if rate_hz is not None and not is_images:
        raise InputError(f"{name}: a rate is for folders of images; this has times of its own")
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"{name}: the rate must be above 0, not {rate_hz}")
    if is_address and name.split("://")[0] not in _SCHEMES:
        raise InputError(f"{name}: addresses begin with {', '.join(sorted(_SCHEMES))}")

    def open_once(counts: SourceCounts, *, alone: bool = True) -> Source:
        if isinstance(spec, int):
            return CameraSource(spec, short_side=short_side, counts=counts, clock=clock, alone=alone)
        if rate_hz is not None:
            return ImageSource(path, rate_hz, short_side=short_side, counts=counts, clock=clock)
        location = spec if not isinstance(spec, str | Path) else str(spec) if is_address else path
        return VideoSource(
            location, name, short_side=short_side, threads=threads, timeout_s=timeout_s, counts=counts, clock=clock
        )

    def open_again(counts: SourceCounts, given_up: Callable[[], bool]) -> Source:
        return _aside(lambda: open_once(counts), given_up) if is_address else open_once(counts, alone=False)

    counts = SourceCounts()
    source = _aside(lambda: open_once(counts)) if is_address else open_once(counts)
    if not source.info.live:
        return Playback(source, open_once, pace=pace, loop=loop, clock=clock, sleep=sleep)
    if loop:
        source.close()
        raise InputError(f"{source.info.name}: only a recording can be looped; what is live has no end")
    return Reconnecting(source, open_again, for_s=reconnect_s, clock=clock, sleep=sleep) if reconnect_s else source


def _without_password(name: str, *, is_address: bool) -> str:
    """A file's name as it is; of an address, or of what may be one with a slip in it, nothing that is secret."""
    if is_address:
        return printable(name, ports=False)
    return name if exists(name) else re.sub(r"[^/\\]*:.*@", "", name, flags=re.DOTALL)


def _aside(open_: Callable[[], Source], given_up: Callable[[], bool] = lambda: False) -> Source:
    """What `open_` gives or raises; Ctrl-C does not wait for it, nor does who has `given_up` (InputError).

    While FFmpeg waits for an answer it swallows the KeyboardInterrupt of the thread that it is called on. One that is
    left behind ends with the process, or with its own timeout.
    """
    opened: Future[Source] = Future()

    def run() -> None:
        try:
            opened.set_result(open_())
        except BaseException as error:
            opened.set_exception(error)

    threading.Thread(target=run, name="opening", daemon=True).start()
    while not given_up():
        with contextlib.suppress(TimeoutError):
            return opened.result(timeout=0.1)  # in slices: on Windows a wait without end cannot be interrupted
    opened.add_done_callback(_close)
    raise InputError("given up")


def _close(opened: Future[Source]) -> None:
    if opened.exception() is None:
        opened.result().close()
