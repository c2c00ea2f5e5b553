"""What a run says of itself when it is over, in a line or two."""

from typing import Any


def summary(metrics: dict[str, Any]) -> str:
    """From what `Pipeline.metrics` gives: time, frames and their fates, events, latency."""
    frames, latency_ms, source = metrics["frames"], metrics["latency_ms"], metrics["input"]
    parts = [
        f"{metrics['seconds']:.1f} s",
        f"{frames['captured']} frames captured",
        f"{frames['computed']} computed",
        f"{frames['dropped']} dropped",
    ]
    if frames["gated"]:
        share = frames["gated"] / (frames["gated"] + frames["computed"] + frames["dropped"])
        parts.insert(3, f"{frames['gated']} gated ({share:.0%} of those due)")
    if latency_ms["p50"] is not None:
        parts.append(f"latency p50 {latency_ms['p50']:.1f} ms, p95 {latency_ms['p95']:.1f} ms")
    lines = [", ".join(parts)]
    found = ", ".join(f"{n} {label}" for label, n in sorted(metrics["event_counts"].items()))
    lines.append(f"events: {found or 'none'}")
    lines += [f"notice at {notice['time_s']:.1f} s: {notice['text']}" for notice in metrics["notices"]]
    troubles = {name: source[name] for name in ("undecodable", "damaged", "retimed", "failed_reads") if source[name]}
    if metrics["gaps"]:
        troubles["gaps"] = metrics["gaps"]
    if troubles:
        lines.append("in the source: " + ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in troubles.items()))
    return "\n".join(lines)
