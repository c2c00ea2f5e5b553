"""Clips from video files: edgevid against PyAV by hand, OpenCV, decord and torchcodec, on one thread each.

    python benchmarks/decoding.py [--clips DIR] [--video FILE] [--json FILE]

A clip is 16 frames, 4 apart, from a place by lot, in RGB with a short side of 120; the file is opened for every clip.
Two sets: the videos of `--clips` (one clip of each of `--count` of them), and one video of 1920x1080 with a keyframe
every 250 frames (the demo clip enlarged, x264's preset veryfast; kept where `--video` says). Every reader takes every
clip, by turns; times are the process's CPU time, which a busy machine disturbs less than wall time, and which more
threads do not shorten.

Each reader's frames are compared with decoding from the start: edgevid's must be equal; other readers resize in ways of
their own, so of the frames nearby theirs must be the nearest. A reader that gives other frames is not in the
comparison. edgevid's index is made before, once in the life of a file; what that costs is printed too. decord and
torchcodec take part where they are installed.

Beside them runs FFmpeg's decoder alone: every picture from the keyframe to the last wanted one, none converted. Where
each is predicted from the one before, no reader that uses it can be faster.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from ending import one_line_errors
from numpy.typing import NDArray
from timing import p50_p95, verdict

from edgevid.assets import asset
from edgevid.errors import InputError, first_line
from edgevid.files import replacing, write_json
from edgevid.preprocess import reduce
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.paths import videos_below
from edgevid_train.decode import DecodeError, IndexStore, decode_clip

FRAMES, STEP, SHORT_SIDE = 16, 4, 120
WIDTH, HEIGHT, GOP, LENGTH = 1920, 1080, 250, 310
AT_LEAST = 1.3
SAME = 0.25
"""Mean difference in grey levels between two pictures of the same."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Wanted:
    """Frames of a file, by their positions and times in it; `size`: width and height of the reduced pictures."""

    file: Path
    positions: list[int]
    times_s: list[float]
    size: tuple[int, int]


Reader = Callable[[Wanted], list[Pixels]]


