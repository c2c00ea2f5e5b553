"""Some frames of a file, decoded from the keyframes before them, with nothing decoded that they do not need.

From the keyframe on, frames that no other frame is predicted from are left out unless they are wanted themselves (with
B-frames that is half of them), and after the last wanted frame the decoder is emptied instead of fed on. What comes out
must be every frame that the index names, whole; if not, nothing is given, and decoding from the start has to say what
is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgevid.frame import Pixels
from edgevid.sources.pixels import ToPixels
from edgevid.sources.video import open_file, pixel_aspect, undisturbed, video_stream
from edgevid_train.decode.index import FrameIndex
from edgevid_train.storage import media

_SKIPS_UNREFERENCED = {"h264", "hevc", "mpeg2video", "mpeg4"}
"""Decoders of FFmpeg that leave out, packet by packet, what nothing is predicted from."""

_WHOLE = {PictureType.I, PictureType.NONE}


class SeekError(Exception):
    """Decoding from a keyframe did not give what the index promises."""


def read_frames(
    file: Path, index: FrameIndex, positions: NDArray[np.intp], short_side: int, threads: int = 1
) -> list[Pixels]:
    """The frames at `positions` of a seekable index, rising: RGB uint8 `(H, W, 3)` each, as the runtime's source.

    Raises:
        SeekError: not all of them can be had this way.
        InputError: the file is gone.
    """
    wanted = [int(pts) for pts in index.pts[positions]]
    found: dict[int, Pixels] = {}
    where = media(file)
    with undisturbed(where), open_file(where, str(where)) as container:
        stream = video_stream(container, str(where))
        stream.codec_context.thread_count = threads
        to_pixels = ToPixels(short_side, pixel_aspect(stream), threads)
        try:
            for frame in _Walk(container, stream, index).frames(wanted):
                if frame.pts is not None and frame.pts not in found:
                    found[frame.pts] = to_pixels(frame)
        except av.error.FFmpegError as error:
            raise SeekError(str(error)) from None
    if len(found) != len(wanted):
        raise SeekError(f"{len(wanted) - len(found)} of {len(wanted)} frames did not come")
    return [found[pts] for pts in wanted]


@dataclass
class _Walk:
    container: InputContainer
    stream: VideoStream
    index: FrameIndex
    begun_at: int | None = None
    """The keyframe that decoding was begun at, until it has come out."""

    def frames(self, wanted: list[int]) -> Iterator[VideoFrame]:
        """Frames with these times, rising, in whichever order they are decoded."""
        # A frame is decoded from the last keyframe that is not shown after it: leading frames of an open group of
        # pictures, shown before their keyframe and predicted from the group before too, belong to the group before.
        groups: dict[int, set[int]] = {}
        for pts, key in zip(wanted, np.searchsorted(self.index.key_pts, wanted, side="right") - 1, strict=True):
            if key < 0:
                raise SeekError("a frame before the first keyframe")
            groups.setdefault(int(key), set()).add(pts)
        while groups:
            yield from self._run(min(groups), groups)

    def _run(self, key: int, groups: dict[int, set[int]]) -> Iterator[VideoFrame]:
        """Groups from `key` on, taken out of `groups`, up to the first that is not the next."""
        codec, index = self.stream.codec_context, self.index
        skip: Literal["NONREF", "DEFAULT"] = "NONREF" if codec.name in _SKIPS_UNREFERENCED else "DEFAULT"
        wanted: set[int] = set()
        left: set[int] = set()  # of the groups begun: frames whose packet was not met yet
        feeding = False
        for packet in self._packets_from(key):
            if packet.is_keyframe and packet.pts == index.key_pts[key] and key in groups:
                wanted |= groups[key]
                left |= groups.pop(key)
                if not feeding:
                    codec.flush_buffers()
                    self.begun_at = packet.pts
                feeding = True
                key += 1
            elif not feeding and packet.is_keyframe and packet.pts > index.key_pts[key]:
                raise SeekError("the keyframe was not found")
            if not feeding:
                continue
            codec.skip_frame = "DEFAULT" if packet.pts in wanted or packet.is_keyframe else skip
            yield from self._wanted(packet, wanted)
            left.discard(packet.pts)
            if not left:
                yield from self._wanted(None, wanted)
                feeding = False
                if key not in groups:
                    return
        raise SeekError("the file ends before its last frame")

    def _wanted(self, packet: "Packet[VideoStream] | None", wanted: set[int]) -> Iterator[VideoFrame]:
        for frame in self.stream.decode(packet):
            if frame.is_corrupt:
                raise SeekError("a frame is damaged")
            if self.begun_at is not None:
                # With periodic intra refresh what is called a keyframe is none: pictures become whole bit by bit.
                if frame.pts != self.begun_at or frame.pict_type not in _WHOLE:
                    raise SeekError("not a keyframe that decoding can begin at")
                self.begun_at = None
            if frame.pts in wanted:
                yield frame

    def _packets_from(self, key: int) -> "Iterator[Packet[VideoStream]]":
        """Packets from a keyframe on, or from somewhere before it."""
        at_dts = int(self.index.key_dts[key])
        if key:
            # Containers seek by decoding or by presentation time; the lesser leads to the keyframe or before it.
            self.container.seek(min(at_dts, int(self.index.key_pts[key])), stream=self.stream)
        return self.container.demux(self.stream)
