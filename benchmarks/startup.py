"""From process start to the first decision of `edgevid live --source demo --no-window`, warm.

    python benchmarks/startup.py [--model NAME] [--runs 10]

Each run is a fresh process: interpreter, imports, model, demo clip, first frame, first step. The first run warms the
disk cache and is not counted.
"""

import argparse
import subprocess
import sys
import time

from ending import one_line_errors
from timing import line, p50_p95, verdict

AT_MOST_MS = 2000.0
CHILD = """
import os, sys, time
from edgevid import cli, live

compute = live.Pipeline.compute

def first_decision(self, **options):
    more = compute(self, **options)
    if self.latencies.n:
        os.write(1, str(time.time()).encode())
        os._exit(0)
    return more

live.Pipeline.compute = first_decision
sys.argv[1:] = ["live", "--source", "demo", "--no-window", "--model", {model!r}]
cli.main()
"""
"""What `edgevid` runs, with one change: the clock is told and the process ends at the first decision."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="air-gesture")
    parser.add_argument("--runs", type=int, default=10)
    args = parser.parse_args()
    took_ms = [once(args.model) for _ in range(args.runs + 1)][1:]
    print(line("start to first decision", took_ms))
    p50, p95 = p50_p95(took_ms)
    verdict(p95 < AT_MOST_MS, f"p50 {p50 / 1e3:.2f} s, p95 {p95 / 1e3:.2f} s; under {AT_MOST_MS / 1e3:g} s is asked")


def once(model: str) -> float:
    """Milliseconds of one run."""
    start = time.time()
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(model=model)], check=True, capture_output=True, text=True
    )
    return (float(child.stdout.split()[-1]) - start) * 1e3


if __name__ == "__main__":
    with one_line_errors():
        main()
