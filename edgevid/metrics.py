"""What a run measures about itself, in bounded memory however long it runs."""

import math
import sys
from collections import deque
from pathlib import Path

import numpy as np

_SMALLEST_MS = 0.01
_RATIO = 1.02
_BUCKETS = 1 + math.ceil(math.log(1e6 / _SMALLEST_MS, _RATIO))  # up to a quarter of an hour


class Latencies:
    """Percentiles of a run's latencies from a histogram whose buckets are 2% wide, which is how exact they are."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)
        self.n = 0

    def add(self, latency_ms: float) -> None:
        """Count one latency, in milliseconds."""
        bucket = 0 if latency_ms <= _SMALLEST_MS else 1 + int(math.log(latency_ms / _SMALLEST_MS, _RATIO))
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self.n += 1

    def percentile(self, percent: float) -> float | None:
        """The latency, in milliseconds, that `percent` of all are at most; None when there is none."""
        if self.n == 0:
            return None
        rank = max(1, math.ceil(self.n * percent / 100))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        return _SMALLEST_MS if bucket == 0 else float(_SMALLEST_MS * _RATIO ** (bucket - 0.5))

    def summary(self) -> dict[str, float | None]:
        """p50, p95 and p99 in milliseconds."""
        values = {f"p{percent}": self.percentile(percent) for percent in (50, 95, 99)}
        return {name: None if value is None else round(value, 2) for name, value in values.items()}


class Rates:
    """How fast counters grow, over the last `span_s` seconds: what a view shows as frames per second."""

    def __init__(self, span_s: float = 2.0) -> None:
        self._span_s = span_s
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=1000)

    def update(self, time_s: float, *counters: int) -> tuple[float, ...]:
        """The counters as they stand at `time_s`; their growth per second since about `span_s` before."""
        self._seen.append((time_s, counters))
        while len(self._seen) > 2 and self._seen[1][0] <= time_s - self._span_s:
            self._seen.popleft()
        before_s, before = self._seen[0]
        if time_s <= before_s:
            return tuple(0.0 for _ in counters)
        return tuple((now - then) / (time_s - before_s) for now, then in zip(counters, before, strict=True))


def rss_mb() -> float | None:
    """Resident memory of this process in 10^6 bytes, where the system tells it; else the highest so far, or nothing."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        import os

        return round(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3, 1)
