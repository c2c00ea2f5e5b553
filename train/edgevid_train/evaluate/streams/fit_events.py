"""Choosing the numbers of an event rule on validation streams: coordinate search over a small grid."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.errors import InputError
from edgevid.manifest import EventRule, Manifest
from edgevid_train.evaluate.streams.evaluate import Trial
from edgevid_train.evaluate.streams.matching import Stream, Tally, count, delays_s
from edgevid_train.evaluate.streams.report import StreamReport, notes
from edgevid_train.evaluate.streams.run import Trace
from edgevid_train.evaluate.subjects import is_checkpoint
from edgevid_train.reporter import Reporter
from edgevid_train.rewrite import rewrite

GRID: dict[str, tuple[float, ...]] = {
    "smooth_s": (0.0, 0.2, 0.3, 0.4, 0.5, 0.7),
    "on": (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9),
    "off": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "min_s": (0.0, 0.12, 0.24, 0.36, 0.5),
    "cooldown_s": (0.0, 0.3, 0.5, 0.8, 1.2),
}
"""The values tried of each number."""
RUNS = 3
"""Fitted rules under which the model is run at most, where a gate makes what it says depend on its rule."""
IN_TIME_S = 0.3
"""A median delay above this costs: a tenth of a second more, a tenth of F1."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a rule gives: `delay_s` is the median, None when no action was found."""

    counts: Tally
    delay_s: float | None

    @property
    def worth(self) -> float:
        """F1 of streams and negatives together, an event in a negative being an extra one, less what lateness costs."""
        return self.counts.f1 - max(0.0, (self.delay_s or 0.0) - IN_TIME_S)

    def to_json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "f1": counts.f1,
            "precision": counts.precision,
            "recall": counts.recall,
            "delay_s": self.delay_s,
            "worth": self.worth,
        }


def judge(streams: Sequence[Stream], negatives: Sequence[Stream] = (), laps: int = 1) -> Figures:
    """Figures of streams and negatives together.

    `laps`: how often the streams show every clip; each negative is there once, and what is found in it counts as often.
    """
    late = [delay_s for stream in streams for delay_s in delays_s(stream)]
    counts = sum(map(count, [*streams, *[*negatives] * laps]), Tally())
    return Figures(counts, float(np.median(late)) if late else None)


@dataclass(frozen=True)
class Fitted:
    """The best rule, what it gives where it was chosen, what the rule of `manifest`, the model's that ran, gave there,
    and how many were tried.
    """

    rule: EventRule
    figures: Figures
    manifest: Manifest
    before: Figures
    tried: int

    @property
    def was(self) -> EventRule:
        return self.manifest.events

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule.model_dump(),
            "figures": self.figures.to_json(),
            "was": self.was.model_dump(),
            "before": self.before.to_json(),
            "tried": self.tried,
        }


