"""`edgevid evaluate`: answers to labelled clips, of a model file or of what training left, as figures."""

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, ReadOptions
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodeError, IndexStore, decode_clip
from edgevid_train.evaluate.clips import clips_to_judge, say_unknown
from edgevid_train.evaluate.figures.bootstrap import f1_intervals
from edgevid_train.evaluate.figures.metrics import Prediction, confusion, summarise, wilson_interval
from edgevid_train.evaluate.figures.multilabel import table_of, with_intervals
from edgevid_train.evaluate.figures.paired import pair
from edgevid_train.evaluate.figures.reliability import reliability
from edgevid_train.evaluate.figures.worst import confusions, least_sure_right, samples, surest_wrong
from edgevid_train.evaluate.findings import Findings
from edgevid_train.evaluate.robustness import CHANGES
from edgevid_train.evaluate.subjects import is_checkpoint, open_subject
from edgevid_train.evaluate.subjects.contract import WHOLE
from edgevid_train.evaluate.subjects.views import ONE_VIEW, ManyViews, ViewPlan
from edgevid_train.ledger import Ledger
from edgevid_train.reporter import Reporter

if TYPE_CHECKING:
    from edgevid_train.loop.devices import Device

LOOKS = 8
"""Wrong answers, and right ones, of which the page shows where the network looked."""


@dataclass(frozen=True)
class Report:
    """What `found` was found of a model on the clips of `data`, and of `other`, one that it is compared with."""

    data: str
    found: Findings
    threads: int
    other: Findings | None = None
    skipped: Ledger = field(default_factory=Ledger)
    decode_s: float = 0.0
    views: ViewPlan = ONE_VIEW
    date: datetime.date = field(default_factory=datetime.date.today)

    @property
    def predictions(self) -> list[Prediction]:
        return self.found.predictions

    @property
    def shown(self) -> list[ClipRecord]:
        """The clips of which the page has strips, each once."""
        chosen = [
            *(p for pair_ in confusions(self.predictions) for p in pair_.clips),
            *surest_wrong(self.predictions),
            *least_sure_right(self.predictions),
            *samples(self.predictions, self.found.labels),
        ]
        return list(dict.fromkeys(p.record for p in chosen))

    @property
    def looked_at(self) -> list[Prediction]:
        """The clips of which the page shows where the network looked: the worst errors, and some that are right."""
        if self.found.subject.no_looks is not None:
            return []
        return [*surest_wrong(self.predictions, LOOKS), *samples(self.predictions, self.found.labels, LOOKS)]

    def to_json(self) -> dict[str, Any]:
        """The fields of `evaluate --json`; the page shows these and no others."""
        found, predictions = self.found, self.predictions
        names, counts = confusion(predictions, found.labels)
        figures = {
            "model": found.subject.name,
            "data": self.data,
            "date": self.date.isoformat(),
            **_with_intervals(predictions, found.labels),
            "reliability": reliability(predictions).to_json(),
            "confusion": {"labels": names, "counts": counts.tolist()},
            "seen": _seen(found),
            "exits": _exits(found),
            "views": {"times": self.views.times, "crops": self.views.crops, "flip": self.views.flip}
            | {"most": self.views.most, "said": str(self.views) if self.views.most > 1 else None},
            "cost": _cost(found, self.threads, self.decode_s),
            "skipped": [{"file": record.id, "reason": reason} for record, reason in self.skipped.reasons.items()],
        }
        if found.changed:
            figures["robustness"] = [_changed(name, found) for name in found.changed]
        if self.other is not None:
            figures["compare"] = {
                "model": self.other.subject.name,
                **_with_intervals(self.other.predictions, self.other.labels),
                "seen": _seen(self.other),
                "reliability": reliability(self.other.predictions).to_json(),
                "exits": _exits(self.other),
                "cost": _cost(self.other, self.threads, self.decode_s),
                "paired": pair(predictions, self.other.predictions).to_json(),
                "predictions": [prediction.to_json() for prediction in self.other.predictions],
            }
        figures["worst"] = {
            "confusions": [
                {"label": c.label, "predicted": c.predicted, "n": c.n, "clips": [p.record.id for p in c.clips]}
                for c in confusions(predictions)
            ],
            "surest_wrong": [p.record.id for p in surest_wrong(predictions)],
            "least_sure_right": [p.record.id for p in least_sure_right(predictions)],
        }
        figures["looks"] = {
            "clips": [p.record.id for p in self.looked_at],
            "none": found.subject.no_looks,
        }
        figures["samples"] = [p.record.id for p in samples(predictions, found.labels)]
        figures["tracks"] = {record.id: found.tracks[record].to_json() for record in self.shown}
        figures["curves"] = found.subject.curves()
        return figures | {"predictions": [self._entry(prediction) for prediction in predictions]}

    def _entry(self, prediction: Prediction) -> dict[str, Any]:
        """`seen` stands only in entries of clips that were trained on."""
        seen = self.found.seen
        return prediction.to_json() | ({"seen": True} if seen and prediction.record in seen.clips else {})


