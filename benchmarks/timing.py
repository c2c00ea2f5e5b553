"""What the benchmarks share: percentiles, lines that say pass or miss, and an exit status."""

import sys
import time
from collections.abc import Callable

import numpy as np


def timed_ms(run: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def p50_p95(values: list[float]) -> tuple[float, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return float(p50), float(p95)


def line(what: str, values_ms: list[float]) -> str:
    """`one step      p50 1.74 ms   p95 1.93 ms   (n = 400)`."""
    p50, p95 = p50_p95(values_ms)
    return f"{what:<28} p50 {p50:8.2f} ms   p95 {p95:8.2f} ms   (n = {len(values_ms)})"


def verdict(passed: bool, says: str) -> None:
    """Print the result of the benchmark and end the process: 0 when it passed, else 1."""
    print(f"{'pass' if passed else 'MISS'}: {says}")
    sys.exit(0 if passed else 1)
