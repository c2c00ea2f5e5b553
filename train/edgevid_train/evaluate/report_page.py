"""The folder that `edgevid evaluate --out` leaves: one page to look at, the figures as JSON, pictures.

index.html      everything that is in report.json, to be read
report.json     what `--json` writes
*.png           drawings, each for a light and for a dark page
strips/N.jpg    the clips that the page shows
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.files import replacing, write_json
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE, decode_clip
from edgevid_train.evaluate import page
from edgevid_train.evaluate.embedding import tsne
from edgevid_train.evaluate.plots import (
    draw_confusion,
    draw_curves,
    draw_embeddings,
    draw_light_and_dark,
    draw_reliability,
)
from edgevid_train.evaluate.report import Report
from edgevid_train.evaluate.report_sections import Figures, head, sections
from edgevid_train.evaluate.strips import write_strip

STRIPS = Path("strips")


def write_report(report: Report, figures: dict[str, Any], out: Path) -> None:
    """Write the folder `out` as a whole. `figures`: the JSON of `report`, which the page shows."""
    with replacing(out) as temporary:
        (temporary / STRIPS).mkdir(parents=True)
        write_json(temporary / "report.json", figures)
        drawings = _draw(report, figures, temporary)
        strips = _write_strips(report.shown, temporary)
        title = f"{figures['model'].partition('@')[0]} on {Path(figures['data']).name}"
        shown = sections(figures, drawings, strips)
        (temporary / "index.html").write_text(page.document(title, head(figures), shown), encoding="utf-8")


def _draw(report: Report, figures: Figures, folder: Path) -> dict[str, str]:
    """Name of a drawing -> its HTML, those that there is something to draw for."""
    matrix = figures["confusion"]
    drawings = {
        "confusion": (
            partial(draw_confusion, matrix["labels"], np.array(matrix["counts"])),
            "how often each label, a row, was taken for another, a column",
        )
    }
    if figures["reliability"]["bins"]:
        drawings["reliability"] = (
            partial(draw_reliability, figures["reliability"]["bins"]),
            "share of right answers over their score",
        )
    if figures["curves"]:
        drawings["curves"] = partial(draw_curves, figures["curves"]), "losses and accuracies over the training step"
    scored = [p for p in report.predictions if p.scores]
    places = tsne([report.found.embeddings[p.record] for p in scored])
    if places is not None:
        labels, right = [p.label for p in scored], [p.right for p in scored]
        drawings["embeddings"] = (
            partial(draw_embeddings, places, labels, right),
            "clips in two dimensions, coloured by label",
        )
    return {
        name: page.picture(*draw_light_and_dark(draw, folder, name), about) for name, (draw, about) in drawings.items()
    }


def _write_strips(records: Sequence[ClipRecord], folder: Path) -> dict[str, Path]:
    """A clip's id -> its strip, relative to `folder`."""
    strips = {}
    for i, record in enumerate(records):
        strips[record.id] = STRIPS / f"{i}.jpg"
        write_strip(decode_clip(record, RUNTIME_SHORT_SIDE), folder / strips[record.id])
    return strips