def evaluate_model(
    model: str,
    data: Path,
    options: ReadOptions,
    *,
    split: str | None = None,
    threads: int = 1,
    compare: str | None = None,
    exits: bool = False,
    robustness: bool = False,
    views: ViewPlan = ONE_VIEW,
    device: "Device | None" = None,
    report: Reporter,
) -> Report:
    """Score every clip of `data`. One that cannot be read is skipped by name and scored as missing: as an error.

    `model`: see `open_subject`; `compare`: a second one for the same clips. `exits`: accuracy and latency of every exit
    alone; `robustness`: accuracy on changed clips: each costs the time of one evaluation more. `views`: of every clip.
    `device`: where checkpoints compute; the best there is when None.

    Raises:
        InputError: no such model, data or device, no clip in `split`, no label that the model knows, or views that it
            does not allow; or a device for model files alone, which compute on the CPU.
    """
    names = [name for name in (model, compare) if name is not None]
    if device not in (None, "cpu") and not any(is_checkpoint(name) for name in names):
        raise InputError(f"--device {device} is for checkpoints; a model file computes on the CPU")
    subjects = [open_subject(name, threads, device) for name in names]
    several = all(subject.several for subject in subjects)
    records = clips_to_judge(data, options, split, report.say, several=several)
    changes = CHANGES if robustness else {}
    found = [
        Findings(ManyViews(subject, views) if views.most > 1 else subject, subject.seen(records))
        for subject in subjects
    ]
    for subject in subjects:
        say_unknown(subject.name, subject.labels, records, data, report.say)
    skipped, decode_s, indexes = Ledger(), 0.0, IndexStore()
    with report.bar("evaluating", len(records)) as advance:
        for record in records:
            advance(record.name)
            start = time.perf_counter()
            try:
                clip = decode_clip(record, RUNTIME_SHORT_SIDE, indexes=indexes)
            except DecodeError as error:
                skipped.skip(record, str(error))
                for findings in found:
                    findings.miss(record, exits=exits, changes=changes)
                continue
            decode_s += time.perf_counter() - start
            for findings in found:
                findings.take(clip, exits=exits, changes=changes)
    if exits:
        for findings in found:
            findings.latencies = findings.subject.latencies()
    return Report(str(data), found[0], threads, found[1] if compare else None, skipped, decode_s, views)


def _with_intervals(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    """`summarise`, and the bootstrap's intervals of F1, null where there is one group only."""
    figures = summarise(predictions, labels)
    if "map" in figures:
        return figures | with_intervals(figures, table_of(predictions, labels, BACKGROUND))
    intervals = f1_intervals(predictions)
    figures["macro_f1_low"], figures["macro_f1_high"] = intervals.macro if intervals else (None, None)
    figures["groups"] = len({p.record.group for p in predictions})
    for label, row in figures["per_class"].items():
        row["f1_low"], row["f1_high"] = intervals.per_class[label] if intervals else (None, None)
    return figures


def _seen(found: Findings) -> dict[str, Any] | None:
    """How many clips the model was trained on, and what it gets right of the others, where it knows them all.

    A model of much data keeps a sample of its marks: then `n` is the least there can be.
    """
    if found.seen is None:
        return None
    others = [p for p in found.predictions if p.record not in found.seen.clips]
    figures = _top1(others) if others and found.seen.complete else {}
    return found.seen.to_json() | {"others": {"n": len(others), **figures}}


def _exits(found: Findings) -> list[dict[str, Any]]:
    """One entry an exit: its cost, how many steps it decided, and, where they were asked for, what it can alone."""
    rows = []
    for i, exit_ in enumerate(found.subject.exits):
        row: dict[str, Any] = {"name": exit_.name, "macs": exit_.macs, "threshold": exit_.threshold}
        row["decided"] = float(found.decided[i] / found.decided.sum()) if found.steps else None
        if exit_.name in found.by_exit:
            row |= _top1(found.by_exit[exit_.name]) | {"step_ms": found.latencies.get(exit_.name)}
        rows.append(row)
    return rows


def _cost(found: Findings, threads: int, decode_s: float) -> dict[str, Any]:
    """What answering costs. `macs_per_step` and `gflops_per_s` are null of what looks at a clip once, `macs_per_clip`
    of what steps through it; `gflops_per_clip` is what these clips took on average. A multiply-add is two operations.
    """
    subject, clips = found.subject, len(found.tracks)
    steps = subject.rate_hz is not None
    return {
        "weights": subject.weights,
        "macs_per_step": subject.macs if steps else None,
        "macs_per_clip": None if steps else subject.macs,
        "gflops_per_s": None if subject.rate_hz is None else 2e-9 * subject.macs * subject.rate_hz,
        "gflops_per_clip": 2e-9 * _macs(found) / clips if clips else None,
        "clip_ms": found.latencies.get(WHOLE),
        "runs_on": subject.runs_on,
        "threads": threads,
        "clips_per_s": clips / found.score_s if found.score_s else None,
        "steps_per_s": found.steps / found.score_s if found.score_s and steps else None,
        "times_real_time": found.clip_s / found.score_s if found.score_s else None,
        "score_s": found.score_s,
        "decode_s": decode_s,
    }


def _macs(found: Findings) -> float:
    """Multiply-accumulates of all that was computed, each step as far as to the exit that decided it.

    A clip graph computes more steps than it decides, since its windows overlap, and each to the end.
    """
    exits = found.subject.exits
    if not exits or found.decided.sum() != found.steps:
        return float(found.subject.macs * found.steps)
    return float(found.decided @ np.array([exit_.macs for exit_ in exits], float))


def _changed(name: str, found: Findings) -> dict[str, Any]:
    before, after = found.predictions, found.changed[name]
    paired = pair(after, before)
    return {
        "name": name,
        "what": CHANGES[name].what,
        **_top1(after),
        "macro_f1": summarise(after, found.labels)["macro_f1"],
        "difference": paired.difference,
        "p_value": paired.p_value,
    }


def _top1(predictions: Sequence[Prediction]) -> dict[str, float]:
    hits = sum(p.right for p in predictions)
    low, high = wilson_interval(hits, len(predictions))
    return {"top1": hits / len(predictions), "top1_low": low, "top1_high": high}
