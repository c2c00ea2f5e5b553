"""Video files: right frames, upright, in true colours, at their own times; and one clear line where there are none."""

import contextlib
import functools
import gc
import http.server
import itertools
import os
import resource
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
import pytest
from videos import (
    damage,
    number_of,
    numbered_frames,
    quarters,
    truncate,
    write_audio,
    write_video,
)

from edgevid.address import printable
from edgevid.errors import InputError
from edgevid.frame import Frame, Pixels
from edgevid.sources import Source, open_source

UNEVEN_S = [0.0, 0.03, 0.08, 0.18, 0.213, 0.246, 0.446, 0.486, 0.7, 1.9]


def read(spec: str | Path, **options: object) -> tuple[list[Frame], Source]:
    with open_source(spec, pace="fast", **options) as source:  # type: ignore[arg-type]
        return list(source), source


def corners(pixels: Pixels) -> str:
    """The colours of `quarters`, top left, top right, bottom left, bottom right: 'rgbw' as it was drawn."""
    height, width = pixels.shape[:2]
    names = {(True, False, False): "r", (False, True, False): "g", (False, False, True): "b", (True, True, True): "w"}
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return "".join(names[tuple((pixels[place] > 127).tolist())] for place in places)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "avi", "webm"])
def test_every_frame_comes_once_in_order_at_its_time(tmp_path: Path, ending: str) -> None:
    frames, source = read(write_video(tmp_path / f"a.{ending}", numbered_frames(12)))
    assert [number_of(f.pixels) for f in frames] == list(range(12))
    assert [f.index for f in frames] == list(range(12))
    assert [f.time_s for f in frames] == pytest.approx([n / 25 for n in range(12)], abs=1e-3)
    assert source.counts.frames == 12
    assert source.fault is None
    info = source.info
    assert (info.width, info.height, info.live) == (96, 64, False)
    assert info.rate_hz == pytest.approx(25)
    assert info.duration_s == pytest.approx(0.48, abs=0.05)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm"])
def test_uneven_times_are_the_files_own(tmp_path: Path, ending: str) -> None:
    frames, source = read(write_video(tmp_path / f"a.{ending}", numbered_frames(10), times_s=UNEVEN_S))
    assert [f.time_s for f in frames] == pytest.approx(UNEVEN_S, abs=1e-3)
    assert source.counts.retimed == 0


def test_times_start_at_zero_though_the_file_starts_later(tmp_path: Path) -> None:
    late = [100 + t for t in UNEVEN_S]
    frames, source = read(write_video(tmp_path / "a.mkv", numbered_frames(10), times_s=late))
    assert [f.time_s for f in frames] == pytest.approx(UNEVEN_S, abs=2e-3)
    assert source.fault is None, "Matroska says when it ends, not how long it lasts"
    assert source.info.duration_s == pytest.approx(1.94, abs=0.05)


def test_a_stream_without_times_or_duration_runs_at_its_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", numbered_frames(12))
    frames, source = read(path)
    assert [number_of(f.pixels) for f in frames] == list(range(12))
    steps = np.diff([f.time_s for f in frames])
    assert steps == pytest.approx(np.full(11, steps[0]))
    assert source.info.duration_s is None


def test_a_long_last_frame_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        packets = [p for f in numbered_frames(3) for p in stream.encode(av.VideoFrame.from_ndarray(f))]
        packets += stream.encode(None)
        assert packets[-1].time_base is not None
        packets[-1].duration = round(3 / packets[-1].time_base)  # as screen recorders end a still picture
        container.mux(packets)
    frames, source = read(path)
    assert len(frames) == 3
    assert source.info.duration_s == pytest.approx(3.08)
    assert source.fault is None


@pytest.mark.parametrize(
    ("rotation", "mirrored", "shown"),
    [
        (0, False, "rgbw"),
        (90, False, "gwrb"),
        (180, False, "wbgr"),
        (-90, False, "brwg"),
        (0, True, "grwb"),
        (90, True, "wgbr"),
        (180, True, "bwrg"),
        (-90, True, "rbgw"),
    ],
)
def test_frames_are_upright(tmp_path: Path, rotation: int, mirrored: bool, shown: str) -> None:
    path = write_video(tmp_path / "a.mp4", [quarters()], rotation=rotation, mirrored=mirrored)
    frames, source = read(path)
    assert corners(frames[0].pixels) == shown
    assert frames[0].pixels.flags.c_contiguous
    size = (96, 64) if rotation in (0, 180) else (64, 96)
    assert (source.info.width, source.info.height) == size == frames[0].pixels.shape[1::-1]


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    frames, source = read(write_video(tmp_path / "a.mp4", [quarters()], aspect=Fraction(4, 3)))
    assert frames[0].pixels.shape == (64, 128, 3)
    assert (source.info.width, source.info.height) == (128, 64)


