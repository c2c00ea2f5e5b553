"""One decision by a stream step against one by the clip graph of the same weights, one thread, interleaved.

    python benchmarks/stream_vs_clip.py NAME.onnx              # NAME.clip.onnx beside it, whatever its T
    python benchmarks/stream_vs_clip.py CHECKPOINT --frames 16 # exports both to a temporary folder first

The same real frames go through both. A block of steps, then one clip; the first step after a clip finds caches that
the clip has emptied, as no step of a stream does, and is not counted.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
from ending import one_line_errors
from timing import line, p50_p95, timed_ms, verdict

from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.load import find_model, load
from edgevid.preprocess import fit
from edgevid.sampling import StreamSchedule
from edgevid.sources import open_source

AT_LEAST = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a stream model's name or file, or a checkpoint")
    parser.add_argument("--frames", type=int, default=16, help="T of the clip graph made of a checkpoint")
    parser.add_argument("--video", default="demo")
    parser.add_argument("--blocks", type=int, default=50, help="clips, and blocks of steps between them")
    parser.add_argument("--steps", type=int, default=8, help="steps counted in a block")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as made:
        stream, clip = models(args.model, args.frames, Path(made))
    spec, rate_hz, frames_in_clip = stream.manifest.input, stream.manifest.rate_hz, clip.manifest.clip_frames
    schedule = StreamSchedule(rate_hz)
    with open_source(args.video, pace="fast", loop=True) as source:
        sampled = (frame for frame in source if schedule.offer(frame.index, frame.time_s).steps)
        frames = np.stack([fit(f.pixels, spec) for f in itertools.islice(sampled, max(64, frames_in_clip))])

    state = stream.zero_state()
    pictures = itertools.cycle(frames)

    def step() -> None:
        nonlocal state
        _, state = stream.step(next(pictures), state)

    def whole() -> None:
        clip.run(frames[:frames_in_clip])

    for warm_up in (step, whole) * 3:
        warm_up()
    step_ms: list[float] = []
    clip_ms: list[float] = []
    for _ in range(args.blocks):
        clip_ms.append(timed_ms(whole))
        step()
        step_ms += [timed_ms(step) for _ in range(args.steps)]

    print(f"{stream.manifest.id}, {spec.width}x{spec.height}, 1 thread, interleaved")
    print(line("one step", step_ms))
    print(line(f"a clip of {frames_in_clip} frames", clip_ms))
    ratios = [c / s for c, s in zip(p50_p95(clip_ms), p50_p95(step_ms), strict=True)]
    verdict(
        ratios[0] >= AT_LEAST,
        f"a decision by one step takes {ratios[0]:.1f} times less time at p50, {ratios[1]:.1f} at p95; "
        f"at least {AT_LEAST:g} is asked for T = 16",
    )


def models(name: str, frames: int, folder: Path) -> tuple[StreamModel, ClipModel]:
    """The stream and the clip graph of the same weights."""
    if Path(name).is_dir() or Path(name).suffix == ".safetensors":
        from edgevid_deploy.export import export

        written = export(Path(name), to="onnx", out=folder, clip_frames=frames)
        stream, clip = (load(file.file) for file in written)
    else:
        path = find_model(name)
        stream, clip = load(path), load(path.with_suffix(".clip.onnx"))
    assert isinstance(stream, StreamModel)
    assert isinstance(clip, ClipModel)
    return stream, clip


if __name__ == "__main__":
    with one_line_errors():
        main()
