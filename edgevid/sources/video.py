"""Video files and network streams, decoded by PyAV (FFmpeg)."""

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from edgevid.errors import InputError
from edgevid.frame import NO_PIXELS, Frame, Pixels
from edgevid.interrupts import held_back
from edgevid.sources.contract import Source, SourceCounts, SourceInfo
from edgevid.sources.pixels import ToPixels
from edgevid.sources.times import PresentationTimes

_TEXT_FORMATS = {"tty", "lrc"}
"""FFmpeg shows any .txt file as a video of its letters; nobody means that."""

_FASTEST_HZ = 240.0
"""Above it a rate is no rate: recordings of uneven frames may give the unit of their times instead, 1000 or 90000."""

_UNTIMED_FORMATS = {"mpjpeg", "mjpeg", "h264", "hevc", "m4v"}
"""Their frames have no times of their own; FFmpeg gives them those of 25 a second."""

_EARLY_S = 0.5
"""A file that ends this much before the end it declares is damaged; less is how containers round."""


class Bytes(Protocol):
    """A recorded video that is no file of its own, like a part of an archive; `str` names it."""

    def open(self) -> BinaryIO:
        """Its bytes, seekable. Raises InputError, as does reading them."""
        ...


class VideoSource(Source):
    """Frames of the best video stream (FFmpeg's choice: default before others, then the largest) of a file or address.

    `location` is a path, or an address as text, or a video's bytes. `timeout_s` bounds the opening of an address, each
    read from it and the wait for a picture; an address without a duration is a live stream. What cannot be decoded is
    counted and passed over; a file that ends before the end it declares ends the source with a `fault`.

    Raises:
        InputError: there is nothing there that can be shown.
    """

    def __init__(
        self,
        location: str | Path | Bytes,
        name: str,
        *,
        short_side: int,
        threads: int = 1,
        timeout_s: float = 10.0,
        counts: SourceCounts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(counts)
        self._clock = clock
        self._timeout_s = timeout_s
        self._index = 0
        self._location = location
        with undisturbed(location):
            self._begin(location, name, short_side, threads)

    def _begin(self, location: str | Path | Bytes, name: str, short_side: int, threads: int) -> None:
        self._remote = isinstance(location, str)
        if isinstance(location, str):
            self._container = _open(location, name, self._timeout_s)
        else:
            self._container = open_file(location, name)
        try:
            self._stream = video_stream(self._container, name)
            self._stream.codec_context.thread_count = threads
            rate_hz = nominal_rate_hz(self._stream)
            self._to_pixels = ToPixels(short_side, pixel_aspect(self._stream), threads)
            self._times = PresentationTimes(1 / rate_hz if rate_hz else None)
            self._untimed = self._remote and self._container.format.name in _UNTIMED_FORMATS
            # Only a decoded picture proves that there is one, and knows its size; it is given by the first read.
            self._pictures = self._decode()
            self._first = next(self._pictures, None)
            if self._first is None:
                raise InputError(f"{name}: no frame of its video can be decoded")
        except BaseException:
            self._container.close()
            raise
        duration_s = declared_s(self._container) or None
        width, height = self._size
        self.info = SourceInfo(name, width, height, rate_hz, duration_s, live=self._remote and duration_s is None)

    def _read(self) -> Frame | None:
        with undisturbed(self._location):
            picture, self._first = self._first or next(self._pictures, None), None
        if picture is None:
            return None
        pixels, time_s = picture
        frame = Frame(pixels, time_s, self._index, self._clock())
        self._index += 1
        self.counts.frames += 1
        return frame

    def _release(self) -> None:
        self._pictures.close()  # suspended it would keep this source, and with it the file's bytes
        self._container.close()

    def _decode(self) -> Generator[tuple[Pixels, float]]:
        """Pixels and time of every frame that can be decoded, up to the end or the damage that ends the file."""
        end_s = 0.0
        for decoded in self._decoded():
            time_s = self._times(self._clock() if self._untimed else decoded.time)
            self.counts.retimed += self._times.repaired
            self._times.repaired = 0
            self.counts.damaged += decoded.is_corrupt
            lasts_s = float(decoded.duration * decoded.time_base) if decoded.time_base else 0.0
            end_s = time_s + max(lasts_s, self._times.interval_s)
            if not self.wanted(time_s):
                yield NO_PIXELS, time_s
                continue
            try:
                pixels = self._to_pixels(decoded)
            except av.error.FFmpegError:
                self.counts.undecodable += 1
                continue
            self._size = self._to_pixels.size(decoded)
            yield pixels, time_s
        self.fault = self.fault or early_end(self._container, self._stream, end_s)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        seen_s = self._clock()
        for packet in self._packets():
            try:
                for decoded in self._stream.decode(packet):
                    yield decoded
                    seen_s = self._clock()
            except av.error.FFmpegError:
                self.counts.undecodable += 1
            if self._remote and not self.fault and self._clock() - seen_s > self._timeout_s:
                self.fault = f"sends nothing that can be decoded: no picture within {self._timeout_s:g} s"
                return

    def _packets(self) -> Iterator["Packet[VideoStream] | None"]:
        """Packets up to the end or to the damage; the last one, or None, makes the decoder give what it holds."""
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            self.fault = f"cannot be read on: {_reason(error, self._timeout_s)}"
            yield None


def undisturbed(location: str | Path | Bytes) -> AbstractContextManager[None]:
    """For what reads `location` by FFmpeg: where that reads through Python, an interrupt is raised at the end.

    Out of a read it would not come back: FFmpeg would take it for the end of the file, and go on.
    """
    return nullcontext() if isinstance(location, str | Path) else held_back()


def nominal_rate_hz(stream: VideoStream) -> float | None:
    """Frames per second as the file says, None where it says nothing that can be believed."""
    said_hz = float(stream.average_rate or 0)
    return said_hz if 0 < said_hz <= _FASTEST_HZ else None


def pixel_aspect(stream: VideoStream) -> float:
    """Width of a pixel over its height."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0


def early_end(container: InputContainer, stream: VideoStream, end_s: float) -> str | None:
    """What is wrong with a file whose last picture ends at `end_s`, if it declares that there should be more."""
    lasts_s = 0.0
    if stream.duration and stream.time_base:
        lasts_s = float(stream.duration * stream.time_base)
    elif len(container.streams) == 1:  # a container's length may be that of its sound
        lasts_s = declared_s(container)
    missing_s = lasts_s - end_s
    return f"ends {missing_s:.1f} s too early: the file is truncated or damaged" if missing_s > _EARLY_S else None


def declared_s(container: InputContainer) -> float:
    """How long a container says it lasts, 0 where it says nothing. Matroska tells the end, wherever it begins."""
    begins = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
    return max(0, (container.duration or 0) - begins) / av.time_base


def open_file(path: Path | Bytes, name: str) -> InputContainer:
    """Open a file, or refuse with a reason of our own what FFmpeg would only call invalid data (InputError)."""
    if not isinstance(path, Path):
        return _open(path.open(), name, None)
    try:
        status = path.stat()
    except FileNotFoundError:
        hint = f" (a camera is edgevid live --camera {name})" if name.isdecimal() else ""
        raise InputError(f"{name}: no such file{hint}") from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name}: neither a file nor a folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name}: no permission to read it")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty")
    # An absolute path, since FFmpeg takes what stands before a colon for a protocol.
    return _open(str(path.absolute()), name, None)


def _open(location: str | BinaryIO, name: str, timeout_s: float | None) -> InputContainer:
    options = {"rtsp_transport": "tcp"} if isinstance(location, str) and location.startswith("rtsp") else {}
    try:
        # metadata_errors: titles in an unknown encoding are no reason to refuse the pictures.
        container = av.open(location, "r", options=options, timeout=timeout_s, metadata_errors="replace")
    except av.error.InvalidDataError:
        other = "damaged beyond reading" if timeout_s is None else f"no answer within {timeout_s:g} s"
        raise InputError(f"{name}: not a video, or {other}") from None
    except av.error.FFmpegError as error:
        raise InputError(f"{name}: {_reason(error, timeout_s)}") from None
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise InputError(f"{name}: text, not a video")
    return container


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """FFmpeg's choice of what is to be seen. Raises InputError when nothing is."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:  # a cover is no video
        raise InputError(f"{name}: {'only sound' if container.streams.audio else 'no video'} in it")
    if stream.codec_context is None:
        raise InputError(f"{name}: its video is in a format that FFmpeg cannot decode here")
    return stream


def _reason(error: av.error.FFmpegError, timeout_s: float | None) -> str:
    """In words without the address, which may hold a password."""
    if isinstance(error, av.error.ExitError):  # how PyAV says that its own timeout struck
        return f"no answer within {timeout_s:g} s"
    return error.strerror or "FFmpeg does not say why"
