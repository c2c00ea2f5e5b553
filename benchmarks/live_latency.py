"""`edgevid live` on a file that plays at its own pace, 30 fps at 640x480: is a frame lost, how late is a decision?

    python benchmarks/live_latency.py [--model NAME] [--seconds 60]

The file is the demo clip's pictures, written anew at that size and rate. What is read afterwards is what
`live --metrics` wrote: latency runs from the capture of a frame to the decision about it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
from ending import one_line_errors
from timing import verdict

from edgevid.assets import asset

WIDTH, HEIGHT, FPS = 640, 480, 30
AT_MOST_MS = 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="air-gesture")
    parser.add_argument("--video", type=Path, default=None, help="pictures to write anew; the demo clip unless given")
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video, metrics = Path(folder, "30fps.mp4"), Path(folder, "metrics.json")
        rewrite(args.video or asset("demo/demo.mp4"), video)
        subprocess.run(
            [
                *(sys.executable, "-m", "edgevid", "live", "--source", str(video), "--model", args.model, "--loop"),
                *("--no-window", "--seconds", str(args.seconds), "--metrics", str(metrics)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        measured = json.loads(metrics.read_text())
    frames, latency_ms = measured["frames"], measured["latency_ms"]
    print(f"{measured['model']}: {measured['seconds']:.0f} s at {FPS} fps, {WIDTH}x{HEIGHT}, 1 thread")
    print(", ".join(f"{count} {name}" for name, count in frames.items()))
    print(", ".join(f"{name} {value:.1f} ms" for name, value in latency_ms.items()))
    lost, p95 = frames["dropped"], latency_ms["p95"]
    passed = lost == 0 and p95 < AT_MOST_MS
    verdict(passed, f"{lost} sampled frames lost, p95 {p95:.1f} ms; none lost and under {AT_MOST_MS:g} ms is asked")


def rewrite(source: Path, target: Path) -> None:
    """The pictures of `source`, one after the other, at the size and rate of this benchmark."""
    with av.open(str(source)) as pictures, av.open(str(target), "w") as written:
        stream = written.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "fast", "crf": "26"}
        for number, frame in enumerate(pictures.decode(video=0)):
            picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            written.mux(stream.encode(picture))
        written.mux(stream.encode(None))


if __name__ == "__main__":
    with one_line_errors():
        main()
