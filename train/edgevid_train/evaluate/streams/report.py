"""What `edgevid evaluate --stream` found: its figures, its folder, and what it tells a person."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.files import replacing, write_json
from edgevid.manifest import Manifest
from edgevid_train.annotations import ClipRecord
from edgevid_train.evaluate.streams.matching import Stream, count, match, summarise_streams, verdicts
from edgevid_train.evaluate.streams.plan import StreamPlan, StreamSettings
from edgevid_train.evaluate.streams.run import Watched
from edgevid_train.marks import Seen
from edgevid_train.reporter import Reporter


@dataclass(frozen=True)
class PlayedStream:
    """A stream after its run. `gap_s`: how much of it is no action. `lost`: actions in it of which no frame came."""

    plan: StreamPlan
    watched: Watched
    gap_s: float
    lost: tuple[ClipRecord, ...] = ()

    @property
    def stream(self) -> Stream:
        return self.watched.stream


@dataclass
class StreamReport:
    """All streams and all negatives of one model.

    Attributes:
        name: name@digest of a model file, or the path of a checkpoint.
        negatives: every file of negative video, whole, as a run of its own; nothing in it is an action.
        skipped: file -> why nothing of it was played.
        faults: file -> why it ended too early; what comes before was played.
        unreadable: actions whose file could not be opened; they count as missed.
        left_out: background clips for which the gaps had no room.
        seen: the clips that the model was trained on, or on others of their group; None: it does not say.
        negatives_seen: the same of the negatives.
    """

    name: str
    manifest: Manifest
    data: str
    settings: StreamSettings
    gate: bool
    played: list[PlayedStream] = field(default_factory=list)
    negatives: list[Watched] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    unreadable: list[ClipRecord] = field(default_factory=list)
    left_out: list[ClipRecord] = field(default_factory=list)
    seen: Seen | None = None
    negatives_seen: Seen | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of `evaluate --stream --json`."""
        alarms = sum(len(one.stream.found) for one in self.negatives)
        hours = sum(one.stream.seconds for one in self.negatives) / 3600
        several = self.manifest.activation == "sigmoid"
        missed = self.unreadable * self.settings.laps + [record for one in self.played for record in one.lost]
        lost = [(label, r.group) for r in missed for label in (r.labels if several else r.labels[:1])]
        runs = [one.watched for one in self.played]
        figures = summarise_streams([one.stream for one in self.played], lost, self.settings.seed, self.settings.laps)
        if several:  # what happens at once has no order
            figures["levenshtein_accuracy"] = None
        exits = _summed(one.metrics["exits"] for one in runs)
        held = sum(one.metrics["held"] for one in runs)
        return {
            "model": self.name,
            "data": self.data,
            "seed": self.settings.seed,
            "rule": self.manifest.events.model_dump(),
            "gate": self.gate,
            **figures,
            "gap_share": sum(one.gap_s for one in self.played) / max(1e-9, sum(one.stream.seconds for one in runs)),
            "false_alarms": alarms,
            "negative_hours": hours,
            "false_alarms_per_hour": alarms / hours if hours else None,
            "frames": _summed(one.metrics["frames"] for one in runs),
            "exits": exits,
            "held": held,
            "rested": sum(one.metrics["rested"] for one in runs),
            "macs_share": macs_share(exits, self.manifest, held),
            "resets": sum(one.metrics["state_resets"] for one in runs),
            "seen": self.seen and self.seen.to_json(),
            "negatives_seen": self.negatives_seen and self.negatives_seen.to_json(),
            "streams": [_stream_json(one) for one in self.played],
            "negatives": [
                {"file": one.stream.name, "seconds": round(one.stream.seconds, 3), "events": _events_json(one.stream)}
                for one in self.negatives
            ],
            "skipped": [{"file": file, "reason": reason} for file, reason in self.skipped.items()],
            "lost": [record.id for one in self.played for record in one.lost],
            "faults": [{"file": file, "reason": reason} for file, reason in self.faults.items()],
            "left_out": [record.id for record in self.left_out],
        }


def write_report(report: StreamReport, out: Path) -> None:
    """Write the folder `out`: report.json and a timeline of each stream.

    Raises:
        InputError: it cannot be written.
    """
    from edgevid_train.evaluate.plots import draw_timeline

    with replacing(out) as temporary:
        temporary.mkdir(parents=True)
        write_json(temporary / "report.json", report.to_json())
        for played in report.played:
            draw_timeline(played.stream, temporary / f"{played.plan.name.replace(' ', '-')}.png")


