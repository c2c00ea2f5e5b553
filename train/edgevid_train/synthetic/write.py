"""Write rendered clips as a data folder, as every reader here takes it.

`clips/NNNNN_label.mp4`, `clips.csv`, `places.npz`: where the hand points in each frame, and `sheet.png` to look at.
"""

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.files import check_folder, replacing
from edgevid_train.annotations.places import FILE as PLACES
from edgevid_train.annotations.places import write_places
from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.moves import LEAST_ASPECT
from edgevid_train.synthetic.paths import LABELS, PathBank
from edgevid_train.synthetic.scene import Script, SyntheticClip, script_of
from edgevid_train.synthetic.seeds import group_of
from edgevid_train.synthetic.sheet import FILE as SHEET
from edgevid_train.synthetic.sheet import SHOWN, strip_of, write_sheet
from edgevid_train.synthetic.workers import Workers, backgrounds_in, paths_in

Pixels = NDArray[np.uint8]

TICKS_PER_S = 90_000  # of presentation times; a variable rate is kept
MOST_CLIPS = 10_000_000
_BYTES_PER_PIXEL = 0.08  # of a frame at CRF 20; 0.042 measured over 60 clips
_FRAMES_PER_CLIP = 110  # 77 measured

COLUMNS = ("file", "label", "group", "start_s", "end_s", "frames", "seconds", "size", "seed")


@dataclass(frozen=True)
class Request:
    """What to write: clip `k` has seed `seed + k`; labels take turns when they are given."""

    clips: int
    seed: int = 0
    size: tuple[int, int] = (160, 120)
    fps: tuple[float, float] | None = None  # a rate between the two; None is render_clip's own lot, 10 to 30
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        width, height = self.size
        if self.clips < 1:
            raise InputError(f"--clips {self.clips}: at least one clip")
        if self.clips > MOST_CLIPS:
            raise InputError(f"--clips: at most {MOST_CLIPS}")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: 0 or more")
        if width % 2 or height % 2 or not (32 <= width <= 1920 and 24 <= height <= 1080):
            raise InputError(f"--size {width}x{height}: even numbers from 32x24 to 1920x1080")
        if width / height < LEAST_ASPECT:
            raise InputError(f"--size {width}x{height}: the width is at least {LEAST_ASPECT:g} of the height")
        if self.fps is not None and not 1 <= self.fps[0] <= self.fps[1] <= 120:
            raise InputError(f"--fps {self.fps[0]:g}-{self.fps[1]:g}: LO-HI with 1 <= LO <= HI <= 120")
        unknown = [label for label in self.labels if label not in LABELS]
        if unknown:
            raise InputError(f"--labels: unknown label {unknown[0]!r}; known: {', '.join(LABELS)}")

    @property
    def bytes_needed(self) -> int:
        """A generous estimate of what the folder will take."""
        return int(self.clips * (_FRAMES_PER_CLIP * self.size[0] * self.size[1] * _BYTES_PER_PIXEL + 4096))

    def script(self, k: int, paths: PathBank | None) -> Script:
        """What happens in clip `k`."""
        seed, aspect = self.seed + k, self.size[0] / self.size[1]
        fps = None if self.fps is None else float(np.random.default_rng([seed, 99]).uniform(*self.fps))
        label = self.labels[k % len(self.labels)] if self.labels else None
        return script_of(seed, label=label, aspect=aspect, fps=fps, paths=paths)

    def render(self, k: int, paths: PathBank | None, backgrounds: BackgroundBank | None) -> SyntheticClip:
        return self.script(k, paths).clip(self.size, backgrounds)


def write_video(file: Path, frames: Iterable[Pixels], times_s: NDArray[np.float64], *, crf: int = 20) -> None:
    """H.264 in an mp4 with these presentation times; one encoder thread, so the bytes are the same every time.

    Frames are `(H, W, 3)` uint8 RGB with even sides. Full frames are made at least every second.
    """
    rate = Fraction(max(round((len(times_s) - 1) / max(float(times_s[-1]), 1e-3)), 1))
    with av.open(str(file), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        # x264's macroblock tree gives different bytes from run to run on pictures as small as these. Preset `medium`
        # takes twice the time for files of the same size.
        x264 = {"crf": str(crf), "preset": "veryfast", "g": str(int(rate)), "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=rate, options=x264)
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        for k, pixels in enumerate(frames):
            if k == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(float(times_s[k]) * TICKS_PER_S), stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class Written:
    """A clip that is a file, without its pixels; `strip` is for the sheet."""

    name: str
    label: str
    seed: int
    start_s: float
    end_s: float
    times_s: NDArray[np.float64]
    fingertip: NDArray[np.float32]
    strip: Pixels | None


def write_dataset(
    out: Path,
    request: Request,
    *,
    paths: Path | None = None,
    backgrounds: Path | None = None,
    jobs: int = 1,
    force: bool = False,
    progress: Callable[[Written], None] | None = None,
) -> Path:
    """Render all clips of `request` into the new folder `out`; gives back its clips.csv.

    `paths` and `backgrounds` as PathBank and BackgroundBank read them. `jobs`: processes that render; the folder is the
    same whatever their number. It appears under its name only when it is complete. Each clip is a group of its own.
    Raises InputError when `out` exists and `force` is not given, when it cannot be written, or when the disk has no
    room for it.
    """
    check_folder(out, SHEET, ("clips", "clips.csv", PLACES), force=force)
    check_room(out, request.bytes_needed)
    with replacing(out) as folder, contextlib.ExitStack() as open_workers:
        (folder / "clips").mkdir(parents=True)
        asked = (request, folder, paths, backgrounds)
        if jobs > 1:
            made = open_workers.enter_context(Workers(jobs)).map(write_clip, range(request.clips), *asked)
        else:
            made = (write_clip(k, *asked) for k in range(request.clips))
        with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as table:
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(COLUMNS)
            places, strips = {}, []
            for clip in made:
                places[clip.name] = clip.fingertip
                if clip.strip is not None:
                    strips.append(clip.strip)
                seconds, size = clip.times_s[-1], f"{request.size[0]}x{request.size[1]}"
                times = (f"{clip.start_s:.3f}", f"{clip.end_s:.3f}", len(clip.times_s), f"{seconds:.3f}")
                rows.writerow((clip.name, clip.label, group_of(clip.seed), *times, size, clip.seed))
                if progress is not None:
                    progress(clip)
        write_places(folder, places)
        write_sheet(folder, strips)
    return out / "clips.csv"


def write_clip(k: int, request: Request, folder: Path, paths: Path | None, backgrounds: Path | None) -> Written:
    """Render clip `k` of a request and write it into `folder / "clips"`."""
    clip = request.render(k, paths_in(paths), backgrounds_in(backgrounds))
    name = f"clips/{k:05d}_{clip.label}.mp4"
    write_video(folder / name, clip.frames, clip.times_s)
    strip = strip_of(clip) if k < SHOWN else None
    return Written(name, clip.label, clip.seed, clip.start_s, clip.end_s, clip.times_s, clip.fingertip, strip)


def check_room(out: Path, needed: int) -> None:
    """Raises InputError when the disk on which `out` will lie has less than `needed` bytes left."""
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(f"{out}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free on the disk")
