"""Presentation times and keyframes of a video file: what it takes to decode a part of it as if from its start.

An index is made from the packets, which costs a hundredth of decoding them. Times follow from them only where a file
keeps the rules: every packet one frame with a time of its own, the first of them decodable. Of any other file the
times are those of decoding it all, and it is never sought in.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgevid.sources.times import PresentationTimes
from edgevid.sources.video import (
    Bytes,
    VideoSource,
    early_end,
    nominal_rate_hz,
    open_file,
    undisturbed,
    video_stream,
)
from edgevid_train.storage import media

_SHOWN_VP8 = 0x10
"""The bit of a VP8 packet's first byte that says that its frame is shown (RFC 6386, 9.1)."""


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file's best video stream, in the order in which they are shown.

    Attributes:
        times_s: float64 `(N,)`: as the runtime's source gives them: from 0, never going back.
        pts: int64 `(N,)`: the same in the stream's own unit, rising; empty where the file cannot be sought in.
        key_pts, key_dts: int64 `(K,)`: presentation and decoding times of the keyframes, rising.
        decoded: bool `(N,)`: frames that came out of the decoder in a clip that was used. A packet proves nothing.
        fault: why the file ends before its natural end, one line, or None.
    """

    times_s: NDArray[np.float64]
    pts: NDArray[np.int64]
    key_pts: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    decoded: NDArray[np.bool_]
    fault: str | None = None

    def __post_init__(self) -> None:
        if len(self.pts) not in (0, len(self.times_s)) or len(self.decoded) != len(self.times_s):
            raise ValueError(f"{len(self.pts)} pts, {len(self.decoded)} flags of {len(self.times_s)} frames")
        if len(self.key_pts) != len(self.key_dts) or (len(self.pts) and not len(self.key_pts)):
            raise ValueError(f"{len(self.key_pts)} and {len(self.key_dts)} times of keyframes")

    def __repr__(self) -> str:
        how = f"{len(self.key_pts)} keyframes" if self.seekable else "only from the start"
        return f"FrameIndex({len(self.times_s)} frames, {how}, {int(self.decoded.sum())} decoded)"

    @property
    def seekable(self) -> bool:
        return len(self.pts) > 0

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in (self.times_s, self.pts, self.key_pts, self.key_dts, self.decoded))

    def span(self, start_s: float, end_s: float | None) -> slice:
        """The frames from `start_s` on and before `end_s`."""
        last = len(self.times_s) if end_s is None else int(np.searchsorted(self.times_s, end_s))
        return slice(int(np.searchsorted(self.times_s, start_s)), last)

    def marked(self, span: slice) -> Self:
        """The same, knowing that the frames of `span` were decoded."""
        decoded = self.decoded.copy()
        decoded[span] = True
        return replace(self, decoded=decoded)


def read_index(file: Path) -> FrameIndex:
    """Index a file.

    Raises:
        InputError: no such file, or no video in it that can be decoded; one line.
    """
    where = media(file)
    with undisturbed(where), open_file(where, str(where)) as container:
        found = _from_packets(container, video_stream(container, str(where)))
    if found is not None and found[1]:
        return found[0]
    decoded = _from_frames(where)
    # Times of packets that decoding has confirmed are as good as told.
    return found[0] if found is not None and np.array_equal(found[0].times_s, decoded.times_s) else decoded


def _from_packets(container: InputContainer, stream: VideoStream) -> tuple[FrameIndex, bool] | None:
    """None when the packets do not say which frames there will be. Returns: the index, and whether it is certain."""
    stream.codec_context.thread_count = 1
    packets: list[tuple[int, int, bool, int]] = []  # pts, dts, keyframe, duration
    begins_at: int | None = None
    try:
        for packet in container.demux(stream):
            if begins_at is None:
                begins_at = next((frame.pts for frame in stream.decode(packet)), None)
            if packet.size == 0 or packet.is_discard or _is_hidden(packet, stream):
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            dts = packet.pts if packet.dts is None else packet.dts  # Matroska has none
            packets.append((packet.pts, dts, packet.is_keyframe, packet.duration or 0))
    except av.error.FFmpegError:
        return None
    if not packets or stream.time_base is None:
        return None
    stamps = np.array(packets, np.int64)
    shown = stamps[np.argsort(stamps[:, 0])]
    keys = stamps[stamps[:, 2] == 1]
    # AVI knows one time of a packet only, the one of decoding, from which FFmpeg guesses the other. That looks like any
    # file whose encoder was allowed to reorder frames, and did not.
    untold = stream.codec_context.has_b_frames and len(stamps) > 2 and np.array_equal(stamps, shown)
    rising = all((np.diff(x[:, 0]) > 0).all() for x in (shown, keys))
    if not rising or not len(keys) or begins_at != shown[0, 0]:
        return None
    rate_hz = nominal_rate_hz(stream)
    times = PresentationTimes(1 / rate_hz if rate_hz else None)
    # Divided as PyAV divides, to the last bit.
    unit = stream.time_base
    times_s = np.array([times(float(pts) * unit.numerator / unit.denominator) for pts in shown[:, 0]], np.float64)
    lasts_s = float(int(shown[-1, 3]) * unit)
    fault = early_end(container, stream, float(times_s[-1]) + max(lasts_s, times.interval_s))
    index = FrameIndex(times_s, shown[:, 0].copy(), keys[:, 0], keys[:, 1], np.zeros(len(shown), np.bool_), fault)
    return index, not untold


def _from_frames(file: Path | Bytes) -> FrameIndex:
    """By decoding every frame, from the start to the end."""
    with VideoSource(file, str(file), short_side=16) as source:
        source.wanted = lambda _: False
        times_s = np.array([frame.time_s for frame in source], np.float64)
    none = np.zeros(0, np.int64)
    return FrameIndex(times_s, none, none, none, np.zeros(len(times_s), np.bool_), source.fault)


def _is_hidden(packet: "Packet[VideoStream]", stream: VideoStream) -> bool:
    """Whether it holds only what later frames are predicted from."""
    return stream.codec_context.name == "vp8" and not bytes(packet)[0] & _SHOWN_VP8
