"""A report in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgevid_train.marks import how_many


def show(figures: Mapping[str, Any]) -> None:
    """Print the figures, the labels and the errors for a person. `figures` is a report's JSON."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns = {"ap": "AP"} if "map" in figures else {}
    columns |= {"precision": "precision", "recall": "recall", "f1": "F1"}
    table = Table("label", "clips", *columns.values(), box=SIMPLE_HEAD, pad_edge=False)
    for label, row in figures["per_class"].items():
        rates = (f"{row[key]:.3f}" for key in columns)
        table.add_row(Text(label), str(row["n"]), *rates)
    console.print(table)
    for line in _lines(figures):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"{figures['model']} on {figures['data']}"
    if figures["views"]["said"]:
        yield f"each clip's score is the mean of up to {figures['views']['said']}"
    yield _headline(figures)
    yield from _trained_on(figures)
    if "compare" in figures:
        other = figures["compare"]
        paired = other["paired"]
        yield f"compared with {other['model']}"
        yield _headline(other)
        yield from _trained_on(other)
        yield (
            f"right: both {paired['both']}, only the first {paired['only_a']}, only the second {paired['only_b']}, "
            f"neither {paired['neither']}; McNemar's exact p {paired['p_value']:.3g}"
        )
    for row in figures.get("robustness", []):
        yield f"{row['name']}: top-1 {row['top1']:.3f} ({row['difference']:+.3f}; {row['what']})"
    for entry in figures["skipped"]:
        yield f"skipped, scored as missing: {entry['file']}: {entry['reason']}"


def _trained_on(figures: Mapping[str, Any]) -> Iterator[str]:
    seen = figures["seen"]
    if seen and seen["n"]:
        n = how_many(seen["n"], complete=seen["complete"])
        yield f"trained on {n} of the {figures['n']} clips or on their groups: these figures say little about others"


def _headline(figures: Mapping[str, Any]) -> str:
    first = ""
    if "map" in figures:
        low, high = figures["map_low"], figures["map_high"]
        first = f"mAP {figures['map']:.3f}" + ("  " if low is None else f" ({low:.3f} to {high:.3f}, 95%)  ")
    return first + (
        f"top-1 {figures['top1']:.3f} ({figures['top1_low']:.3f} to {figures['top1_high']:.3f}, 95%)  "
        f"top-5 {figures['top5']:.3f}  macro F1 {figures['macro_f1']:.3f}  of {figures['n']} clips"
    )