def fit_rule(
    streams: Sequence[Trace],
    negatives: Sequence[Trace],
    manifest: Manifest,
    laps: int = 1,
    between: Callable[[], None] = lambda: None,
) -> Fitted:
    """The rule that is worth most on these streams and negatives; the manifest's own where none is better.

    One number after the other takes its best value of the grid until none changes, from the manifest's rule and from
    the middle of the grid. `laps` as of `judge`; `between` is called after each rule.

    Raises:
        ValueError: no stream holds an action: then nothing is ever worth more than no events at all.
    """
    if not any(trace.actions for trace in streams):
        raise ValueError("no stream shows an action")
    seen: dict[EventRule, Figures] = {}

    def figures(rule: EventRule) -> Figures:
        if rule not in seen:
            played, quiet = ([trace.under(rule, manifest) for trace in traces] for traces in (streams, negatives))
            seen[rule] = judge(played, quiet, laps)
            between()
        return seen[rule]

    middle = EventRule(**{name: values[len(values) // 2] for name, values in GRID.items()})
    best = max((_climbed(start, figures) for start in (manifest.events, middle)), key=lambda r: figures(r).worth)
    return Fitted(best, figures(best), manifest, figures(manifest.events), len(seen))


def _climbed(rule: EventRule, figures: Callable[[EventRule], Figures]) -> EventRule:
    while True:
        before = rule
        for name, values in GRID.items():
            fields = rule.model_dump()
            tried = [EventRule(**(fields | {name: value})) for value in values if _ordered(fields | {name: value})]
            rule = max([rule, *tried], key=lambda candidate: figures(candidate).worth)  # of equals the first: no change
        if rule == before:
            return rule


def _ordered(fields: dict[str, float]) -> bool:
    return fields["off"] <= fields["on"]


def check_model_file(model: str) -> None:
    """Raises InputError where `model` is no file that a rule could be written into."""
    if is_checkpoint(model):
        raise InputError(f"a rule is written into a model file, and {model} is a checkpoint: `edgevid export` it first")


def fit_trial(trial: Trial, report: Reporter) -> Fitted:
    """Run the model over the streams and the negatives, and fit its rule to what it says.

    A gate asks the rule whether anything is going on, and so the scores depend on the rule. Each one that was fitted
    is run, too, and the next fitted to what the model says then, at most `RUNS` times: the figures are those of runs
    under the rules themselves.

    Raises:
        EdgevidError: the model computed NaN or infinity.
        KeyboardInterrupt: Ctrl-C.
    """
    manifest, laps = trial.network.manifest, trial.settings.laps
    run = trial.run(report)
    for note in notes(run):
        report.say(note)
    ran: dict[EventRule, Figures] = {manifest.events: _figures(run, laps)}
    tried = 0
    while True:
        # How many rules a search tries is not known beforehand.
        with report.bar("trying event rules", len(GRID) * 40) as advance:
            fitted = fit_rule(*_traces(run), manifest, laps, between=lambda: advance(""))
        tried += fitted.tried
        if not trial.gate:
            return fitted
        if fitted.rule in ran:
            break
        before, run = run, trial.run(report, fitted.rule)
        ran[fitted.rule] = _figures(run, laps)
        if len(ran) > RUNS or _same(before, run):
            break
    best = max(ran, key=lambda rule: ran[rule].worth)
    return Fitted(best, ran[best], manifest, ran[manifest.events], tried)


def _figures(run: StreamReport, laps: int) -> Figures:
    """Of the rule that it was run under."""
    return judge([one.stream for one in run.played], [one.stream for one in run.negatives], laps)


def _traces(run: StreamReport) -> tuple[list[Trace], list[Trace]]:
    """Of the streams, and of the negatives."""
    return [one.watched.trace for one in run.played], [one.trace for one in run.negatives]


def _same(one: StreamReport, other: StreamReport) -> bool:
    """Whether the model said the same at the same times."""
    pairs = zip(itertools.chain(*_traces(one)), itertools.chain(*_traces(other)), strict=True)
    return all(np.array_equal(a.times_s, b.times_s) and np.array_equal(a.scores, b.scores) for a, b in pairs)


def write_fitted(model: str, fitted: Fitted, out: Path, *, force: bool = False) -> Manifest:
    """Write the model again with the fitted rule and the cascade that it was fitted under; gives back the sealed
    manifest.

    A calibration that either of them breaks is left out.

    Raises:
        InputError: `out` exists and `force` is not given, or cannot be written.
    """
    return rewrite(model, fitted.manifest.with_events(fitted.rule), out, force=force)


def show(fitted: Fitted, to: Reporter) -> None:
    """Print both rules and what they give, for a person."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("", "before", "fitted", box=SIMPLE_HEAD, pad_edge=False)
    for number in GRID:
        table.add_row(number, f"{getattr(fitted.was, number):g}", f"{getattr(fitted.rule, number):g}")
    table.add_section()
    before, after = fitted.before, fitted.figures
    for name in ("f1", "precision", "recall"):
        table.add_row(name, f"{getattr(before.counts, name):.3f}", f"{getattr(after.counts, name):.3f}")
    late = ("" if figures.delay_s is None else f"{figures.delay_s:+.2f} s" for figures in (before, after))
    table.add_row("median delay", *late)
    to.console.print(table)
    to.say(
        f"{fitted.tried} rules tried; figures are those of the clips they were chosen on, events in negatives included"
    )
