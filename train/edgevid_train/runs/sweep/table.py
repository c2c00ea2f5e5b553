"""The table of a sweep: on the terminal, as JSON, as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from edgevid.files import write_json, write_text
from edgevid_train.runs.sweep.figures import Compared
from edgevid_train.runs.sweep.plan import Combination, SweepPlan

FIGURES, TABLE = "sweep.json", "sweep.csv"
NAMES = {"top1": "top-1", "map": "mAP"}
HOW = (
    "the mean over seeds, on held-out clips, weights of the last epoch; its 95% interval by a bootstrap over groups of "
    "clips and over seeds"
)


def rows_of(plan: SweepPlan, found: Mapping[str, Compared]) -> list[dict[str, Any]]:
    """One row a combination that has run, in the plan's order; `best` has the one with the highest mean."""
    done = [(one, found[one.folder]) for one in plan.combinations if one.folder in found]
    means = [compared.mean for _, compared in done if compared.mean is not None]
    return [_row(one, compared, max(means, default=None)) for one, compared in done]


def _row(combination: Combination, compared: Compared, best: float | None) -> dict[str, Any]:
    low, high = compared.interval or (None, None)
    return {
        "folder": combination.folder,
        "values": combination.values,
        "metric": compared.metric,
        "mean": compared.mean,
        "low": low,
        "high": high,
        "seeds": list(compared.each),
        "deviation": compared.deviation,
        "macro_f1": compared.macro_f1 if compared.each else None,
        "n": compared.n,
        "failed": list(compared.failed),
        "best": compared.mean is not None and compared.mean == best,
    }


def write_table(out: Path, plan: SweepPlan, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both files in `out`. Returns what stands in `FIGURES`."""
    figures = {"sweep": list(plan.sweeps), "seeds": plan.seeds, "how": HOW, "combinations": list(rows)}
    write_json(out / FIGURES, figures)
    keys = list(plan.combinations[0].values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("metric", "mean", "low", "high", "deviation", "macro_f1", "n")
    writer.writerow([*keys, *columns, "seeds", "failed", "best", "folder"])
    for row in rows:
        values = [row["values"][key] for key in keys]
        numbers = ["" if row[name] is None else row[name] for name in columns]
        seeds = " ".join(f"{value:.6g}" for value in row["seeds"])
        writer.writerow([*values, *numbers, seeds, len(row["failed"]), int(row["best"]), row["folder"]])
    write_text(out / TABLE, text.getvalue())
    return figures


def show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """For a person, the best row marked."""
    if not rows:
        return
    metric = NAMES[rows[0]["metric"]]
    keys = list(rows[0]["values"])
    values = (Column(name, overflow="fold") for name in _short(keys))
    figures = (Column(name, no_wrap=True) for name in (metric, "95%", "seeds differ by", "macro F1", "clips"))
    table = Table(Column("", no_wrap=True), *values, *figures, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        mean = "" if row["mean"] is None else f"{row['mean']:.3f}"
        interval = "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        seeds = "" if row["deviation"] is None else f"{row['deviation']:.3f}"
        seeds += f" {len(row['failed'])} failed" if row["failed"] else ""
        f1 = "" if row["macro_f1"] is None else f"{row['macro_f1']:.3f}"
        table.add_row(
            "best" if row["best"] else "",
            *(Text(row["values"][key]) for key in keys),
            *(mean, interval, seeds, f1, str(row["n"])),
            style="bold" if row["best"] else None,
        )
    console.print(table)
    console.print(f"{metric}: {HOW}; what seeds differ by is their standard deviation", markup=False, highlight=False)


def _short(keys: Sequence[str]) -> list[str]:
    """`lr` of `optim.lr`, unless another key ends like it."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]
