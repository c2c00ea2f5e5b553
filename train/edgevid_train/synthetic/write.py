"""Write rendered clips as a data folder, as every reader here takes it.

`clips/NNNNN_label.mp4`, `clips.csv`, `places.npz`: where the hand points in each frame, and `sheet.png` to look at.
"""

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
from edgevid.files import check_output, replacing
from edgevid_train.places import write_places
from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.paths import LABELS, PathBank
from edgevid_train.synthetic.scene import SyntheticClip, render_clip
from edgevid_train.synthetic.sheet import Sheet

Pixels = NDArray[np.uint8]

TICKS_PER_S = 90_000  # of presentation times; a variable rate is kept
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
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: 0 or more")
        if width % 2 or height % 2 or not (32 <= width <= 1920 and 24 <= height <= 1080):
            raise InputError(f"--size {width}x{height}: even numbers from 32x24 to 1920x1080")
        if self.fps is not None and not 1 <= self.fps[0] <= self.fps[1] <= 120:
            raise InputError(f"--fps {self.fps[0]:g}-{self.fps[1]:g}: LO-HI with 1 <= LO <= HI <= 120")
        unknown = [label for label in self.labels if label not in LABELS]
        if unknown:
            raise InputError(f"--labels: unknown label {unknown[0]!r}; known: {', '.join(LABELS)}")

    @property
    def bytes_needed(self) -> int:
        """A generous estimate of what the folder will take."""
        return int(self.clips * (_FRAMES_PER_CLIP * self.size[0] * self.size[1] * _BYTES_PER_PIXEL + 4096))

    def render(self, k: int, paths: PathBank | None, backgrounds: BackgroundBank | None) -> SyntheticClip:
        seed = self.seed + k
        fps = None if self.fps is None else float(np.random.default_rng([seed, 99]).uniform(*self.fps))
        label = self.labels[k % len(self.labels)] if self.labels else None
        return render_clip(seed, label=label, size=self.size, fps=fps, paths=paths, backgrounds=backgrounds)


def write_video(file: Path, frames: Iterable[Pixels], times_s: NDArray[np.float64], *, crf: int = 20) -> None:
    """H.264 in an mp4 with these presentation times; one encoder thread, so the bytes are the same every time.

    Frames are `(H, W, 3)` uint8 RGB with even sides. Full frames are made at least every second.
    """
    rate = Fraction(max(round((len(times_s) - 1) / max(float(times_s[-1]), 1e-3)), 1))
    with av.open(str(file), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        # x264's macroblock tree gives different bytes from run to run on pictures as small as these.
        x264 = {"crf": str(crf), "preset": "medium", "g": str(int(rate)), "x264-params": "mbtree=0"}
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


def write_dataset(
    out: Path,
    request: Request,
    *,
    paths: PathBank | None = None,
    backgrounds: BackgroundBank | None = None,
    force: bool = False,
    progress: Callable[[SyntheticClip], None] | None = None,
) -> Path:
    """Render all clips of `request` into the new folder `out`; gives back its clips.csv.

    The folder appears under its name only when it is complete. Each clip is a group of its own. Raises InputError when
    `out` exists and `force` is not given, when it cannot be written, or when the disk has no room for it.
    """
    check_output(out, force=force)
    check_room(out, request.bytes_needed)
    with replacing(out) as folder:
        (folder / "clips").mkdir(parents=True)
        with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as table:
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(COLUMNS)
            places, sheet = {}, Sheet()
            for k in range(request.clips):
                clip = request.render(k, paths, backgrounds)
                name = f"clips/{k:05d}_{clip.label}.mp4"
                write_video(folder / name, clip.frames, clip.times_s)
                places[name] = clip.fingertip
                sheet.add(clip)
                seconds, size = clip.times_s[-1], f"{request.size[0]}x{request.size[1]}"
                times = (f"{clip.start_s:.3f}", f"{clip.end_s:.3f}", len(clip.frames), f"{seconds:.3f}")
                rows.writerow((name, clip.label, f"seed-{clip.seed}", *times, size, clip.seed))
                if progress is not None:
                    progress(clip)
        write_places(folder, places)
        sheet.write(folder)
    return out / "clips.csv"


def check_room(out: Path, needed: int) -> None:
    """Raises InputError when the disk on which `out` will lie has less than `needed` bytes left."""
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(f"{out}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free on the disk")
