"""Small videos, well and badly made, that tests write for themselves."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from edgevid.frame import Pixels

TIME_BASE = Fraction(1, 90_000)


def numbered_frames(count: int, width: int = 96, height: int = 64) -> list[Pixels]:
    """Frames that can be told apart after compression: `number_of` reads their number (below 256) back."""
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 128, np.uint8)
        for bit in range(8):
            frame[height // 4 : height * 3 // 4, bit * width // 8 : (bit + 1) * width // 8] = 255 * (number >> bit & 1)
        frames.append(frame)
    return frames


def number_of(pixels: Pixels) -> int:
    """The number of a frame of `numbered_frames`, whatever its size now."""
    height, width = pixels.shape[:2]
    return sum((int(pixels[height // 2, (2 * bit + 1) * width // 16].mean()) > 127) << bit for bit in range(8))


def quarters(width: int = 96, height: int = 64) -> Pixels:
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right."""
    frame = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    frame[top, left], frame[top, right], frame[bottom, left], frame[bottom, right] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    return frame


def write_video(
    path: Path,
    frames: Sequence[Pixels],
    *,
    times_s: Sequence[float] | None = None,
    fps: float = 25.0,
    codec: str | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write RGB frames at `times_s`, or `fps` of them a second.

    Args:
        codec: by default H.264 for .mp4, .mov and .mkv, MPEG-4 for .avi, VP8 for .webm.
        rotation: degrees counter-clockwise by which a player turns the picture (.mp4 and .mov).
        mirrored: a player shows it mirrored left to right.
        aspect: width of a pixel over its height.
        options, container_options: FFmpeg's, such as `{"movflags": "faststart"}` for the container.
    """
    codec = codec or {".avi": "mpeg4", ".webm": "libvpx"}.get(path.suffix, "libx264")
    times_s = times_s or [n / fps for n in range(len(frames))]
    height, width = frames[0].shape[:2] if frames else (64, 96)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 2_000_000
        stream.options = {"preset": "ultrafast", **(options or {})} if codec == "libx264" else options or {}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if codec != "mpeg4":  # whose time base has 16 bits; it goes with fps
            stream.codec_context.time_base = TIME_BASE
        if rotation is not None or mirrored:
            stream.set_display_rotation(rotation or 0, hflip=mirrored)
        container.start_encoding()  # so that no frames make a file too
        base = stream.codec_context.time_base or Fraction(1) / Fraction(fps)
        for pixels, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(time_s / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path, seconds: float = 0.5, cover: Pixels | None = None) -> Path:
    """Silence, with a picture on the cover if one is given (.mp3)."""
    rate_hz, samples = 16_000, 1152
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3" if path.suffix == ".mp3" else "aac", rate=rate_hz, layout="mono")
        picture = None
        if cover is not None:
            picture = container.add_stream("png")
            picture.width, picture.height, picture.pix_fmt = cover.shape[1], cover.shape[0], "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
        for start in range(0, int(seconds * rate_hz), samples):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if picture is not None and cover is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")))
            container.mux(picture.encode(None))
    return path


def truncate(path: Path, share: float) -> Path:
    """Cut the file off after this share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage(path: Path, start: float, share: float, seed: int = 0) -> Path:
    """Overwrite a share of the file's bytes, from `start` (a share too) on, with noise."""
    data = bytearray(path.read_bytes())
    begin, length = int(len(data) * start), int(len(data) * share)
    data[begin : begin + length] = np.random.default_rng(seed).bytes(length)
    path.write_bytes(data)
    return path


def write_images(folder: Path, frames: Sequence[Pixels], pattern: str = "frame_{}.png") -> Path:
    """One image per frame, numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(frames, start=1):
        cv2.imwrite(str(folder / pattern.format(number)), pixels[..., ::-1])
    return folder
