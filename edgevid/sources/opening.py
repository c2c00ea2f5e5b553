"""From what a person writes to an opened source."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from edgevid.assets import asset
from edgevid.errors import InputError
from edgevid.sources.camera import CameraSource
from edgevid.sources.contract import Source, SourceCounts
from edgevid.sources.images import ImageSource
from edgevid.sources.playback import Pace, Playback
from edgevid.sources.video import VideoSource

DEMO = "demo"
DEMO_CLIP = "demo/demo.mp4"
_SCHEMES = {"http", "https", "rtsp", "rtsps"}


def open_source(
    spec: int | str | Path,
    *,
    short_side: int = 240,
    pace: Pace = "source",
    loop: bool = False,
    rate_hz: float | None = None,
    threads: int = 1,
    timeout_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
) -> Source:
    """Open a camera (a number), a video file, a folder of images, an address, or the bundled clip (`demo`).

    Args:
        short_side: frames are reduced to at most this many pixels on their short side.
        pace: `source` gives recorded frames at the times they were recorded at, `fast` as soon as they are fetched.
        loop: start a recording again at its end; time goes on.
        rate_hz: how many images of a folder make a second; only for folders, and needed for them.
        threads: for decoding.
        timeout_s: for opening an address and for each read from it.
        clock, sleep: for tests.

    Raises:
        InputError: one line that says why there is nothing to see.
    """
    if isinstance(spec, int):
        if loop:
            raise InputError("only a recording can be looped; a camera has no end")
        return CameraSource(spec, short_side=short_side, clock=clock)
    if isinstance(spec, str) and "://" in spec:
        return _open_address(spec, short_side, pace, loop, threads, timeout_s, clock, sleep)
    name = str(spec)
    path = asset(DEMO_CLIP) if spec == DEMO else Path(spec)
    if path.is_dir():
        if rate_hz is None:
            raise InputError(f"{name}: a folder of images needs its rate in frames per second")
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise InputError(f"the rate of {name} must be above 0, not {rate_hz}")
        rate = rate_hz

        def open_again(counts: SourceCounts) -> Source:
            return ImageSource(path, rate, short_side=short_side, counts=counts, clock=clock)
    else:

        def open_again(counts: SourceCounts) -> Source:
            return VideoSource(path, name, short_side=short_side, threads=threads, counts=counts, clock=clock)

    return Playback(open_again, pace=pace, loop=loop, clock=clock, sleep=sleep)


def _open_address(
    address: str,
    short_side: int,
    pace: Pace,
    loop: bool,
    threads: int,
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object] | None,
) -> Source:
    """A live stream is given as it comes; a recording on a server is played like one on the disk."""
    name = printable(address)
    if address.split("://")[0].lower() not in _SCHEMES:
        raise InputError(f"{name}: addresses begin with {', '.join(sorted(_SCHEMES))}")

    def open_again(counts: SourceCounts) -> Source:
        return VideoSource(
            address, name, short_side=short_side, threads=threads, timeout_s=timeout_s, counts=counts, clock=clock
        )

    source = open_again(SourceCounts())
    if not source.info.live:
        source.close()
        return Playback(open_again, pace=pace, loop=loop, clock=clock, sleep=sleep)
    if loop:
        source.close()
        raise InputError(f"{name}: only a recording can be looped; a live stream has no end")
    return source


def printable(address: str) -> str:
    """An address without what may be secret: user, password, query and fragment."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
