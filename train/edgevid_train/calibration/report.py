"""What a calibration found: every row of thresholds with its losses, as JSON and on the screen."""

from dataclasses import dataclass
from typing import Any, Literal

from edgevid.manifest import Manifest
from edgevid_train.calibration.judged import Thresholds
from edgevid_train.calibration.risk import Promise
from edgevid_train.ledger import Ledger
from edgevid_train.reporter import Reporter

Unit = Literal["recording", "event"]


@dataclass(frozen=True)
class Row:
    """What one row of thresholds did. `losses`: units that the whole network gets right and this cascade does not.

    `right`: labelled clips that the cascade gets right. `shares`: of steps, decided by each exit; the others were
    gated. `macs`: mean of a step, multiply-accumulates.
    """

    thresholds: Thresholds
    losses: int
    right: int
    shares: tuple[float, ...]
    macs: float
    p_value: float = 1.0


@dataclass(frozen=True)
class Result:
    """One calibration. `rows` in the order of the test, of which the first `passed` passed; `full`: no exit early.

    `n`: units; `clips`: labelled clips in them. `notes`: what a person should know about the promise.
    """

    model: Manifest
    data: str
    promise: Promise
    unit: Unit
    n: int
    clips: int
    full: Row
    rows: tuple[Row, ...]
    passed: int
    skipped: Ledger
    notes: tuple[str, ...]

    @property
    def chosen(self) -> Row | None:
        """The most saving row that passed; None when not even the most careful one did."""
        return self.rows[self.passed - 1] if self.passed else None

    def to_json(self) -> dict[str, Any]:
        """The fields of `calibrate --json`."""
        names = [e.name for e in self.model.exits]

        def described(row: Row) -> dict[str, Any]:
            return {
                "thresholds": dict(zip(names[:-1], row.thresholds, strict=False)),
                "losses": row.losses,
                "p_value": row.p_value,
                "right": row.right / self.clips,
                "exits": dict(zip(names, row.shares, strict=True)),
                "gated": max(0.0, round(1 - sum(row.shares), 9)),
                "macs": row.macs,
            }

        return {
            "model": self.model.id,
            "data": self.data,
            "risk": self.promise.risk,
            "confidence": self.promise.confidence,
            "unit": self.unit,
            "n": self.n,
            "clips": self.clips,
            "needed_without_loss": self.promise.units_needed(),
            "whole_network": described(self.full),
            "rows": [described(row) | {"passed": i < self.passed} for i, row in enumerate(self.rows)],
            "chosen": None if self.chosen is None else described(self.chosen),
            "skipped": [{"file": record.id, "reason": reason} for record, reason in self.skipped.reasons.items()],
            "notes": list(self.notes),
        }


def show(result: Result, report: Reporter) -> None:
    """Print all rows, the one that is chosen, what was left out and what to know."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    names = [e.name for e in result.model.exits]
    gated = result.unit == "event"
    who = (["gated"] if gated else []) + names
    titles = ("level", *who, "M MACs", "right", "lost", "p")
    table = Table(
        *(Column(title, justify="right") for title in titles), "", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1)
    )
    for i, row in enumerate((result.full, *result.rows)):
        passes = {0: "", result.passed: "chosen", result.passed + 1: "fails"}.get(i, "")
        level, p = row.thresholds[0], f"{row.p_value:.2g}" if 0 < i <= result.passed + 1 else ""
        held = [1 - sum(row.shares)] if gated else []
        shares = (f"{share:.0%}" for share in (*held, *row.shares))
        figures = (f"{row.macs / 1e6:.2f}", f"{row.right / result.clips:.1%}", str(row.losses), p)
        table.add_row("never" if level is None else f"{level:g}", *shares, *figures, passes)
    report.console.print(table)
    for line in _lines(result):
        report.say(line)


def failure(result: Result) -> str:
    """Why nothing was written, in one line."""
    first = result.rows[0]
    return (
        f"no thresholds keep the promise: even exits that are sure from {first.thresholds[0]:g} lost {first.losses} of "
        f"{result.n} {result.unit}s; with so many losses it takes {result.promise.units_needed(first.losses)}"
    )


def _lines(result: Result) -> list[str]:
    asked = f"risk {result.promise.risk:g}, confidence {result.promise.confidence:g}"
    lines = [f"{result.model.id} on {result.data}: {result.n} {result.unit}s, {asked}"]
    if result.chosen is not None:
        saved = 1 - result.chosen.macs / result.full.macs
        lines.append(
            f"chosen: sure from {result.chosen.thresholds[0]:g}, {result.chosen.losses} lost, "
            f"{saved:.0%} fewer multiply-accumulates a step"
        )
    lines += [f"skipped, not counted: {record.id}: {reason}" for record, reason in result.skipped.reasons.items()]
    return [*lines, *(f"note: {note}" for note in result.notes)]
