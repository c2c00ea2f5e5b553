"""What edgevid itself costs in `detect`: everything that is neither decoding nor the network, sinks off.

    python benchmarks/overhead.py [--video FILE] [--model NAME]

Two programs over one video, by turns, round after round, each on one thread:
  the least   PyAV decodes every frame to RGB pixels in memory; at the model's rate the network takes a step, on pixels
              that were made ready before
  detect      `edgevid.pipeline.Pipeline` with every frame computed, as `detect` drives it: source, reduction of the
              picture, ring, sampling, fitting to the input, the same steps, scores, events
The overhead is what the second takes more, as a share of its time. Decoding and the network alone stand beside them;
they add up to less than the least program takes, since each empties the other's caches, and that is nobody's overhead.
Times are the process's CPU time, which a busy machine disturbs less than wall time.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from ending import one_line_errors
from timing import line, verdict

from edgevid.assets import asset
from edgevid.frame import Pixels
from edgevid.models.contract import StreamModel
from edgevid.models.load import load
from edgevid.pipeline import Options, Pipeline
from edgevid.preprocess import fit
from edgevid.sampling import StreamSchedule
from edgevid.sources import open_source

AT_MOST = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=None, help="the demo clip unless given")
    parser.add_argument("--model", default="air-gesture", help="a stream model's name or file")
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    video = args.video or asset("demo/demo.mp4")
    cv2.setNumThreads(1)
    model = load(args.model)
    assert isinstance(model, StreamModel), "the overhead is measured with a stream model"

    pictures, frames = sampled(video, model)
    parts: dict[str, Callable[[], None]] = {
        "decoding": lambda: decode(video),
        "network": lambda: compute(model, pictures),
        "the least": lambda: least(video, model, pictures),
        "detect": lambda: detect(video, model),
    }
    took_ms: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(args.rounds):
        for name, run in parts.items():
            start_s = time.process_time()
            run()
            took_ms[name].append((time.process_time() - start_s) * 1e3 / frames)

    steps = sum(map(len, pictures.values()))
    print(f"{model.manifest.id} on {video.name}: {frames} frames, {steps} steps, CPU time of a frame")
    for name, values in took_ms.items():
        print(line(name, values))
    shares = 1 - np.array(took_ms["the least"]) / np.array(took_ms["detect"])
    share = float(np.median(shares))
    verdict(share <= AT_MOST, f"{share:.1%} of the time of a frame is edgevid's own; at most {AT_MOST:.0%} is asked")


def decode(video: Path) -> None:
    for _ in rgb_pixels(video):
        pass


def compute(model: StreamModel, pictures: dict[int, list[Pixels]]) -> None:
    state = model.zero_state()
    for pixels in itertools.chain.from_iterable(pictures.values()):
        _, state = model.step(pixels, state)


def least(video: Path, model: StreamModel, pictures: dict[int, list[Pixels]]) -> None:
    state = model.zero_state()
    for number, _ in enumerate(rgb_pixels(video)):
        for pixels in pictures.get(number, ()):
            _, state = model.step(pixels, state)


def rgb_pixels(video: Path) -> Iterator[Pixels]:
    """Every frame in RGB, as any user of PyAV would have it."""
    with av.open(str(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        convert = av.video.reformatter.VideoReformatter()
        for frame in container.decode(video=0):
            yield np.asarray(convert.reformat(frame, format="rgb24", threads=1).to_ndarray(), np.uint8)


def sampled(video: Path, model: StreamModel) -> tuple[dict[int, list[Pixels]], int]:
    """The pixels of the steps that each frame takes, by the frame's index, and how many frames there are."""
    schedule = StreamSchedule(model.manifest.rate_hz)
    pictures: dict[int, list[Pixels]] = {}
    index = -1
    with open_source(video, pace="fast") as source:
        for index, frame in enumerate(source):
            if due := schedule.offer(index, frame.time_s).steps:
                pictures[index] = [fit(frame.pixels, model.manifest.input)] * len(due)
    return pictures, index + 1


def detect(video: Path, model: StreamModel) -> None:
    """The two halves of `edgevid.pipeline` by turns on this thread, so that their times add up."""
    with open_source(video, pace="fast") as source:
        pipeline = Pipeline(source, model, Options(every_frame=True, paced=False, only_sampled=True))
        while pipeline.read():
            while pipeline.compute(wait=False):
                pass
        pipeline.finish()
    counts = pipeline.flow.counts
    assert counts.dropped == 0
    assert counts.computed > 0


if __name__ == "__main__":
    with one_line_errors():
        main()
