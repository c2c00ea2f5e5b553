"""What one model said of every clip, gathered clip by clip; no pixels are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.models.scores import Scores
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.metrics import Prediction
from edgevid_train.evaluate.robustness import Change
from edgevid_train.evaluate.subject import Answer, Subject, step_times_s, timed


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

    `by_exit`: exit -> predictions if every step ended there, empty unless asked for. `changed`: name of a change ->
    predictions of the changed clips. `decided`: steps that each exit decided. `score_s`, `clip_s`: seconds that
    scoring took, and seconds of video that were scored. `latencies`: see `Subject`.
    """

    subject: Subject
    predictions: list[Prediction] = field(default_factory=list)
    by_exit: dict[str, list[Prediction]] = field(default_factory=dict)
    changed: dict[str, list[Prediction]] = field(default_factory=dict)
    embeddings: dict[ClipRecord, NDArray[np.float32]] = field(default_factory=dict)
    tracks: dict[ClipRecord, Track] = field(default_factory=dict)
    decided: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: int = 0
    score_s: float = 0.0
    clip_s: float = 0.0
    latencies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.subject.manifest.labels

    def take(self, clip: DecodedClip, *, exits: bool, changes: Mapping[str, Change]) -> None:
        """Score a clip; with `exits` at every exit alone too, and once more for each of `changes`."""
        manifest, record = self.subject.manifest, clip.record
        answer, seconds = timed(self.subject, clip)
        self.predictions.append(self._prediction(record, answer.scores.clip))
        self.embeddings[record] = answer.embedding
        self.tracks[record] = self._track(clip, answer)
        counted = np.bincount(answer.scores.exits, minlength=len(manifest.exits))
        self.decided = counted if len(self.decided) == 0 else self.decided + counted
        self.steps += len(answer.scores.exits)
        self.score_s += seconds
        self.clip_s += float(clip.times_s[-1] - clip.times_s[0])
        if exits:
            for exit_, scores in zip(manifest.exits, self.subject.answer_by_exit(clip, answer), strict=True):
                self.by_exit.setdefault(exit_.name, []).append(self._prediction(record, scores))
        for name, change in changes.items():
            scores = self.subject.answer(change.apply(clip)).scores.clip
            self.changed.setdefault(name, []).append(self._prediction(record, scores))

    def miss(self, record: ClipRecord, *, exits: bool, changes: Mapping[str, Change]) -> None:
        """A clip that could not be read counts as an error everywhere."""
        missing = Prediction(record, None)
        self.predictions.append(missing)
        for name in [e.name for e in self.subject.manifest.exits] if exits else []:
            self.by_exit.setdefault(name, []).append(missing)
        for name in changes:
            self.changed.setdefault(name, []).append(missing)

    def _prediction(self, record: ClipRecord, scores: Scores) -> Prediction:
        return Prediction(record, dict(zip(self.labels, map(float, scores), strict=True)))

    def _track(self, clip: DecodedClip, answer: Answer) -> Track:
        deciding, label = answer.deciding, clip.record.label
        known = deciding[:, self.labels.index(label)] if label in self.labels else np.zeros(len(deciding), np.float32)
        return Track(
            float(clip.times_s[-1] - clip.times_s[0]),
            step_times_s(clip, len(deciding), self.subject.manifest),
            known,
            deciding[:, int(answer.scores.clip.argmax())],
        )
