"""The motion gate: what a frame costs while it is closed, whether it closes on noise, whether it loses an event.

    python benchmarks/gate.py [--model NAME] [--clips DIR]

A still scene: one picture of the demo clip, held for 20 s at 30 fps, 640x480, with fresh sensor noise in every frame
and an exposure that drifts by 2%, written as H.264 and read back as `detect` reads it, so that the ring holds it with a
short side of 240. For each strength of noise and compression the share of due frames for which the gate was closed.

The cost of a frame runs from the ring to the held scores: copy, comparison, event rule. A step, the same without a
gate, is measured in the same run by turns. Times are CPU time, which a busy machine disturbs less than wall time.

With `--clips` every video below DIR is run with and without the gate, and events are compared: two are the same when
the label is and they overlap within half a second.
"""

import argparse
import itertools
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from ending import one_line_errors
from timing import line, p50_p95, verdict

from edgevid.assets import asset
from edgevid.errors import InputError
from edgevid.events import Event
from edgevid.frame import Pixels
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.load import load
from edgevid.pipeline import Options, Pipeline
from edgevid.sinks.collected import Collected
from edgevid.sources import open_source

WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 30, 20
SCENES = [(0.0, 23), (3.0, 23), (6.0, 23), (6.0, 30), (12.0, 23), (20.0, 23)]
"""Standard deviation of the noise of a pixel, in grey levels, and x264's crf."""
AT_MOST_MS = 0.5
NEAR_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="air-gesture")
    parser.add_argument("--clips", type=Path, default=None, help="videos to run with and without the gate")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    model = load(args.model)
    print(
        f"{model.manifest.id}, {model.manifest.rate_hz:g} Hz; a still scene, {WIDTH}x{HEIGHT}, {FPS} fps, {SECONDS} s"
    )
    gated_ms: list[float] = []
    step_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "still.mp4")
        for sigma, crf in SCENES:
            write_still(video, sigma, crf)
            gated, steps, share = costs(video, model)
            gated_ms += gated
            step_ms += steps
            print(f"noise {sigma:4.1f}, crf {crf}: {share:4.0%} of due frames gated")
    print(line("a step", step_ms))
    print(line("a gated frame", gated_ms))
    if args.clips:
        compare(args.clips, model)
    p95 = p50_p95(gated_ms)[1]
    verdict(p95 < AT_MOST_MS, f"p95 of a gated frame {p95:.2f} ms; under {AT_MOST_MS} ms is asked")


def write_still(video: Path, sigma: float, crf: int) -> None:
    """A picture held, with noise that a lens and a demosaicing have smeared over neighbouring pixels."""
    with av.open(str(asset("demo/demo.mp4"))) as demo:
        still = next(itertools.islice(demo.decode(video=0), 40, None)).to_ndarray(format="rgb24")
    scene = cv2.resize(still, (WIDTH, HEIGHT)).astype(np.float32)
    rng = np.random.default_rng(0)
    with av.open(str(video), "w") as written:
        stream = written.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(crf), "g": "60"}
        for number in range(FPS * SECONDS):
            picture = scene * (1 + 0.02 * np.sin(2 * np.pi * number / (3 * FPS)))
            if sigma:
                noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 0.7)
                picture = picture + noise * (sigma / noise.std())
            pixels: Pixels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))


def costs(video: Path, model: StreamModel | ClipModel) -> tuple[list[float], list[float], float]:
    """Milliseconds of gated frames, of steps without a gate, and the share of due frames that were gated."""
    gated_ms: list[float] = []
    step_ms: list[float] = []
    with open_source(video, pace="fast") as source, open_source(video, pace="fast") as again:
        gate = Pipeline(source, model, Options(every_frame=True, paced=False, gate=True))
        steps = Pipeline(again, model, Options(every_frame=True, paced=False))
        while gate.read() and steps.read():
            if gate.flow.counts.pending:
                before = gate.flow.counts.gated
                took_ms = computed_ms(gate)
                if gate.flow.counts.gated > before:
                    gated_ms.append(took_ms)
            if steps.flow.counts.pending:
                step_ms.append(computed_ms(steps))
    counts = gate.flow.counts
    return gated_ms, step_ms, counts.gated / (counts.gated + counts.computed)


def computed_ms(pipeline: Pipeline) -> float:
    """CPU milliseconds of what is due now."""
    start_s = time.thread_time()
    pipeline.compute(wait=False)
    return (time.thread_time() - start_s) * 1e3


def compare(folder: Path, model: StreamModel | ClipModel) -> None:
    files = same = without = with_gate = gated = due = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            (plain, _), (events, share) = (run(file, model, gate=gate) for gate in (False, True))
        except InputError:
            continue
        files += 1
        without, with_gate = without + len(plain), with_gate + len(events)
        same += matching(plain, events)
        gated, due = gated + share[0], due + share[1]
    print(
        f"{folder.name}: {files} videos, {gated} of {due} due frames gated ({gated / max(1, due):.1%}); "
        f"{without} events without the gate, {with_gate} with it, {same} the same"
    )


def run(file: Path, model: StreamModel | ClipModel, *, gate: bool) -> tuple[list[Event], tuple[int, int]]:
    """The events of a video, ended; of how many due frames how many were gated."""
    collected = Collected()
    with open_source(file, pace="fast") as source:
        pipeline = Pipeline(
            source, model, Options(every_frame=True, paced=False, gate=gate, only_sampled=True), [collected]
        )
        while pipeline.read():
            while pipeline.compute(wait=False):
                pass
        pipeline.finish()
    counts = pipeline.flow.counts
    counts.check()
    return [event for event in collected.events if event.type == "end"], (counts.gated, counts.gated + counts.computed)


def matching(events: list[Event], others: list[Event]) -> int:
    """How many of `events` are also among `others`, one to one."""
    left = list(others)
    for event in events:
        twin = next((other for other in left if event.label == other.label and overlap(event, other)), None)
        if twin:
            left.remove(twin)
    return len(others) - len(left)


def overlap(one: Event, other: Event) -> bool:
    assert one.end_s is not None
    assert other.end_s is not None
    return one.start_s <= other.end_s + NEAR_S and other.start_s <= one.end_s + NEAR_S


if __name__ == "__main__":
    with one_line_errors():
        main()
