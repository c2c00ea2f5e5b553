"""Figures of a report as they are said: three digits, an interval, a count with its unit."""

from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Any]
"""`Report.to_json`, or a part of it."""


def latency_of(figures: Figures) -> Mapping[str, float] | None:
    """Of a step to the last exit, or of a whole clip, where one was timed."""
    whole: Mapping[str, float] | None = figures["cost"]["clip_ms"]
    step: Mapping[str, float] | None = figures["exits"][-1].get("step_ms") if figures["exits"] else None
    return step or whole


def unit(cost: Figures) -> str:
    """Of what the multiply-accumulates are."""
    return "clip" if cost["macs_per_step"] is None else "step"


def timed(cost: Figures) -> str:
    """What was timed."""
    return "clip" if cost["clip_ms"] else "step"


def macs_of(cost: Figures) -> int:
    return int(cost["macs_per_clip"] if cost["macs_per_step"] is None else cost["macs_per_step"])


def threads(cost: Figures) -> str:
    return f"{cost['threads']} thread{'' if cost['threads'] == 1 else 's'}"


def short(count: int) -> str:
    """Three digits of a number: 39.4 M, 812 k, 24."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return str(count)


def rate(value: float) -> str:
    return f"{value:.3f}"


def interval(row: Figures, key: str) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if low is None else f"{low:.3f} to {high:.3f}"
