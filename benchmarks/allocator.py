"""Time of a training step with and without `edgevid_train.loop.allocator`: two processes in turn, one thread each.

    python benchmarks/allocator.py

Prints p50 and p95 of both, in ms a frame, and the ratio.
"""

import subprocess
import sys
import time

import numpy as np

STEPS = 12
CLIP = (4, 32)


def serve(keep: bool) -> None:
    """One training step per line read; answers with its time in ms a frame."""
    import torch

    from edgevid.manifest import InputSpec
    from edgevid_train.loop.allocator import keep_freed_memory
    from edgevid_train.models.student import Student, StudentConfig

    if keep:
        keep_freed_memory()
    torch.set_num_threads(1)
    spec = InputSpec(height=72, width=96)
    student = Student(StudentConfig(weights="none", input=spec), labels=11).train()
    student.to(memory_format=torch.channels_last)
    frames = torch.randint(0, 256, (*CLIP, spec.height, spec.width, 3), dtype=torch.uint8)
    for _ in sys.stdin:
        start = time.perf_counter()
        outputs = student(frames.permute(0, 1, 4, 2, 3).float())
        sum(logits.mean() for logits in outputs.logits).backward()
        print(1000 * (time.perf_counter() - start) / (CLIP[0] * CLIP[1]), flush=True)


def main() -> None:
    def side(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    sides = {name: side(name) for name in ("give", "keep")}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(STEPS):
        for name, child in sides.items():
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            times[name].append(float(child.stdout.readline()))
    for name, child in sides.items():
        child.terminate()
        p50, p95 = np.percentile(times[name][2:], [50, 95])
        print(f"{name:5} p50 {p50:.2f}  p95 {p95:.2f} ms a frame")
    print(f"ratio of p50 {np.median(times['give'][2:]) / np.median(times['keep'][2:]):.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1] == "keep")
    else:
        main()
