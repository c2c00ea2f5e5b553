"""The folder that `edgevid evaluate --out` leaves: one page to look at, the figures as JSON, pictures.

index.html      everything that is in report.json, to be read
report.json     what `--json` writes
*.png           drawings, each for a light and for a dark page
strips/N.jpg    the clips that the page shows; N-looks.jpg where the network looked in them
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.files import replacing, write_json
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, DecodeError, IndexStore, decode_clip
from edgevid_train.evaluate import page
from edgevid_train.evaluate.embedding import tsne
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.plots import (
    draw_confusion,
    draw_curves,
    draw_embeddings,
    draw_light_and_dark,
    draw_reliability,
)
from edgevid_train.evaluate.report import Report
from edgevid_train.evaluate.sections import Figures, Strips, head, sections
from edgevid_train.evaluate.strips import write_strip

STRIPS = Path("strips")


def write_report(report: Report, figures: dict[str, Any], out: Path) -> None:
    """Write the folder `out` as a whole. `figures`: the JSON of `report`, which the page shows."""
    with replacing(out) as temporary:
        (temporary / STRIPS).mkdir(parents=True)
        write_json(temporary / "report.json", figures)
        drawings = _draw(report, figures, temporary)
        strips = _write_strips(report, temporary)
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


def _write_strips(report: Report, folder: Path) -> Strips:
    """The strips of all clips that the page shows, relative to `folder`; none of one that cannot be read any more."""
    strips, looks, attended = {}, {}, False
    looked_at = {p.record: p for p in report.looked_at}
    indexes = IndexStore()
    for i, record in enumerate(report.shown):
        try:
            clip = decode_clip(record, RUNTIME_SHORT_SIDE, indexes=indexes)
        except DecodeError:
            continue
        strips[record.id] = STRIPS / f"{i}.jpg"
        write_strip(clip, folder / strips[record.id])
        if record in looked_at:
            looks[record.id] = STRIPS / f"{i}-looks.jpg"
            attended |= _write_looks(report, clip, looked_at[record], folder / looks[record.id])
    return Strips(strips, looks, attended)


def _write_looks(report: Report, clip: DecodedClip, said: Prediction, path: Path) -> bool:
    """Whether it shows attention too."""
    from edgevid_train.evaluate.looks.strip import write_look_strip

    assert said.predicted is not None, "what could not be read is not looked at"
    subject = report.found.subject
    looks = subject.looks(clip, said.predicted)
    height, width = (clip.frames if subject.input.fit == "stretch" else looks.frames).shape[1:3]
    write_look_strip(looks, width / height, path)
    return looks.attention is not None