def wanted_pictures(clip: Wanted) -> Iterator[av.VideoFrame]:
    """PyAV as a careful person writes it: seek, decode, take what is wanted, stop."""
    with av.open(str(clip.file)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        assert stream.time_base is not None
        begin = stream.start_time or 0
        wanted = [begin + round(t / stream.time_base) for t in clip.times_s]
        container.seek(wanted[0], stream=stream)
        for frame in container.decode(stream):
            assert frame.pts is not None
            if frame.pts >= wanted[0]:
                yield frame
                del wanted[0]
                if not wanted:
                    return


def by_hand(clip: Wanted) -> list[Pixels]:
    width, height = clip.size
    sized = {"width": width, "height": height, "format": "rgb24", "interpolation": "AREA", "threads": 1}
    return [frame.reformat(**sized).to_ndarray() for frame in wanted_pictures(clip)]


def decoder_alone(clip: Wanted) -> None:
    """What the decoder takes for the pictures up to the last wanted one."""
    for _ in wanted_pictures(clip):
        pass


def opencv(clip: Wanted) -> list[Pixels]:
    video = cv2.VideoCapture(str(clip.file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    video.set(cv2.CAP_PROP_POS_FRAMES, clip.positions[0])
    found = []
    for position in range(clip.positions[0], clip.positions[-1] + 1):
        video.grab()
        if position in clip.positions:
            _, pixels = video.retrieve()
            found.append(reduce(pixels, SHORT_SIDE)[:, :, ::-1])
    video.release()
    return found


def decord_reader() -> Reader:
    import decord

    def read(clip: Wanted) -> list[Pixels]:
        width, height = clip.size
        video = decord.VideoReader(str(clip.file), num_threads=1, width=width, height=height)
        return list(video.get_batch(clip.positions).asnumpy())

    return read


def torchcodec_reader(seek_mode: str) -> Reader:
    import torch
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    torch.set_num_threads(1)

    def read(clip: Wanted) -> list[Pixels]:
        width, height = clip.size
        video = VideoDecoder(
            clip.file,
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode=seek_mode,
            transforms=[Resize((height, width))],
        )
        if seek_mode == "exact":
            return list(video.get_frames_at(clip.positions).data.numpy())
        begin_s = video.metadata.begin_stream_seconds_from_header or 0.0
        return list(video.get_frames_played_at([begin_s + t + 1e-4 for t in clip.times_s]).data.numpy())

    return read


def edgevid_reader(indexes: IndexStore) -> Reader:
    def read(clip: Wanted) -> list[Pixels]:
        chosen = np.array(clip.positions, np.intp)
        return list(decode_clip(record_of(clip.file), SHORT_SIDE, indexes=indexes, pick=lambda _: chosen).frames)

    return read


@dataclass
class Taken:
    """What a reader did: times of its clips, and how many of them had other frames than were asked for."""

    ms: list[float] = field(default_factory=list)
    wrong: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=None, help="a folder of videos")
    parser.add_argument("--count", type=int, default=60, help="clips of the folder")
    parser.add_argument("--video", type=Path, default=None, help="where the 1080p video is, or shall be kept")
    parser.add_argument("--large", type=int, default=10, help="clips of the 1080p video")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        indexes = IndexStore(Path(folder))
        readers = {"edgevid": edgevid_reader(indexes), **others()}
        rng = np.random.default_rng(0)
        sets: dict[str, list[Path]] = {}
        if args.clips is not None:
            found = videos_below(args.clips)
            sets[f"{args.clips}"] = [found[i] for i in np.sort(rng.permutation(len(found))[: args.count])]
        video = args.video or Path(folder, "1080p.mp4")
        if not video.exists():
            make_large(video)
        sets[f"1920x1080, a keyframe every {GOP} frames"] = [video] * args.large
        result = {name: compare(name, files, readers, indexes, rng) for name, files in sets.items()}
    if args.json is not None:
        write_json(args.json, result)
    least = min(ratio for rows in result.values() for name, row in rows.items() if (ratio := row.get("ratio")))
    verdict(least >= AT_LEAST, f"{least:.2f} times the clips of the best other reader; {AT_LEAST} is asked")


def others() -> dict[str, Reader]:
    readers: dict[str, Reader] = {"PyAV by hand": by_hand, "OpenCV": opencv}
    offered: list[tuple[str, Callable[[], Reader]]] = [
        ("decord", decord_reader),
        ("torchcodec", lambda: torchcodec_reader("exact")),
        ("torchcodec, approximate", lambda: torchcodec_reader("approximate")),
    ]
    for name, make in offered:
        try:
            readers[name] = make()
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{name} does not take part: {first_line(error)}")
    return readers


def compare(
    name: str, files: list[Path], readers: dict[str, Reader], indexes: IndexStore, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Print a table; p50 and p95 of a clip in ms, clips per second, ratio of edgevid to the best other, by reader."""
    taken = {reader: Taken() for reader in readers}
    truth: dict[Path, tuple[Pixels, NDArray[np.float64]]] = {}
    index_ms = []
    alone = Taken()
    for turn, file in enumerate(files):
        if file not in truth:
            truth.clear()
            try:
                clip = decode_clip(record_of(file), SHORT_SIDE)
            except DecodeError as error:
                print(f"{file.name}: {error}")
                continue
            start_s = time.process_time()
            indexes.get(file)
            index_ms.append((time.process_time() - start_s) * 1e3)
            truth[file] = clip.frames, clip.times_s
        frames, times_s = truth[file]
        step = max(1, min(STEP, (len(frames) - 1) // (FRAMES - 1)))
        first = int(rng.integers(max(1, len(frames) - step * (FRAMES - 1))))
        height, width = frames.shape[1:3]
        positions = [min(first + k * step, len(frames) - 1) for k in range(FRAMES)]
        wanted = Wanted(file, positions, [float(times_s[i]) for i in positions], (width, height))
        start_s = time.process_time()
        decoder_alone(wanted)
        alone.ms.append((time.process_time() - start_s) * 1e3)
        order = list(readers)
        for reader in order[turn % len(order) :] + order[: turn % len(order)]:
            start_s = time.process_time()
            try:
                found = readers[reader](wanted)
            except (IndexError, RuntimeError):  # frames that are there, which it cannot find
                found = []
            taken[reader].ms.append((time.process_time() - start_s) * 1e3)
            judge(taken[reader], found, frames, positions, exact=reader == "edgevid")
    if not index_ms:
        raise InputError(f"{name}: no clip that can be read")
    rows = {reader: row(of) for reader, of in taken.items()}
    best = max(rows[reader]["clips_per_s"] for reader in rows if reader != "edgevid" and not taken[reader].wrong)
    print(f"\n{name}: {len(taken['edgevid'].ms)} clips; an index takes {np.mean(index_ms):.1f} ms a file, once")
    bound = row(alone)
    ranked = sorted(rows.items(), key=lambda item: -item[1]["clips_per_s"])
    for reader, one in [*ranked, ("(the decoder alone)", bound)]:
        says = "every picture, none converted" if one is bound else ""
        says = f"other frames in {one['wrong']}" if one["wrong"] else says
        print(
            f"{reader:<26} p50 {one['p50_ms']:8.1f} ms   p95 {one['p95_ms']:8.1f} ms   "
            f"{one['clips_per_s']:6.2f} clips/s  {says}"
        )
    rows["edgevid"]["ratio"] = rows["edgevid"]["clips_per_s"] / best
    rows["edgevid"]["most"] = bound["clips_per_s"] / best
    print(f"edgevid gives {rows['edgevid']['ratio']:.2f} times the clips of the best other reader")
    return rows


def row(taken: Taken) -> dict[str, float]:
    p50, p95 = p50_p95(taken.ms)
    clips_per_s = 1e3 * len(taken.ms) / sum(taken.ms)
    return {"p50_ms": p50, "p95_ms": p95, "clips_per_s": clips_per_s, "wrong": taken.wrong}


def judge(taken: Taken, found: list[Pixels], frames: Pixels, positions: list[int], *, exact: bool) -> None:
    """Compare frames with those that were asked for."""
    right = frames[positions]
    if len(found) != len(right) or any(pixels.shape != right[0].shape for pixels in found):
        taken.wrong += 1
        return
    if exact:
        taken.wrong += not np.array_equal(np.stack(found), right)
        return
    for pixels, position in zip(found, positions, strict=True):
        nearby = frames[max(0, position - 2) : position + 3].astype(np.int16)
        apart = np.abs(nearby - pixels).mean((1, 2, 3))
        mine = np.abs(frames[position].astype(np.int16) - pixels).mean()
        if mine > apart.min() + SAME:  # where nothing moves, several look alike
            taken.wrong += 1
            return


def record_of(file: Path) -> ClipRecord:
    return ClipRecord(file, file.name, ("",), "")


def make_large(path: Path) -> None:
    """The demo clip enlarged, with the noise of a sensor."""
    print(f"making {path}: {LENGTH} frames of {WIDTH}x{HEIGHT}", flush=True)
    rng = np.random.default_rng(0)
    noise = np.abs(rng.normal(0, 3, (HEIGHT * 2, WIDTH, 3))).astype(np.uint8)
    with (
        replacing(path) as temporary,
        av.open(str(asset("demo/demo.mp4"))) as demo,
        av.open(str(temporary), "w") as out,
    ):
        options = {"preset": "veryfast", "g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0"}
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for k, picture in zip(range(LENGTH), demo.decode(video=0), strict=False):
            large = cv2.resize(picture.to_ndarray(format="rgb24")[60:420], (WIDTH, HEIGHT))
            at = int(rng.integers(HEIGHT))
            frame = av.VideoFrame.from_ndarray(cv2.add(large, noise[at : at + HEIGHT]), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    with one_line_errors():
        main()