def test_frames_are_reduced_and_info_says_the_original_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quarters(640, 480)], rotation=90)
    frames, source = read(path, short_side=120)
    assert frames[0].pixels.shape == (160, 120, 3)
    assert (source.info.width, source.info.height) == (480, 640)


@pytest.mark.parametrize(("pixel_format", "black", "white"), [("yuv420p", 16, 235), ("yuvj420p", 0, 255)])
def test_limited_and_full_range_both_become_full(tmp_path: Path, pixel_format: str, black: int, white: int) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixel_format
        planes = np.full((96, 64), 128, np.uint8)  # Y, then U and V
        planes[:32], planes[32:64] = black, white
        frame = av.VideoFrame.from_ndarray(planes, format=pixel_format)
        frame.color_range = 1 if black else 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pixels = read(path)[0][0].pixels
    assert pixels[:24].max() <= 3
    assert pixels[40:].min() >= 252


def test_decoding_with_several_threads_gives_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(30, 320, 240))
    one, several = read(path)[0], read(path, threads=3)[0]
    assert all((a.pixels == b.pixels).all() and a.time_s == b.time_s for a, b in zip(one, several, strict=True))


def test_decoded_pictures_do_not_wait_for_the_garbage_collector(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(30), rotation=90)
    gc.collect()
    gc.disable()
    try:
        assert len(read(path)[0]) == 30
        left = [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame) and thing.width > 16]
    finally:
        gc.enable()
    assert len(left) <= 2


@pytest.mark.parametrize("read_to_the_end", [True, False])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_nor_does_a_source_that_is_closed(tmp_path: Path, *, as_bytes: bool, read_to_the_end: bool) -> None:
    """Thousands of clips, each broken off at its end, are read between two runs of the collector."""

    class Kept:
        def open(self) -> BinaryIO:
            return path.open("rb")

    path = write_video(tmp_path / "a.mp4", numbered_frames(6))
    gc.collect()
    gc.disable()
    try:
        source = open_source(Kept() if as_bytes else path, pace="fast")
        source.wanted = functools.partial(lambda source, _: source is not None, source)  # as a pipeline does
        frames = list(source) if read_to_the_end else [next(iter(source))]
        gone = weakref.ref(source)
        source.close()
        del source
        assert len(frames) == (6 if read_to_the_end else 1)
        assert gone() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize(("ending", "options"), [("mp4", {"movflags": "faststart"}), ("mkv", {}), ("avi", {})])
def test_a_truncated_file_gives_what_is_there_and_says_that_it_is_not_all(
    tmp_path: Path, ending: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / f"a.{ending}", numbered_frames(100), container_options=options)
    frames, source = read(truncate(path, 0.5))
    assert 10 < len(frames) < 80
    assert [number_of(f.pixels) for f in frames[:10]] == list(range(10))
    assert source.fault is not None
    assert "truncated" in source.fault


def test_a_truncated_file_without_its_index_is_refused(tmp_path: Path) -> None:
    path = truncate(write_video(tmp_path / "a.mp4", numbered_frames(50)), 0.5)
    with pytest.raises(InputError, match=r"a\.mp4: not a video, or damaged"):
        open_source(path)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "webm"])
def test_noise_in_the_middle_is_survived_and_counted(tmp_path: Path, ending: str, seed: int) -> None:
    path = write_video(tmp_path / f"a.{ending}", numbered_frames(100))
    frames, source = read(damage(path, 0.4, 0.1, seed))
    assert len(frames) == source.counts.frames >= 5
    assert all(a.time_s <= b.time_s for a, b in pairwise(frames))
    assert source.counts.undecodable + source.counts.damaged + source.counts.retimed or source.fault


# ------------------------------------------------------------------------------------------------ refusals


