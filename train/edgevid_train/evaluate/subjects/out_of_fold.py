"""A cross-validated run: each clip is answered by the network of the fold that held it out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgevid.errors import InputError
from edgevid.models.scores import Scores
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.subjects.contract import Answer, Curves, Percentiles
from edgevid_train.evaluate.subjects.student import StudentCheckpoint
from edgevid_train.evaluate.subjects.teacher import TeacherCheckpoint
from edgevid_train.marks import Known, Seen


class OutOfFold:
    """The networks `folds` of the run in `path`. What one of them costs is said of the first.

    Raises:
        InputError: they do not answer with the same labels.
    """

    def __init__(self, path: Path, folds: Sequence[StudentCheckpoint | TeacherCheckpoint]) -> None:
        first = folds[0]
        for fold in folds:
            if fold.labels != first.labels:
                raise InputError(f"{path}: {fold.name} answers with other labels than {first.name}")
        self.path, self.first = path, first
        self.folds = [(fold, frozenset(fold.split.val_groups), Known(fold.split.trained_on)) for fold in folds]
        self.name = f"{path}, out of fold"
        self.labels, self.several, self.exits = first.labels, first.several, first.exits
        self.input, self.rate_hz, self.macs, self.weights = first.input, first.rate_hz, first.macs, first.weights
        self.runs_on, self.no_looks = first.runs_on, first.no_looks
        self.mirrored: Mapping[str, str] | None = first.mirrored

    def seen(self, records: Sequence[ClipRecord]) -> Seen:
        for record in records:
            self._fold(record)
        return Seen(frozenset())

    def answer(self, clip: DecodedClip) -> Answer:
        """Without an embedding: those of two networks do not lie in one space."""
        return replace(self._fold(clip.record).answer(clip), embedding=np.zeros(0, np.float32))

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        return self._fold(clip.record).answer_by_exit(clip, answer)

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        return self._fold(clip.record).looks(clip, label)

    def window_s(self, length_s: float) -> float:
        return self.first.window_s(length_s)

    def latencies(self) -> Mapping[str, Percentiles]:
        return self.first.latencies()

    def curves(self) -> Curves:
        """None: each fold has its own."""
        return {}

    def _fold(self, record: ClipRecord) -> StudentCheckpoint | TeacherCheckpoint:
        for fold, held_out, known in self.folds:
            if record.group in held_out and record not in known:
                return fold
        raise InputError(f"{self.path}: no fold held {record.id} out; name one of its runs, like {self.first.name}")
