"""What one model said of every clip, gathered clip by clip; no pixels are kept."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import EdgevidError
from edgevid.manifest import BACKGROUND
from edgevid.models.scores import Scores
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.robustness import Perturbation
from edgevid_train.evaluate.subjects import Answer, Percentiles, Subject
from edgevid_train.marks import Seen


@dataclass(frozen=True)
class Track:
    """Scores over a clip's time: `(T,)` seconds from its start, the score of the true label and of the answer.

    `truth` is zero where the model does not know the label. After `end_s` the clip's last frame is held.
    """

    end_s: float
    times_s: NDArray[np.float64]
    truth: Scores
    answer: Scores

    def to_json(self) -> dict[str, Any]:
        lists: dict[str, Iterable[float]] = {"times_s": self.times_s, "truth": self.truth, "answer": self.answer}
        return {"end_s": self.end_s, **{name: [round(float(v), 4) for v in values] for name, values in lists.items()}}


@dataclass
class Findings:
    """What is known of `subject` so far.

    `seen`: which of the clips it was trained on; None when it does not say.
    `by_exit`: exit -> predictions if every step ended there, empty unless asked for. `changed`: name of a change ->
    predictions of the changed clips. `decided`: steps that each exit decided, of `steps` in all. `score_s`, `clip_s`:
    seconds that scoring took, and seconds of video that were scored. `latencies`: see `Subject`.
    """

    subject: Subject
    seen: Seen | None = None
    predictions: list[Prediction] = field(default_factory=list)
    by_exit: dict[str, list[Prediction]] = field(default_factory=dict)
    changed: dict[str, list[Prediction]] = field(default_factory=dict)
    embeddings: dict[ClipRecord, NDArray[np.float32]] = field(default_factory=dict)
    tracks: dict[ClipRecord, Track] = field(default_factory=dict)
    decided: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: int = 0
    score_s: float = 0.0
    clip_s: float = 0.0
    latencies: Mapping[str, Percentiles] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.subject.labels

    def take(self, clip: DecodedClip, *, exits: bool, changes: Mapping[str, Perturbation]) -> None:
        """Score a clip; with `exits` at every exit alone too, and once more for each of `changes`.

        Raises:
            EdgevidError: its answer is no number.
        """
        subject, record = self.subject, clip.record
        start = time.perf_counter()
        try:
            answer = subject.answer(clip)
        except EdgevidError as error:
            raise type(error)(f"{subject.name}, {record.id}: {error}") from None
        self.score_s += time.perf_counter() - start
        self.predictions.append(self._prediction(record, answer.scores))
        self.embeddings[record] = answer.embedding
        self.tracks[record] = self._track(clip, answer)
        counted = np.bincount(answer.exits, minlength=len(subject.exits))
        self.decided = counted if len(self.decided) == 0 else self.decided + counted
        self.steps += answer.computed
        self.clip_s += float(clip.times_s[-1] - clip.times_s[0])
        if exits:
            for exit_, scores in zip(subject.exits, subject.answer_by_exit(clip, answer), strict=True):
                self.by_exit.setdefault(exit_.name, []).append(self._prediction(record, scores))
        for name, change in changes.items():
            scores = subject.answer(change.apply(clip)).scores
            self.changed.setdefault(name, []).append(self._prediction(record, scores))

    def miss(self, record: ClipRecord, *, exits: bool, changes: Mapping[str, Perturbation]) -> None:
        """A clip that could not be read counts as an error everywhere."""
        missing = Prediction(record, None, self.subject.several)
        self.predictions.append(missing)
        for name in [e.name for e in self.subject.exits] if exits else []:
            self.by_exit.setdefault(name, []).append(missing)
        for name in changes:
            self.changed.setdefault(name, []).append(missing)

    def _prediction(self, record: ClipRecord, scores: Scores) -> Prediction:
        return Prediction.of(record, self.labels, scores, several=self.subject.several)

    def _track(self, clip: DecodedClip, answer: Answer) -> Track:
        prediction = self._prediction(clip.record, answer.scores)
        assert prediction.predicted is not None, "it was answered"
        length_s = float(clip.times_s[-1] - clip.times_s[0])
        truth, said = (self._over_time(answer.steps, of) for of in (prediction.label, prediction.predicted))
        return Track(length_s, answer.times_s, truth, said)

    def _over_time(self, steps: Scores, label: str) -> Scores:
        """Of `(T, labels)` one label's scores, `(T,)`; of the background of independent labels that none is there."""
        if label in self.labels:
            return np.asarray(steps[:, self.labels.index(label)])
        if self.subject.several and label == BACKGROUND:
            return np.asarray(1 - steps.max(axis=1), np.float32)
        return np.zeros(len(steps), np.float32)
