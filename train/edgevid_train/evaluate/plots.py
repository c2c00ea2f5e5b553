"""Pictures of a report."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from edgevid_train.evaluate.streams.matching import LabelledSpan, Stream, match, verdicts

_DARK_GROUND, _DARK_INK = "#15181c", "#e6e9ed"
"""As in page.css."""
_DARK = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), _DARK_GROUND) | dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor"), _DARK_INK
)
_DPI = 192
"""Twice what a page shows, for screens of twice the density."""
MOST_NAMED = 60
"""Labels whose names can still be read."""
LONGEST = 48
"""Letters of a name."""

# A label in letters that the font has not is drawn as boxes; the page beside it has the letters.
warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)


def plain(text: str) -> str:
    """As it is, since matplotlib takes what stands between two dollars for a formula."""
    return text.replace("$", r"\$")


def draw_light_and_dark(draw: Callable[[Path], None], folder: Path, name: str) -> tuple[str, str]:
    """Draw twice, for a light and for a dark page. Returns: names of the two files in `folder`."""
    light, dark = f"{name}.png", f"{name}-dark.png"
    draw(folder / light)
    with rc_context(_DARK):
        draw(folder / dark)
    return light, dark


def draw_confusion(names: Sequence[str], counts: NDArray[np.int64], path: Path) -> None:
    """Draw how often each label (row) was taken for another (column) as a PNG; `counts` `(labels, labels)`.

    Rows are shaded by their share, so that rare labels are seen too; rows and columns without a clip are left out.
    Of many labels neither names nor counts are drawn, and the picture is small again.
    """
    rows = [i for i in range(len(names)) if counts[i].sum()]
    columns = [i for i in range(len(names)) if i in rows or counts[:, i].sum()]
    shown = counts[np.ix_(rows, columns)]
    share = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
    named = len(columns) <= MOST_NAMED
    across, down = ([_short(plain(names[i])) for i in those] for those in (columns, rows))
    beside = 0.08 * max(map(len, [*across, *down]), default=0)  # inches that names take
    size = (1.4 + beside + 0.42 * len(columns), 1.1 + beside + 0.42 * len(rows)) if named else (10, 10)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, alpha=np.where(shown > 0, 1.0, 0.04) if named else None)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if named:
        axes.set_xticks(range(len(columns)), across, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), down)
        for (y, x), count in np.ndenumerate(shown):
            if count:
                axes.text(x, y, str(count), ha="center", va="center", color="white" if share[y, x] > 0.5 else "black")
    figure.savefig(path, dpi=_DPI, format="png")


def _short(name: str) -> str:
    """Both ends of a long name: what sets labels apart stands at either."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}"


def draw_reliability(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw a reliability diagram (Guo et al. 2017) as a PNG, and under it how many clips each bin holds.

    `bins`: entries of `Reliability.to_json`.
    """
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    axes, counts = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    middles = [(b["low"] + b["high"]) / 2 for b in bins]
    width = (bins[0]["high"] - bins[0]["low"]) * 0.9 if bins else 1
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1)
    axes.bar(middles, [b["accuracy"] for b in bins], width, color="#4c8edb", alpha=0.75, label="right")
    axes.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "o", color="#d9480f", label="mean score")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    axes.legend(frameon=False, loc="upper left")
    counts.bar(middles, [b["n"] for b in bins], width, color="#868e96")
    counts.set(xlabel="score of the answer", ylabel="clips")
    figure.savefig(path, dpi=_DPI, format="png")


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """Draw how a training went as a PNG: one small plot for each curve over the training step."""
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.2 * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (name, points) in zip(places, curves.items(), strict=False):
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color="#4c8edb", linewidth=1.3, marker="." if len(points) < 30 else None)
        axes.set_title(plain(name), fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in places[len(curves) :]:
        axes.set_visible(False)
    figure.supxlabel("training step", fontsize=9)
    figure.savefig(path, dpi=_DPI, format="png")


def draw_embeddings(places: NDArray[np.float32], labels: Sequence[str], right: Sequence[bool], path: Path) -> None:
    """Draw clips at their places `(n, 2)` as a PNG, one colour a label, crosses for wrong answers."""
    import matplotlib

    names, found = sorted(set(labels)), {label for label, good in zip(labels, right, strict=True) if good}
    colours: Any = matplotlib.colormaps["tab20" if len(names) > 10 else "tab10"]
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(names):
        for good, marker, size in ((True, "o", 16), (False, "X", 60)):
            chosen = [k for k, label in enumerate(labels) if label == name and right[k] == good]
            axes.scatter(
                places[chosen, 0],
                places[chosen, 1],
                s=size,
                marker=marker,
                color=colours(i % colours.N),
                edgecolors="red" if not good else "none",
                linewidths=1,
                label=plain(name) if good or name not in found else None,
            )
    axes.set(xticks=[], yticks=[])
    if len(names) <= 40:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, dpi=_DPI, format="png")


ROW_S = 60.0
"""Seconds in one row of a timeline."""
_COLOURS = {"matched": "#2f9e44", "doubled": "#f08c00", "mistaken": "#e03131", "false": "#9c36b5", "missed": "#e03131"}


def draw_timeline(stream: Stream, path: Path) -> None:
    """Draw what really happened (above) and the events (below) along a stream as a PNG, one row a minute.

    Actions found are green, missed ones red and hatched; a tick stands where an event was first told of.
    """
    rows = max(1, math.ceil(stream.seconds / ROW_S))
    found = match(stream.actions, stream.found)
    figure = Figure(figsize=(18, 0.6 + 1.25 * rows), layout="constrained")
    above: list[tuple[LabelledSpan, str]] = [
        (action, "matched" if i in found else "missed") for i, action in enumerate(stream.actions)
    ]
    below: list[tuple[LabelledSpan, str]] = list(zip(stream.found, verdicts(stream.actions, stream.found), strict=True))
    for row, axes in enumerate(figure.subplots(rows, squeeze=False)[:, 0]):
        begin_s = row * ROW_S
        for y, items in ((1.0, above), (0.0, below)):
            for item, kind in items:
                hatch = "///" if kind == "missed" else None
                length_s = max(item.end_s - item.start_s, 0.05)
                shape = {"height": 0.8, "align": "edge", "color": _COLOURS[kind], "alpha": 0.45, "hatch": hatch}
                axes.barh(y, length_s, left=item.start_s, **shape)
                if begin_s <= item.start_s < begin_s + ROW_S:
                    axes.text(item.start_s + 0.1, y + 0.4, plain(item.label), va="center", fontsize=8, clip_on=True)
        axes.vlines([event.emitted_s for event in stream.found], 0, 0.8, colors="black", linewidth=1)
        axes.set_xlim(begin_s, begin_s + ROW_S)
        axes.set_ylim(-0.1, 1.9)
        axes.set_yticks([0.4, 1.4], ["events", "truth"])
        axes.margins(0)
    axes.set_xlabel("seconds")
    kinds = [
        Patch(color=_COLOURS[kind], alpha=0.45, label=kind) for kind in ("matched", "doubled", "mistaken", "false")
    ]
    kinds.append(Patch(facecolor=_COLOURS["missed"], alpha=0.45, hatch="///", label="missed"))
    figure.legend(handles=kinds, loc="outside upper right", ncols=len(kinds), frameon=False)
    figure.suptitle(plain(stream.name), x=0.01, ha="left")
    figure.savefig(path, dpi=90, format="png")
