"""A report's figures as the parts of its page: everything here is made of `Report.to_json` alone."""

from collections.abc import Mapping
from functools import partial

from edgevid_train.evaluate import page
from edgevid_train.evaluate.sections import clips, tables
from edgevid_train.evaluate.sections.clips import Strips
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

__all__ = ["Figures", "Strips", "head", "sections"]


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
    latency = latency_of(figures)
    rows = [
        *([("mAP", rate(figures["map"]), interval(figures, "map"))] if "map" in figures else []),
        ("top-1", rate(figures["top1"]), interval(figures, "top1")),
        ("top-5", rate(figures["top5"]), ""),
        ("macro F1", rate(figures["macro_f1"]), interval(figures, "macro_f1")),
        ("calibration error", rate(figures["reliability"]["ece"]), "expected, 15 bins"),
        ("weights", short(cost["weights"]), ""),
        (f"a {unit(cost)}", short(macs_of(cost)), "multiply-accumulates"),
    ]
    if latency:
        remark = f"p95 {latency['p95']:.2f} ms, {cost['runs_on']}, {threads(cost)}"
        rows.append((f"a {timed(cost)}'s time", f"{latency['p50']:.2f} ms", remark))
    return [*lines, page.key_figures(rows)]


def _seen(figures: Figures) -> str:
    seen = figures["seen"]
    n = how_many(seen["n"], complete=seen["complete"])
    text = (
        f"The model was trained on {n} of these {figures['n']} clips, or on others of their groups: "
        "what it gets right of them says little about clips it has never seen."
    )
    others = seen["others"]
    if "top1" in others:
        text += f" Of the other {others['n']} it gets {rate(others['top1'])} right ({interval(others, 'top1')})."
    return text


def sections(figures: Figures, drawings: Mapping[str, str], strips: Strips) -> dict[str, str]:
    """Heading -> HTML; empty where there is nothing to say."""
    show = partial(clips.shown, figures, strips.frames)
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
        "Two models": tables.compared(figures),
        "Labels": tables.per_class(figures),
        "Confusion matrix": drawings["confusion"],
        "Confusions": confused and (legend if charts else "") + confused,
        "Wrong and sure": show(figures["worst"]["surest_wrong"]),
        "Right and least sure": show(figures["worst"]["least_sure_right"]),
        "Samples": show(figures["samples"]),
        "Where it looked": clips.looked(figures, strips),
        "Reliability": _with_note(
            drawings.get("reliability", ""),
            "On the dashed line a score is what it says; below it the model is too sure.",
        ),
        "Exits": tables.exits(figures),
        "Robustness": tables.robustness(figures),
        "Embeddings": _with_note(
            drawings.get("embeddings", ""),
            "t-SNE of each clip's embedding; crosses are wrong answers. What lies together is alike to the network; "
            "how far apart groups lie says nothing.",
        ),
        "Training": drawings.get("curves", ""),
        "Cost": tables.cost_of(figures),
        "Missing clips": tables.missing(figures),
    }


def _with_note(drawing: str, note: str) -> str:
    return drawing and drawing + page.paragraph(note, "quiet")
