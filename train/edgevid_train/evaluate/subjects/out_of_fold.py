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
from edgevid_train.marks import Seen


class OutOfFold:
    """The networks `folds` of the run in `path`, all of one recipe. What one of them costs is said of the first."""

    def __init__(self, path: Path, folds: Sequence[StudentCheckpoint | TeacherCheckpoint]) -> None:
        first = folds[0]
        self.path, self.folds, self.first = path, folds, first
        self.by_group = {group: fold for fold in folds for group in fold.split.val_groups}
        self.name = f"{path}, out of fold"
        self.labels, self.several, self.exits = first.labels, first.several, first.exits
        self.input, self.rate_hz, self.macs, self.weights = first.input, first.rate_hz, first.macs, first.weights
        self.runs_on, self.no_looks = first.runs_on, first.no_looks
        self.mirrored: Mapping[str, str] | None = first.mirrored

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        """Those that their own fold knows all the same: from the weights that it began with, or from its teacher."""
        found = [fold.seen([record for record in records if self._fold(record) is fold]) for fold in self.folds]
        told = [seen for seen in found if seen is not None]
        if len(told) < len(found):
            return None
        return Seen(frozenset().union(*(seen.clips for seen in told)), all(seen.complete for seen in told))

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
        if record.group not in self.by_group:
            raise InputError(f"{self.path}: no fold held {record.id} out; name one of its runs, like {self.first.name}")
        return self.by_group[record.group]
