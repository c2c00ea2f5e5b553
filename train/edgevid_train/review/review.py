"""`edgevid data review`: every clip as a strip, by label, so that a wrong label is seen among right ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.decode import DecodedClip, DecodeError, IndexStore
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.strips import write_strip
from edgevid_train.evaluate.subjects import Subject, open_subject
from edgevid_train.ledger import Ledger
from edgevid_train.reporter import Reporter
from edgevid_train.review.quality import Quality, look_at_quality

STRIPS = Path("strips")


@dataclass(frozen=True)
class Reviewed:
    """A clip that was looked at. `strip`: its picture, relative to the page; `prediction`: a model's, where asked."""

    record: ClipRecord
    seconds: float
    quality: Quality
    strip: Path
    prediction: Prediction | None = None

    @property
    def doubted(self) -> float:
        """The score that the model gives to another label, where it does; otherwise 0."""
        return 0.0 if self.prediction is None or self.prediction.right else self.prediction.confidence

    def to_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "clip": self.record.id,
            "label": self.record.label,
            "group": self.record.group,
            "seconds": self.seconds,
            "quality": self.quality.to_json(),
        }
        if self.prediction is not None:
            entry |= {"predicted": self.prediction.predicted, "score": self.prediction.confidence}
        return entry


@dataclass
class Review:
    """`counts`: label -> clips in the data, of which at most so many were asked for and are in `clips`."""

    data: str
    counts: dict[str, int]
    model: str | None = None
    clips: list[Reviewed] = field(default_factory=list)
    unreadable: Ledger = field(default_factory=Ledger)

    def of_label(self, label: str) -> list[Reviewed]:
        """The clips of a label, those first that a model takes for something else, surest first."""
        return sorted((c for c in self.clips if c.record.label == label), key=lambda c: -c.doubted)

    def to_json(self) -> dict[str, Any]:
        """The fields of `data review --json`."""
        return {
            "data": self.data,
            "model": self.model,
            "labels": {label: {"clips": n, "shown": len(self.of_label(label))} for label, n in self.counts.items()},
            "clips": [clip.to_json() for clip in self.clips],
            "unreadable": [{"clip": record.id, "reason": reason} for record, reason in self.unreadable.reasons.items()],
        }


def look_through(
    data: Path,
    options: ReadOptions,
    folder: Path,
    report: Reporter,
    *,
    most: int,
    model: str | None = None,
    threads: int = 1,
) -> Review:
    """Look at up to `most` clips of each label, spread evenly over them, and leave their strips in `folder`/strips.

    Raises:
        InputError: no such data or model.
    """
    records = read_data(data, options, report.say)
    subject = open_subject(model, threads) if model is not None else None
    counts = Counter(record.label for record in records)
    review = Review(str(data), dict(sorted(counts.items())), subject.name if subject else None)
    (folder / STRIPS).mkdir(parents=True)
    looked_at = chosen(records, most)
    seen = subject.seen(looked_at) if subject else None
    if seen is not None and seen.clips:
        report.say(
            f"warning: {review.model} was trained on {seen.in_words} of these clips or on their groups, and "
            "seldom doubts what it was taught; a cross-validated run answers for each clip by the fold that held it out"
        )
    indexes = IndexStore()
    with report.bar("review", len(looked_at)) as advance:
        for i, record in enumerate(looked_at):
            advance(record.name)
            try:
                clip, quality = look_at_quality(record, indexes)
            except DecodeError as error:
                review.unreadable.skip(record, str(error))
                continue
            strip = STRIPS / f"{i}.jpg"
            write_strip(clip, folder / strip)
            seconds = float(clip.times_s[-1] - clip.times_s[0])
            review.clips.append(Reviewed(record, seconds, quality, strip, _asked(subject, clip)))
    return review


def chosen(records: Sequence[ClipRecord], most: int) -> list[ClipRecord]:
    """At most `most` records of each label, spread evenly over those of the label, in the data's order."""
    by_label: dict[str, list[ClipRecord]] = {}
    for record in records:
        by_label.setdefault(record.label, []).append(record)
    kept: set[ClipRecord] = set()
    for found in by_label.values():
        kept |= {found[i] for i in np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)}
    return [record for record in records if record in kept]


def _asked(subject: Subject | None, clip: DecodedClip) -> Prediction | None:
    if subject is None:
        return None
    return Prediction.of(clip.record, subject.labels, subject.answer(clip).scores, several=subject.several)
