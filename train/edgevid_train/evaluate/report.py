"""`edgevid evaluate`: a model's answers to labelled clips, as figures, as a folder and on the screen.

A model file is scored by the runtime's own `score_clip`, so the figure is the deployed one, and torch is not needed for
it. A checkpoint is scored by the clip graph, which equals the stream.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.errors import InputError
from edgevid.files import replacing, write_json
from edgevid.frame import Frame
from edgevid.manifest import BACKGROUND
from edgevid.models.load import load
from edgevid.models.scores import Scores
from edgevid.recognise import score_clip, settling_steps
from edgevid_train.annotations import ClipRecord, ReadOptions, of_split, read_data
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, DecodeError, decode_clip
from edgevid_train.evaluate.metrics import Prediction, confusion, summarise
from edgevid_train.ledger import Ledger

Score = Callable[[DecodedClip], Scores]
"""From a clip at the runtime's size to the scores `(labels,)` of the clip."""


@dataclass(frozen=True)
class Report:
    """`model` is name@digest of a model file, or the path of a checkpoint. `labels` are the model's."""

    model: str
    data: str
    labels: tuple[str, ...]
    predictions: list[Prediction]
    skipped: Ledger = field(default_factory=Ledger)

    def to_json(self) -> dict[str, Any]:
        """The fields of `evaluate --json`."""
        return {
            "model": self.model,
            "data": self.data,
            **summarise(self.predictions, self.labels),
            "skipped": [{"file": record.id, "reason": reason} for record, reason in self.skipped.reasons.items()],
            "predictions": [prediction.to_json() for prediction in self.predictions],
        }


def evaluate_model(
    model: str, data: Path, options: ReadOptions, *, split: str | None = None, threads: int = 1
) -> Report:
    """Score every clip of `data`. One that cannot be read is skipped by name and scored as missing: as an error.

    Raises:
        InputError: no such model or data, no clip in `split`, or no label that the model knows.
    """
    records = of_split(read_data(data, options), split, data)
    name, labels, score = _open(model, threads)
    known = set(labels) - {BACKGROUND}
    if not any(record.label in known for record in records):
        found = sorted({record.label for record in records})
        raise InputError(f"{name} knows {', '.join(labels)}; {data} has none of them but {', '.join(found)}")
    report = Report(name, str(data), labels, [])
    for record in records:
        scores: dict[str, float] | None = None
        try:
            row = score(decode_clip(record, RUNTIME_SHORT_SIDE))
            scores = dict(zip(labels, map(float, row), strict=True))
        except DecodeError as error:
            report.skipped.skip(record, str(error))
        report.predictions.append(Prediction(record, scores))
    return report


def _open(model: str, threads: int) -> tuple[str, tuple[str, ...], Score]:
    """Name, labels and scoring of a model file or a checkpoint folder."""
    path = Path(model)
    if path.is_dir() or path.suffix == ".safetensors":
        return _open_checkpoint(path, threads)
    network = load(model, threads=threads)

    def score(clip: DecodedClip) -> Scores:
        frames = (
            Frame(pixels, float(time_s), i)
            for i, (pixels, time_s) in enumerate(zip(clip.frames, clip.times_s, strict=True))
        )
        return score_clip(frames, network)[0].clip

    return network.manifest.id, network.manifest.labels, score


def _open_checkpoint(path: Path, threads: int) -> tuple[str, tuple[str, ...], Score]:
    import torch

    from edgevid_train.checkpoint import load_student
    from edgevid_train.dataset import as_stream
    from edgevid_train.describe import describe
    from edgevid_train.evaluate.predict import student_scores

    torch.set_num_threads(threads)
    student, recipe, labels, _ = load_student(path)
    manifest = describe(student, recipe, labels)

    def score(clip: DecodedClip) -> Scores:
        return student_scores(
            student, as_stream(clip, manifest.input, manifest.rate_hz, settling_steps(manifest)), manifest
        ).clip

    return str(path), labels, score


def write_report(report: Report, out: Path) -> None:
    """Write the folder `out`: report.json and confusion.png."""
    from edgevid_train.evaluate.plots import draw_confusion

    with replacing(out) as temporary:
        temporary.mkdir(parents=True)
        write_json(temporary / "report.json", report.to_json())
        draw_confusion(*confusion(report.predictions, report.labels), temporary / "confusion.png")


def show(report: Report) -> None:
    """Print the figures, the labels and the errors for a person."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    figures = report.to_json()
    console = Console()
    table = Table("label", "clips", "precision", "recall", "F1", box=SIMPLE_HEAD, pad_edge=False)
    for label, row in figures["per_class"].items():
        rates = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(Text(label), str(row["n"]), *rates)
    console.print(table)
    for line in _lines(figures, report.skipped.reasons):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(figures: dict[str, Any], skipped: dict[ClipRecord, str]) -> Sequence[str]:
    return [
        f"{figures['model']} on {figures['data']}",
        f"top-1 {figures['top1']:.3f} ({figures['top1_low']:.3f} to {figures['top1_high']:.3f}, 95%)  "
        f"top-5 {figures['top5']:.3f}  macro F1 {figures['macro_f1']:.3f}  of {figures['n']} clips",
        *(f"skipped, scored as missing: {record.id}: {reason}" for record, reason in skipped.items()),
    ]
