"""Tables of a report."""

from edgevid_train.evaluate import page
from edgevid_train.evaluate.sections.figures import (
    Figures,
    interval,
    latency_of,
    macs_of,
    rate,
    short,
    threads,
    timed,
    unit,
)
from edgevid_train.marks import how_many


def compared(figures: Figures) -> str:
    """A column for each model, so that both can be read on a narrow screen."""
    if "compare" not in figures:
        return ""
    other = figures["compare"]
    paired = other["paired"]
    both: tuple[Figures, Figures] = (figures, other)
    rows: dict[str, list[page.Cell]] = {
        "top-1": [(rate(of["top1"]), interval(of, "top1")) for of in both],
        "top-5": [rate(of["top5"]) for of in both],
        "macro F1": [(rate(of["macro_f1"]), interval(of, "macro_f1")) for of in both],
        "calibration error": [rate(of["reliability"]["ece"]) for of in both],
        "clips trained on": [_trained_on(of) for of in both],
        "weights": [short(of["cost"]["weights"]) for of in both],
        "MACs": [(short(macs_of(of["cost"])), f"a {unit(of['cost'])}") for of in both],
        "GFLOPs a clip": [_or_empty(of["cost"]["gflops_per_clip"], "{:.2f}") for of in both],
        "clips a second": [_or_empty(of["cost"]["clips_per_s"], "{:.1f}") for of in both],
    }
    if "map" in figures and "map" in other:
        rows = {"mAP": [(rate(of["map"]), interval(of, "map")) for of in both], **rows}
    if any(map(latency_of, both)):
        rows["ms, p50 / p95"] = [(_milliseconds(of), f"a {timed(of['cost'])}") for of in both]
    computed = [of["cost"]["runs_on"] for of in both]
    where = computed[0] if computed[0] == computed[1] else f"{computed[0]} and of {computed[1]}"
    difference = f"{paired['difference']:+.3f}"
    if paired["difference_low"] is not None:
        difference += f" (95%: {paired['difference_low']:+.3f} to {paired['difference_high']:+.3f}, by group)"
    return (
        page.table(("", figures["model"], other["model"]), [(name, *cells) for name, cells in rows.items()])
        + page.paragraph(f"Times are those of {where}.", "quiet")
        + page.table(
            ("right", "clips"),
            [
                ("both", str(paired["both"])),
                ("only the first", str(paired["only_a"])),
                ("only the second", str(paired["only_b"])),
                ("neither", str(paired["neither"])),
            ],
        )
        + page.paragraph(f"Difference in top-1 {difference}. McNemar's exact test: p = {paired['p_value']:.3g}.")
    )


def per_class(figures: Figures) -> str:
    columns = {"ap": "AP"} if "map" in figures else {}
    columns |= {"precision": "precision", "recall": "recall", "f1": "F1"}
    rows = [
        (label, str(row["n"]), *((rate(row[key]), interval(row, key)) for key in columns))
        for label, row in figures["per_class"].items()
    ]
    note = (
        "In small print 95% intervals: Wilson's of precision and recall; of the others by the bootstrap over "
        f"{figures['groups']} groups of clips that belong together."
    )
    return page.table(("label", "clips", *columns.values()), rows) + page.paragraph(note, "quiet")


def exits(figures: Figures) -> str:
    if not figures["exits"]:
        return ""
    rows = [
        (
            row["name"],
            short(row["macs"]),
            "never" if row["threshold"] is None else f"{row['threshold']:g}",
            "" if row["decided"] is None else f"{row['decided']:.1%}",
            (rate(row["top1"]), interval(row, "top1")) if "top1" in row else "",
            "" if not row.get("step_ms") else f"{row['step_ms']['p50']:.2f} / {row['step_ms']['p95']:.2f}",
        )
        for row in figures["exits"]
    ]
    head = ("exit", "MACs a step", "sure from", "steps decided", "top-1 if every step ends here", "ms, p50 / p95")
    note = "The last exit decides whatever no earlier one is sure of."
    return page.table(head, rows) + page.paragraph(note, "quiet")


def robustness(figures: Figures) -> str:
    if "robustness" not in figures:
        return ""
    as_it_is = (
        "as it is",
        "",
        (rate(figures["top1"]), interval(figures, "top1")),
        "",
        rate(figures["macro_f1"]),
        "",
    )
    rows = [
        (
            row["name"],
            row["what"],
            (rate(row["top1"]), interval(row, "top1")),
            f"{row['difference']:+.3f}",
            rate(row["macro_f1"]),
            f"{row['p_value']:.2g}",
        )
        for row in figures["robustness"]
    ]
    note = (
        "The same clips, changed, with their labels as they were. Where the label is in the movement's direction or "
        "order, a model that looks at time should fail on reversed and shuffled clips; on the others it should not."
    )
    head = ("clips", "what was changed", "top-1", "difference", "macro F1", "McNemar's p")
    return page.table(head, [as_it_is, *rows], words=2) + page.paragraph(note, "quiet")


def cost_of(figures: Figures) -> str:
    cost, latency = figures["cost"], latency_of(figures)
    steps = cost["macs_per_step"] is not None
    rows = [
        ("weights (parameters)", f"{cost['weights']:,}"),
        (
            "multiply-accumulates a step, every exit" if steps else "multiply-accumulates a clip, looked at once",
            f"{macs_of(cost):,}",
        ),
    ]
    if cost["gflops_per_s"] is not None:
        rows.append(("GFLOPs a second of video", f"{cost['gflops_per_s']:.2f}"))
    if cost["gflops_per_clip"] is not None:
        rows.append(("GFLOPs a clip", f"{cost['gflops_per_clip']:.2f}"))
    if latency:
        rows.append((f"milliseconds a {timed(cost)}, p50 / p95", f"{latency['p50']:.2f} / {latency['p95']:.2f}"))
    if cost["clips_per_s"] is not None:
        rows.append(("clips a second, scored", f"{cost['clips_per_s']:.1f}"))
        if steps:
            rows.append(("steps a second, scored", f"{cost['steps_per_s']:.0f}"))
        rows += [
            ("times faster than the video", f"{cost['times_real_time']:.1f}"),
            ("seconds of scoring, of decoding", f"{cost['score_s']:.1f}, {cost['decode_s']:.1f}"),
        ]
    note = "A multiply-accumulate counts as two operations; convolutions, matrix products and attention are counted."
    return page.table(("", f"{cost['runs_on']}, {threads(cost)}"), rows) + page.paragraph(note, "quiet")


def missing(figures: Figures) -> str:
    if not figures["skipped"]:
        return ""
    note = page.paragraph("They could not be read and count as errors in every figure.")
    return note + page.table(("clip", "why"), [(e["file"], e["reason"]) for e in figures["skipped"]], words=2)


def _trained_on(figures: Figures) -> page.Cell:
    seen = figures["seen"]
    return "not said" if seen is None else how_many(seen["n"], complete=seen["complete"])


def _or_empty(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _milliseconds(figures: Figures) -> str:
    latency = latency_of(figures)
    return "" if not latency else f"{latency['p50']:.2f} / {latency['p95']:.2f}"
