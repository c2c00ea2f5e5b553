"""Frames decoded from the keyframe before them are those of decoding from the start, whatever the file."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from videos import damage, write_video

from edgevid.frame import Pixels
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodeError, IndexStore, clip, decode_clip, read_index
from edgevid_train.decode.seek import SeekError, read_frames

COUNT = 60
X264 = {"preset": "medium", "g": "12", "bf": "3"}


def moving(count: int, width: int = 96, height: int = 64) -> list[Pixels]:
    """Frames with something to predict: a soft texture that slides by."""
    rng = np.random.default_rng(1)
    wide = cv2.GaussianBlur(rng.integers(0, 255, (height * 2, width * 4, 3), np.uint8), (0, 0), 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    return [np.ascontiguousarray(wide[i % height :, 3 * i % (3 * width) :][:height, :width]) for i in range(count)]


def uneven() -> list[float]:
    return [float(t) for t in np.cumsum(np.random.default_rng(2).uniform(0.01, 0.12, COUNT))]


def x264(extra: str = "", **options: str) -> dict[str, str]:
    return {**X264, "x264-params": f"scenecut=0:keyint=12{extra}", **options}


def mpeg2(path: Path) -> None:
    """MPEG-2 has open groups of pictures and a time base of its own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k, pixels in enumerate(moving(COUNT)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


H264 = {"codec": "libx264", "options": x264()}
FILES: dict[str, dict[str, Any]] = {
    "closed.mp4": H264,
    "open.mp4": {"options": x264(":open-gop=1")},
    "open.mkv": {"options": x264(":open-gop=1")},
    "open.ts": {"codec": "libx264", "options": x264(":open-gop=1")},
    "uneven.mp4": H264 | {"times_s": uneven()},
    "uneven.mkv": H264 | {"times_s": uneven()},
    "plain.mp4": {"options": x264(bf="0")},
    "mpeg2.ts": {},
    "mpeg4.avi": {"options": {"g": "12", "bf": "2"}},
    "hidden.webm": {"options": {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "10"}},
}
NOT_SEEKABLE: dict[str, dict[str, Any]] = {
    "refresh.mp4": {"options": x264(":intra-refresh=1")},  # no keyframe after the first
    "h264.avi": H264,  # packets without presentation times
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def record(file: Path, start_s: float = 0.0, end_s: float | None = None) -> ClipRecord:
    return ClipRecord(file, file.name, ("up",), "g", start_s, end_s)


def assert_same_as_from_the_start(file: Path, indexes: IndexStore, seed: int = 0) -> None:
    whole = decode_clip(record(file), 48)
    assert np.array_equal(indexes.get(file).times_s, whole.times_s)
    rng, count = np.random.default_rng(seed), len(whole.times_s)
    for _ in range(5):
        chosen = np.sort(rng.integers(count, size=int(rng.integers(1, 7))))  # some of them twice
        some = decode_clip(record(file), 48, None, indexes, lambda _, chosen=chosen: chosen)
        assert np.array_equal(some.frames, whole.frames[chosen])
        assert np.array_equal(some.times_s, whole.times_s[chosen])
        begin_s = float(rng.uniform(0, whole.times_s[-1]))
        end_s = begin_s + float(rng.uniform(0.2, 1.5))
        inside = np.flatnonzero((whole.times_s >= begin_s) & (whole.times_s < end_s))
        if len(inside):
            part = decode_clip(record(file, begin_s, end_s), 48, None, indexes)
            assert np.array_equal(part.frames, whole.frames[inside])
            assert part.first == inside[0]
    again = decode_clip(record(file), 48, None, indexes)
    assert np.array_equal(again.frames, whole.frames)


@pytest.mark.parametrize("name", [*FILES, *NOT_SEEKABLE])
def test_frames_are_those_of_decoding_from_the_start(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / name
    if name == "mpeg2.ts":
        mpeg2(file)
    else:
        write_video(file, moving(COUNT), **(FILES | NOT_SEEKABLE)[name])
    came, fell_back = counted(monkeypatch)
    assert_same_as_from_the_start(file, IndexStore(tmp_path))
    if name in FILES:
        assert came
        assert not fell_back
    else:
        assert fell_back or not came


def test_a_file_whose_encoder_might_have_reordered_frames_and_did_not_is_sought_in(tmp_path: Path) -> None:
    """Its packets look as if their presentation times were guessed; decoding it once shows that they are right."""
    file = write_video(tmp_path / "in_order.mp4", moving(COUNT), options=x264(":b-adapt=1:b-bias=-100"))
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        pts = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        assert stream.codec_context.has_b_frames
        assert pts == sorted(pts)
    assert read_index(file).seekable
    assert_same_as_from_the_start(file, IndexStore(tmp_path))


def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str]]:
    """How many frames each reading by keyframes gave, and why it gave none."""
    came: list[int] = []
    fell_back: list[str] = []

    def read(*args: object) -> list[Pixels]:
        try:
            frames = read_frames(*args)  # type: ignore[arg-type]
        except SeekError as error:
            fell_back.append(str(error))
            raise
        came.append(len(frames))
        return frames

    monkeypatch.setattr(clip, "read_frames", read)
    return came, fell_back


def odd_files() -> Iterator[str]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "odd"
    yield from (sorted(file.name for file in folder.iterdir()) if folder.is_dir() else ["any"])


@pytest.mark.parametrize("name", odd_files())
def test_frames_of_odd_files(name: str, shared_data: Path, tmp_path: Path) -> None:
    file, indexes = shared_data / "odd" / name, IndexStore(tmp_path)
    end_s = read_index(file).times_s[-1]
    for begin_s, stop_s in [(end_s * 0.3, end_s * 0.4 + 0.01), (end_s * 0.9, None)]:
        found = []
        for how in (None, indexes):
            try:
                one = decode_clip(record(file, begin_s, stop_s), 48, None, how)
                found.append((one.frames.tobytes(), one.times_s.tolist(), one.first))
            except DecodeError as error:
                found.append(str(error))
        assert found[0] == found[1]


@pytest.mark.parametrize("at", [0.3, 0.5, 0.9])
def test_a_damaged_file_gives_what_decoding_from_the_start_gives(at: float, folder: Path, tmp_path: Path) -> None:
    file = folder / f"damaged{at}.mp4"
    write_video(file, moving(COUNT), options=x264())
    damage(file, at, 0.02)
    whole = decode_clip(record(file), 48)
    again = decode_clip(record(file), 48, None, IndexStore(tmp_path))
    assert np.array_equal(again.frames, whole.frames)
    assert np.array_equal(again.times_s, whole.times_s)


def test_groups_without_a_wanted_frame_are_not_decoded(folder: Path) -> None:
    whole, file = folder / "whole.mp4", folder / "holes.mp4"
    write_video(whole, moving(COUNT), options=x264())
    index = read_index(whole)
    wanted = np.array([14, 39])  # in the second and the fourth group of twelve
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts is not None and np.searchsorted(index.pts, packet.pts) // 12 in (0, 2, 4):
                assert packet.pos is not None
                data[packet.pos + 5 : packet.pos + packet.size] = bytes(packet.size - 5)
    file.write_bytes(data)
    found = read_frames(file, index, wanted, 48)
    for pixels, right in zip(found, read_frames(whole, index, wanted, 48), strict=True):
        assert np.array_equal(pixels, right)
    with pytest.raises(SeekError):
        read_frames(file, index, np.array([14, 26]), 48)


def test_some_frames_of_a_clip_are_picked_by_their_times(folder: Path, tmp_path: Path) -> None:
    file = folder / "picked.mp4"
    write_video(file, moving(COUNT), options=x264())  # 25 a second
    whole = decode_clip(record(file), 48)
    for how in (IndexStore(tmp_path), None):
        found = decode_clip(
            record(file, 0.4, 2.0), 48, None, how, lambda times_s: np.searchsorted(times_s, [0.4, 0.6, 0.6, 1.9])
        )
        assert np.array_equal(found.frames, whole.frames[[10, 15, 15, 48]])
        assert np.array_equal(found.times_s, whole.times_s[[10, 15, 15, 48]])
