"""Clips of a report as strips: their frames, their scores over time, and where the network looked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgevid.manifest import BACKGROUND
from edgevid_train.annotations.record import clip_id
from edgevid_train.evaluate import page
from edgevid_train.evaluate.sections.figures import Figures


class Strips(NamedTuple):
    """A clip's id -> a picture, relative to the page: its frames, and where the network looked in them.

    `attended`: these have a second row, of attention.
    """

    frames: Mapping[str, Path]
    looks: Mapping[str, Path]
    attended: bool = False


def shown(figures: Figures, strips: Mapping[str, Path], ids: Sequence[str]) -> str:
    entries = {_id(entry): entry for entry in figures["predictions"]}
    return page.clips(_clip(figures, strips[name], name, entries[name]) for name in ids if name in strips)


def _id(entry: Figures) -> str:
    return clip_id(entry["file"], entry.get("start_s", 0.0), entry.get("end_s"))


def _clip(figures: Figures, strip: Path, name: str, entry: Figures) -> str:
    track = figures["tracks"][name]
    right = entry["label"] == entry["predicted"]
    lines = {"truth": track["truth"]} if right else {kind: track[kind] for kind in ("truth", "answer")}
    chart = page.score_chart(track["times_s"], lines, track["end_s"]) if len(track["times_s"]) > 1 else ""
    seen = ", trained on" if entry.get("seen") else ""
    return page.clip(strip, f"frames of {name}, from its start to its end", _said(entry), f"{name}{seen}", chart)


def looked(figures: Figures, strips: Strips) -> str:
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
        if name in strips.looks
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
