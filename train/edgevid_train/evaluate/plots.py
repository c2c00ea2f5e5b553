"""Pictures of a report."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from edgevid_train.evaluate.matching import Interval, Stream, match, verdicts


def draw_confusion(names: Sequence[str], counts: NDArray[np.int64], path: Path) -> None:
    """Draw how often each label (row) was taken for another (column) as a PNG; `counts` `(labels, labels)`.

    Rows are shaded by their share, so that rare labels are seen too; rows and columns without a clip are left out.
    """
    rows = [i for i in range(len(names)) if counts[i].sum()]
    columns = [i for i in range(len(names)) if i in rows or counts[:, i].sum()]
    shown = counts[np.ix_(rows, columns)]
    share = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
    figure = Figure(figsize=(2.2 + 0.42 * len(columns), 1.8 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), [names[i] for i in columns], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [names[i] for i in rows])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(columns) <= 60:
        for (y, x), count in np.ndenumerate(shown):
            if count:
                axes.text(x, y, str(count), ha="center", va="center", color="white" if share[y, x] > 0.5 else "black")
    figure.savefig(path, dpi=120, format="png")


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
    above: list[tuple[Interval, str]] = [
        (action, "matched" if i in found else "missed") for i, action in enumerate(stream.actions)
    ]
    below: list[tuple[Interval, str]] = list(zip(stream.found, verdicts(stream.actions, stream.found), strict=True))
    for row, axes in enumerate(figure.subplots(rows, squeeze=False)[:, 0]):
        begin_s = row * ROW_S
        for y, items in ((1.0, above), (0.0, below)):
            for item, kind in items:
                hatch = "///" if kind == "missed" else None
                length_s = max(item.end_s - item.start_s, 0.05)
                shape = {"height": 0.8, "align": "edge", "color": _COLOURS[kind], "alpha": 0.45, "hatch": hatch}
                axes.barh(y, length_s, left=item.start_s, **shape)
                if begin_s <= item.start_s < begin_s + ROW_S:
                    axes.text(item.start_s + 0.1, y + 0.4, item.label, va="center", fontsize=8, clip_on=True)
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
    figure.suptitle(stream.name, x=0.01, ha="left")
    figure.savefig(path, dpi=90, format="png")