def test_every_file_that_cannot_be_shown_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(10_000))
    (tmp_path / "notes.txt").write_text("dear diary\n" * 100)
    cases = [
        (tmp_path / "missing.mp4", None, "no such file"),
        ("7", None, "no such file (a camera is edgevid live --camera 7)"),
        ("x" * 300, None, "name too long"),
        (tmp_path / "empty.mp4" / "below", None, "Not a directory"),
        (fifo, None, "neither a file nor a folder"),
        (tmp_path / "empty.mp4", None, "empty"),
        (tmp_path / "noise.mp4", None, "not a video"),
        (tmp_path / "notes.txt", None, "text, not a video"),
        (write_audio(tmp_path / "sound.m4a"), None, "only sound"),
        (write_audio(tmp_path / "album.mp3", cover=quarters()), None, "only sound"),
        (write_video(tmp_path / "zero.mp4", []), None, "no "),
        (write_video(tmp_path / "zero.avi", []), None, "no "),
        (folder, None, "needs a rate"),
        (folder, 10.0, "without images"),
        (folder, 0.0, "above 0"),
        (write_video(tmp_path / "good.mp4", [quarters()]), 10.0, "a rate is for folders"),
    ]
    for spec, rate_hz, reason in cases:
        with pytest.raises(InputError) as refusal:
            open_source(spec, rate_hz=rate_hz)
        message = str(refusal.value)
        assert reason.lower() in message.lower(), message
        assert "\n" not in message
        assert str(spec) in message


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="nothing is forbidden to root")
def test_no_permission_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [quarters()])
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        open_source(path)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "12:30 drinking (31).mp4", numbered_frames(3))
    monkeypatch.chdir(tmp_path)
    assert len(read("12:30 drinking (31).mp4")[0]) == 3


def test_8k_is_reduced_and_survived(tmp_path: Path) -> None:
    path = write_video(tmp_path / "8k.mp4", [quarters(7680, 4320)])
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frames, source = read(path)
    assert (source.info.width, source.info.height) == (7680, 4320)
    assert [f.pixels.shape for f in frames] == [(240, 427, 3)]
    assert corners(frames[0].pixels) == "rgbw"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 1_000_000


# ------------------------------------------------------------------------------------------------ addresses


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_a_recording_on_a_server_is_played_like_a_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered_frames(5))
    with served(tmp_path) as host:
        frames, source = read(f"http://me:secret@{host}/a.mp4?token=secret")
        assert [number_of(f.pixels) for f in frames] == list(range(5))
        assert source.info.name == f"http://{host}/a.mp4"
        assert not source.info.live
        with pytest.raises(InputError) as refusal:
            open_source(f"http://me:secret@{host}/b.mp4?token=secret")
        assert "Not Found" in str(refusal.value)
        assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://me:secret@127.0.0.1:{silent.getsockname()[1]}/stream"
        with pytest.raises(InputError, match=r"no answer within 0\.2 s") as refusal:
            open_source(address, timeout_s=0.2)
    assert "secret" not in str(refusal.value)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_does_not_wait_for_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def interrupt() -> None:
            with silent.accept()[0]:
                time.sleep(0.2)
                signal.raise_signal(signal.SIGINT)
                ended.wait(30)

        ended = threading.Event()
        threading.Thread(target=interrupt, daemon=True).start()
        began_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            open_source(f"http://127.0.0.1:{silent.getsockname()[1]}/stream", timeout_s=120)
        ended.set()
    assert time.monotonic() - began_s < 60