def show(report: StreamReport, to: Reporter) -> None:
    """Print the figures for a person."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    figures = report.to_json()
    table = Table("label", "actions", "events", "precision", "recall", "F1", box=SIMPLE_HEAD, pad_edge=False)
    for label, row in figures["per_label"].items():
        rates = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(Text(label), str(row["actions"]), str(row["events"]), *rates)
    to.console.print(table)
    for line in (*_lines(figures), *notes(report)):
        to.say(line)


def notes(report: StreamReport) -> list[str]:
    """What a person must know before believing the figures, one line each."""
    missed = {name for record in report.unreadable for name in (str(record.file), record.id)}
    lost = {record.id: None for one in report.played for record in one.lost}
    lines = [
        f"skipped{', an action in it counts as missed' if file in missed else ''}: {file}: {reason}"
        for file, reason in report.skipped.items()
    ]
    lines += [f"none of its frames could be played, it counts as missed: {clip}" for clip in lost]
    lines += [f"{file}: {reason}; played what comes before" for file, reason in report.faults.items()]
    if report.left_out:
        lines.append(f"{len(report.left_out)} background clips left out: the gaps have no room for them")
    for seen, which in ((report.seen, "these clips or on their groups"), (report.negatives_seen, "the negatives")):
        if seen and seen.clips:
            lines.append(f"warning: the model was trained on {seen.in_words} of {which}")
    if report.seen is None:
        lines.append("warning: the model does not say which recordings it was trained on; these may be among them")
    return lines


def _lines(figures: dict[str, Any]) -> list[str]:
    def share(name: str) -> str:
        return f"{figures[name]:.3f} ({figures[f'{name}_low']:.3f} to {figures[f'{name}_high']:.3f})"

    delay, accuracy = figures["delay_s"], figures["levenshtein_accuracy"]
    wrong = ", ".join(f"{figures[name]} {name}" for name in ("missed", "doubled", "mistaken", "false"))
    late = f"p50 {delay['p50']:+.2f} s, p95 {delay['p95']:+.2f} s" if delay else "none"
    lines = [
        f"{figures['model']} on {figures['data']}: {len(figures['streams'])} streams, "
        f"{figures['minutes']:.1f} minutes, {figures['gap_share']:.0%} of them gaps",
        f"event F1 {share('f1')}, precision {share('precision')}, recall {share('recall')}, 95%",
        f"{figures['actions']} actions, {figures['events']} events: {figures['matched']} matched, {wrong}",
        f"first emission after the action's end: {late}; flicker {figures['flicker_per_min']:.2f} a minute"
        + ("" if accuracy is None else f"; Levenshtein accuracy {accuracy:.3f}"),
    ]
    if figures["negative_hours"]:
        lines.append(
            f"{figures['false_alarms']} false alarms in {figures['negative_hours'] * 60:.1f} minutes of "
            f"negative video, {figures['false_alarms_per_hour']:.1f} an hour"
        )
    looked, gated = sum(figures["exits"].values()), figures["held"] + figures["rested"]
    exits = ", ".join(f"{name} {n / max(1, looked):.0%}" for name, n in figures["exits"].items())
    held = f", {figures['held']} of {gated} by the memory alone" if figures["held"] else ""
    lines.append(f"gated {gated / max(1, looked + gated):.0%} of the steps{held}; decided by {exits}")
    if len(figures["exits"]) > 1 and figures["macs_share"] is not None:
        lines.append(f"{figures['macs_share']:.0%} of the multiply-accumulates of going to the last exit at every step")
    return lines


def _stream_json(played: PlayedStream) -> dict[str, Any]:
    stream = played.stream
    pairs = match(stream.actions, stream.found)
    counts = count(stream)
    return {
        "name": stream.name,
        "seconds": round(stream.seconds, 3),
        "gap_s": round(played.gap_s, 3),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "actions": [
            {
                "label": action.label,
                "start_s": round(action.start_s, 3),
                "end_s": round(action.end_s, 3),
                "file": action.file,
                "group": action.unit,
                "event": pairs.get(i),
            }
            for i, action in enumerate(stream.actions)
        ],
        "events": _events_json(stream),
        "metrics": played.watched.metrics,
    }


def _events_json(stream: Stream) -> list[dict[str, Any]]:
    return [
        {
            "label": event.label,
            "start_s": round(event.start_s, 3),
            "end_s": round(event.end_s, 3),
            "emitted_s": round(event.emitted_s, 3),
            "score": round(event.score, 4),
            "verdict": verdict,
        }
        for event, verdict in zip(stream.found, verdicts(stream.actions, stream.found), strict=True)
    ]


def _summed(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    return dict(total)


def macs_share(exits: dict[str, int], manifest: Manifest, held: int = 0) -> float | None:
    """What steps cost, by the exit that decided or held, of what they would have cost as looks to the last exit."""
    steps, last = sum(exits.values()) + held, manifest.exits[-1].macs
    cost = sum(exits[e.name] * e.macs for e in manifest.exits) + held * manifest.hold_macs
    return cost / (steps * last) if steps and last else None
