"""Pictures of a report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


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