def test_a_server_that_falls_silent_ends_the_source_with_a_reason(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", numbered_frames(200, 320, 240)).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection = server.accept()[0]
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + video[: len(video) // 2])
            ended.wait(10)
            connection.close()

        ended = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        frames, source = read(f"http://127.0.0.1:{server.getsockname()[1]}/a.mkv", timeout_s=0.3)
        ended.set()
        thread.join()
    assert [number_of(f.pixels) for f in frames[:9]] == list(range(9))
    assert source.fault == "cannot be read on: no answer within 0.3 s"


def test_a_server_that_sends_what_is_no_picture_is_given_up() -> None:
    """MJPEG: some pictures, then parts that are none, for ever."""
    picture = cv2.imencode(".jpg", quarters())[1].tobytes()
    part = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\n\r\n")
                for number in itertools.count():
                    data = picture if number < 20 else b"no picture" * 9
                    connection.sendall(part % (len(data), data))
                    time.sleep(0.05)

        threading.Thread(target=serve, daemon=True).start()
        frames, source = read(f"http://127.0.0.1:{server.getsockname()[1]}/mjpeg", timeout_s=1.5)
    assert source.info.live
    assert source.fault == "sends nothing that can be decoded: no picture within 1.5 s"
    assert len(frames) > 10
    # Its pictures have no times; FFmpeg's would be those of 25 a second. The first ones wait in its probe.
    since_s = [frame.captured_s - frames[0].captured_s for frame in frames]
    assert [frame.time_s for frame in frames] == pytest.approx(since_s, abs=0.2)


@pytest.mark.parametrize(
    "address",
    [
        *(
            f"http://me:{password}@127.0.0.1:9/x"
            for password in ("a/secret", "secret#x", "secret?x", "12/secret", "12#secret")
        ),
        *(f"{slip}me:secret@127.0.0.1:9/x" for slip in ("http:/", "", "rtsp//", "http:\\\\")),
    ],
)
def test_not_even_of_an_address_with_a_slip_in_it_is_the_password_printed(address: str) -> None:
    with pytest.raises(InputError) as refusal:
        open_source(address, timeout_s=1)
    assert "secret" not in str(refusal.value)


def test_credentials_are_never_printed() -> None:
    assert printable("rtsp://me:p@ss@camera.local:554/live?key=1#x") == "rtsp://camera.local:554/live"
    assert printable("https://me:p/ss@host/a@b.mp4") == "https://b.mp4"  # rather too little than the password
    assert printable("https://host:8000/a@b.mp4") == "https://host:8000/a@b.mp4"
    assert printable("rtsp://me:12/secret@host/s", ports=False) == "rtsp://host/s"
    assert printable("rtsp://camera:554/live", ports=False) == "rtsp://camera:554/live"
    assert printable("http://[::1]:8000/a@b.mp4") == "http://[::1]:8000/a@b.mp4"


@pytest.mark.parametrize("address", ["ftp://host/a.mp4", "concat://a|b", "http://[::1"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"addresses begin with http, |Invalid argument"):
        open_source(address)


# ------------------------------------------------------------------------------------------------ real odd files


def test_every_odd_file_gives_upright_frames_in_order(shared_data: Path) -> None:
    expected = {
        "arm_wrestling.mp4": (280, 427, 256),  # its pixels are not square
        "bt2020_10bit.mp4": (60, 320, 240),
        "bt601_full_range.mp4": (60, 320, 240),
        "bt601_limited_range.mp4": (60, 320, 240),
        "bt709_full_range.mp4": (30, 1280, 720),
        "corrupted.mp4": (49, 1280, 720),
        "gradient.gif": (1, 1280, 720),
        "nasa_13013.mp4": (390, 480, 270),  # the larger of two
        "nasa_13013_hdr.mp4": (325, 320, 180),
        "pancake.mkv": (310, 426, 240),
        "rotated_0.mov": (3, 568, 320),
        "rotated_180.mov": (3, 568, 320),
        "rotated_270.mov": (3, 320, 568),
        "rotated_90.mov": (3, 320, 568),
        "testsrc2.mp4": (60, 1280, 720),
        "testsrc2_h265.mp4": (60, 1280, 720),
        "testsrc2_mpeg4.avi": (30, 1280, 720),
        "testsrc2_vp8.webm": (30, 1280, 720),
        "testsrc2_vp9.webm": (30, 1280, 720),
        "unordered.mov": (4, 50, 50),
    }
    found = {}
    for path in sorted((shared_data / "odd").iterdir()):
        frames, source = read(path)
        found[path.name] = (len(frames), source.info.width, source.info.height)
        assert frames[0].time_s == 0
        assert all(a.time_s < b.time_s for a, b in pairwise(frames)), path.name
        assert (source.counts.undecodable, source.counts.damaged) == ((1, 1) if "corrupted" in path.name else (0, 0))
    assert found == expected


def test_declared_range_and_matrix_make_the_colours(shared_data: Path) -> None:
    # The red bar is Y 81, U 90, V 240 in all three files; the arithmetic of BT.601 and BT.709 gives these values.
    for name, red in (
        ("bt601_limited_range.mp4", (254, 0, 0)),
        ("bt601_full_range.mp4", (238, 14, 14)),
        ("bt709_full_range.mp4", (255, 36, 10)),
    ):
        pixels = read(shared_data / "odd" / name)[0][0].pixels
        assert pixels[160, pixels.shape[1] // 12].tolist() == pytest.approx(red, abs=2), name
