"""Scores of held-out clips from networks in torch: the student's as deployed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from edgevid.manifest import Manifest
from edgevid.models.scores import activate
from edgevid.recognise import ClipScores
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodeError
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.models.student import Student
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.held_out import HeldOutClips, Prepared, Ticks

Answer = TypeVar("Answer")
Scores = NDArray[np.float32]


@torch.no_grad()
def student_scores(student: Student, ticks: Ticks, manifest: Manifest) -> ClipScores:
    """The deployed score of one clip, by the clip graph, which equals the stream from a zero state.

    `ticks`: at the model's rate and size; `student` is in evaluation mode.
    """
    return student_answer(student, ticks, manifest)[0]


@torch.no_grad()
def student_answer(
    student: Student, ticks: Ticks, manifest: Manifest, deciding: int | None = None
) -> tuple[ClipScores, Scores]:
    """As `student_scores`, and the embedding of every step `(T, E)`.

    `deciding`: the exit at which every step ended, as far as the memory is concerned; None is the last.
    """
    logits, embeddings = [], []
    for part in ticks.parts():
        given = as_input(torch.from_numpy(part)[None].to(student.mean.device))
        ends = None if deciding is None else torch.full(given.shape[:2], deciding, device=given.device)
        outputs = student(given, ends)
        logits.append(torch.cat([exit_logits.float() for exit_logits in outputs.logits]))
        embeddings.append(outputs.embedding[0].float())
    scores = ClipScores.of(activate(torch.cat(logits, 1).cpu().numpy(), manifest.activation), manifest)
    return scores, np.asarray(torch.cat(embeddings).cpu().numpy())


def answers(
    clips: HeldOutClips[Prepared], ask: Callable[[Prepared], Answer], between: Callable[[], None] = lambda: None
) -> list[Answer | None]:
    """What a network says of each clip, None where a clip cannot be read; `between` is called after each."""
    found: list[Answer | None] = []
    for record in clips.records:
        try:
            found.append(ask(clips.prepared(record)))
        except DecodeError:
            found.append(None)
        between()
    return found


def predictions(
    records: Sequence[ClipRecord], scores: Sequence[Scores | None], labels: Sequence[str], *, several: bool = False
) -> list[Prediction]:
    """One prediction a clip from its scores `(labels,)`; `several` as in `Prediction`."""
    return [Prediction.of(record, labels, row, several=several) for record, row in zip(records, scores, strict=True)]
