"""A report's figures as the parts of its page: everything here is made of `Report.to_json` alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edgevid.manifest import BACKGROUND
from edgevid_train.evaluate import page

Figures = Mapping[str, Any]


class Strips(NamedTuple):
    """A clip's id -> a picture, relative to the page: its frames, and where the network looked in them.

    `attended`: these have a second row, of attention.
    """

    frames: Mapping[str, Path]
    looks: Mapping[str, Path]
    attended: bool = False


def head(figures: Figures) -> list[str]:
    seen, cost = figures["seen"], figures["cost"]
    lines = [
        page.paragraph(f"{figures['model']} on {figures['data']}, {figures['n']} clips, {figures['date']}", "quiet")
    ]
    if figures["views"]["said"]:
        said = f"Each clip's score is the mean of up to {figures['views']['said']}. On a device it has one view."
        lines.append(page.paragraph(said))
    if seen is None:
        lines.append(page.paragraph("The model does not say which recordings it was trained on.", "quiet"))
    elif seen["n"]:
        lines.append(page.paragraph(_seen(figures), "note"))
    latency = _latency(figures)
    rows = [
        *([("mAP", _rate(figures["map"]), _interval(figures, "map"))] if "map" in figures else []),
        ("top-1", _rate(figures["top1"]), _interval(figures, "top1")),
        ("top-5", _rate(figures["top5"]), ""),
        ("macro F1", _rate(figures["macro_f1"]), _interval(figures, "macro_f1")),
        ("calibration error", _rate(figures["reliability"]["ece"]), "expected, 15 bins"),
        ("weights", _short(cost["weights"]), ""),
        (f"a {_unit(cost)}", _short(_macs(cost)), "multiply-accumulates"),
    ]
    if latency:
        remark = f"p95 {latency['p95']:.2f} ms, {cost['runs_on']}, {_threads(cost)}"
        rows.append((f"a {_timed(cost)}'s time", f"{latency['p50']:.2f} ms", remark))
    return [*lines, page.key_figures(rows)]


def _seen(figures: Figures) -> str:
    seen = figures["seen"]
    least = "" if seen["complete"] else "at least "
    text = (
        f"The model was trained on {least}{seen['n']} of these {figures['n']} clips, or on others of their groups: "
        "what it gets right of them says little about clips it has never seen."
    )
    others = seen["others"]
    if "top1" in others:
        text += f" Of the other {others['n']} it gets {_rate(others['top1'])} right ({_interval(others, 'top1')})."
    return text


def sections(figures: Figures, drawings: Mapping[str, str], strips: Strips) -> dict[str, str]:
    """Heading -> HTML; empty where there is nothing to say."""
    show = partial(_clips, figures, strips.frames)
    confused = "".join(
        page.heading(f"{c['label']} taken for {c['predicted']}: {c['n']}") + show(c["clips"])
        for c in figures["worst"]["confusions"]
    )
    charts = any(len(track["times_s"]) > 1 for track in figures["tracks"].values())
    legend = page.paragraph(
        "Under each strip the scores over its time: the true label's solid, the answer's dashed; "
        "a dotted line where the clip ends and its last frame is held.",
        "quiet",
    )
    return {
        "Two models": _compared(figures),
        "Labels": _per_class(figures),
        "Confusion matrix": drawings["confusion"],
        "Confusions": confused and (legend if charts else "") + confused,
        "Wrong and sure": show(figures["worst"]["surest_wrong"]),
        "Right and least sure": show(figures["worst"]["least_sure_right"]),
        "Samples": show(figures["samples"]),
        "Where it looked": _looks(figures, strips),
        "Reliability": _with_note(
            drawings.get("reliability", ""),
            "On the dashed line a score is what it says; below it the model is too sure.",
        ),
        "Exits": _exits(figures),
        "Robustness": _robustness(figures),
        "Embeddings": _with_note(
            drawings.get("embeddings", ""),
            "t-SNE of each clip's embedding; crosses are wrong answers. What lies together is alike to the network; "
            "how far apart groups lie says nothing.",
        ),
        "Training": drawings.get("curves", ""),
        "Cost": _cost(figures),
        "Missing clips": _missing(figures),
    }


def _with_note(drawing: str, note: str) -> str:
    return drawing and drawing + page.paragraph(note, "quiet")


def _clips(figures: Figures, strips: Mapping[str, Path], ids: Sequence[str]) -> str:
    entries = {_id(entry): entry for entry in figures["predictions"]}
    return page.clips(_clip(figures, strips[name], name, entries[name]) for name in ids) if ids else ""


def _id(entry: Figures) -> str:
    """As `ClipRecord.id`."""
    if "start_s" not in entry:
        return str(entry["file"])
    end_s = "" if entry["end_s"] is None else f"{entry['end_s']:g}"
    return f"{entry['file']}[{entry['start_s']:g}:{end_s}]"


def _clip(figures: Figures, strip: Path, name: str, entry: Figures) -> str:
    track = figures["tracks"][name]
    right = entry["label"] == entry["predicted"]
    lines = {"truth": track["truth"]} if right else {kind: track[kind] for kind in ("truth", "answer")}
    chart = page.score_chart(track["times_s"], lines, track["end_s"]) if len(track["times_s"]) > 1 else ""
    seen = ", trained on" if entry.get("seen") else ""
    return page.clip(strip, f"frames of {name}, from its start to its end", _said(entry), f"{name}{seen}", chart)


def _looks(figures: Figures, strips: Strips) -> str:
    if figures["looks"]["none"] is not None:
        return page.paragraph(figures["looks"]["none"])
    entries = {_id(entry): entry for entry in figures["predictions"]}
    shown = [
        page.clip(
            strips.looks[name],
            f"frames of {name} with what spoke for {entries[name]['predicted']} laid over them",
            _said(entries[name]),
            name,
        )
        for name in figures["looks"]["clips"]
    ]
    note = (
        "What spoke for the answer, right or wrong: activation times gradient in the last maps, the brighter the more, "
        "over the frames as the network was given them, first to last; a frame that is grey did not count. "
        "Dots are places that its eye found, where it has such an eye, and the ring that where a hand points."
    )
    if strips.attended:
        note += (
            " In the row below, attention rollout (Abnar and Zuidema 2020): which places the answer was read from by "
            "more than their even share. It says where a network looked, not what spoke for this label."
        )
    return (page.paragraph(note, "quiet") + page.clips(shown, large=True)) if shown else ""


def _said(entry: Figures) -> str:
    """The answer and its score, and what is true where that is something else."""
    label, predicted, scores = entry["label"], entry["predicted"], entry["scores"]
    if "labels" in entry:  # of independent labels: that none of them is there
        scores = {BACKGROUND: 1 - max(scores.values()), **scores}
    if label == predicted:
        return f"{label} {scores[label]:.3f}"
    return f"{label} {scores.get(label, 0):.3f}, taken for {predicted} {scores[predicted]:.3f}"


def _compared(figures: Figures) -> str:
    if "compare" not in figures:
        return ""
    other = figures["compare"]
    paired = other["paired"]
    rows = [
        (
            of["model"],
            (_rate(of["top1"]), _interval(of, "top1")),
            _rate(of["top5"]),
            (_rate(of["macro_f1"]), _interval(of, "macro_f1")),
            _rate(of["reliability"]["ece"]),
            _short(of["cost"]["weights"]),
            (_short(_macs(of["cost"])), f"a {_unit(of['cost'])}"),
            "" if of["cost"]["gflops_per_clip"] is None else f"{of['cost']['gflops_per_clip']:.2f}",
            _milliseconds(of),
        )
        for of in (figures, other)
    ]
    head = ("model", "top-1", "top-5", "macro F1", "ECE", "weights", "MACs", "GFLOPs a clip", "ms, p50 / p95")
    difference = f"{paired['difference']:+.3f}"
    if paired["difference_low"] is not None:
        difference += f" (95%: {paired['difference_low']:+.3f} to {paired['difference_high']:+.3f}, by group)"
    computed = [of["cost"]["runs_on"] for of in (figures, other)]
    where = computed[0] if computed[0] == computed[1] else f"{computed[0]}; the second's {computed[1]}"
    return (
        page.table(head, rows)
        + (page.paragraph(f"Times are those of {where}.", "quiet") if any(map(_latency, (figures, other))) else "")
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


def _per_class(figures: Figures) -> str:
    columns = {"ap": "AP"} if "map" in figures else {}
    columns |= {"precision": "precision", "recall": "recall", "f1": "F1"}
    rows = [
        (label, str(row["n"]), *((_rate(row[key]), _interval(row, key)) for key in columns))
        for label, row in figures["per_class"].items()
    ]
    note = (
        "In small print 95% intervals: Wilson's of precision and recall; of the others by the bootstrap over "
        f"{figures['groups']} groups of clips that belong together."
    )
    return page.table(("label", "clips", *columns.values()), rows) + page.paragraph(note, "quiet")


def _exits(figures: Figures) -> str:
    if not figures["exits"]:
        return ""
    rows = [
        (
            row["name"],
            _short(row["macs"]),
            "never" if row["threshold"] is None else f"{row['threshold']:g}",
            "" if row["decided"] is None else f"{row['decided']:.1%}",
            (_rate(row["top1"]), _interval(row, "top1")) if "top1" in row else "",
            "" if not row.get("step_ms") else f"{row['step_ms']['p50']:.2f} / {row['step_ms']['p95']:.2f}",
        )
        for row in figures["exits"]
    ]
    head = ("exit", "MACs a step", "sure from", "steps decided", "top-1 if every step ends here", "ms, p50 / p95")
    note = "The last exit decides whatever no earlier one is sure of."
    return page.table(head, rows) + page.paragraph(note, "quiet")


def _robustness(figures: Figures) -> str:
    if "robustness" not in figures:
        return ""
    as_it_is = (
        "as it is",
        "",
        (_rate(figures["top1"]), _interval(figures, "top1")),
        "",
        _rate(figures["macro_f1"]),
        "",
    )
    rows = [
        (
            row["name"],
            row["what"],
            (_rate(row["top1"]), _interval(row, "top1")),
            f"{row['difference']:+.3f}",
            _rate(row["macro_f1"]),
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


def _cost(figures: Figures) -> str:
    cost, latency = figures["cost"], _latency(figures)
    steps = cost["macs_per_step"] is not None
    rows = [
        ("weights (parameters)", f"{cost['weights']:,}"),
        (
            "multiply-accumulates a step, every exit" if steps else "multiply-accumulates a clip, looked at once",
            f"{_macs(cost):,}",
        ),
    ]
    if cost["gflops_per_s"] is not None:
        rows.append(("GFLOPs a second of video", f"{cost['gflops_per_s']:.2f}"))
    if cost["gflops_per_clip"] is not None:
        rows.append(("GFLOPs a clip", f"{cost['gflops_per_clip']:.2f}"))
    if latency:
        rows.append((f"milliseconds a {_timed(cost)}, p50 / p95", f"{latency['p50']:.2f} / {latency['p95']:.2f}"))
    if cost["clips_per_s"] is not None:
        rows.append(("clips a second, scored", f"{cost['clips_per_s']:.1f}"))
        if steps:
            rows.append(("steps a second, scored", f"{cost['steps_per_s']:.0f}"))
        rows += [
            ("times faster than the video", f"{cost['times_real_time']:.1f}"),
            ("seconds of scoring, of decoding", f"{cost['score_s']:.1f}, {cost['decode_s']:.1f}"),
        ]
    note = "A multiply-accumulate counts as two operations; convolutions, matrix products and attention are counted."
    return page.table(("", f"{cost['runs_on']}, {_threads(cost)}"), rows) + page.paragraph(note, "quiet")


def _missing(figures: Figures) -> str:
    if not figures["skipped"]:
        return ""
    note = page.paragraph("They could not be read and count as errors in every figure.")
    return note + page.table(("clip", "why"), [(e["file"], e["reason"]) for e in figures["skipped"]], words=2)


def _latency(figures: Figures) -> Mapping[str, float] | None:
    """Of a step to the last exit, or of a whole clip, where one was timed."""
    whole: Mapping[str, float] | None = figures["cost"]["clip_ms"]
    step: Mapping[str, float] | None = figures["exits"][-1].get("step_ms") if figures["exits"] else None
    return step or whole


def _milliseconds(figures: Figures) -> str:
    latency = _latency(figures)
    return "" if not latency else f"{latency['p50']:.2f} / {latency['p95']:.2f}"


def _unit(cost: Figures) -> str:
    """Of what the multiply-accumulates are."""
    return "clip" if cost["macs_per_step"] is None else "step"


def _timed(cost: Figures) -> str:
    """What was timed."""
    return "clip" if cost["clip_ms"] else "step"


def _macs(cost: Figures) -> int:
    return int(cost["macs_per_clip"] if cost["macs_per_step"] is None else cost["macs_per_step"])


def _threads(cost: Figures) -> str:
    return f"{cost['threads']} thread{'' if cost['threads'] == 1 else 's'}"


def _short(count: int) -> str:
    """Three digits of a number: 39.4 M, 812 k, 24."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {name}"
    return str(count)


def _rate(value: float) -> str:
    return f"{value:.3f}"


def _interval(row: Figures, key: str) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if low is None else f"{low:.3f} to {high:.3f}"
