"""A student's checkpoint: clips by the clip graph, which equals the stream, and streams by the stream graph."""

from pathlib import Path

import numpy as np
import torch

from edgevid.models.bench import time_exits
from edgevid.models.scores import Scores, clip_score
from edgevid.recognise import settling_steps
from edgevid_train.checkpoint import find_checkpoint, load_student
from edgevid_train.dataset import as_stream
from edgevid_train.decode import DecodedClip
from edgevid_train.describe import describe
from edgevid_train.evaluate.curves import read_curves
from edgevid_train.evaluate.predict import student_answer
from edgevid_train.evaluate.subjects.contract import Answer, Curves, Percentiles
from edgevid_train.evaluate.subjects.steps import deciding, step_times_s, surest
from edgevid_train.evaluate.torch_stream import TorchStream

LATENCY_STEPS = 30


class StudentCheckpoint:
    """A student's run or checkpoint folder, or its weights. Raises InputError as `load_student`."""

    runs_on = "PyTorch"

    def __init__(self, path: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.folder = find_checkpoint(path, "student")
        self.student, self.recipe, self.labels, info = load_student(path)
        self.manifest = describe(self.student, self.recipe, self.labels, trained_on=info.split.trained_on)
        self.name = str(path)
        self.several = self.recipe.task.multi_label
        self.exits = self.manifest.exits
        self.rate_hz: float | None = self.manifest.rate_hz
        self.macs = self.exits[-1].macs
        self.weights = sum(parameter.numel() for parameter in self.student.parameters())
        self.trained_on = info.split.trained_on

    def answer(self, clip: DecodedClip) -> Answer:
        return self._answer(clip, None)

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        answers = [*(self._answer(clip, i) for i in range(len(self.exits) - 1)), answer]
        every = [found.every_exit for found in answers]
        return [clip_score(steps[i], self.manifest) for i, steps in enumerate(every) if steps is not None]

    def latencies(self) -> dict[str, Percentiles]:
        """Of the stream graph as torch computes it; a device's are those of the model file."""
        found = time_exits(TorchStream(self.student, self.manifest), LATENCY_STEPS)
        return {name: {"p50": took.p50, "p95": took.p95} for name, took in found.items()}

    def curves(self) -> Curves:
        return read_curves(self.folder.parent / "tensorboard")

    def _answer(self, clip: DecodedClip, exit_: int | None) -> Answer:
        manifest = self.manifest
        frames = as_stream(clip, manifest.input, manifest.rate_hz, settling_steps(manifest))
        scores, embeddings = student_answer(self.student, frames, manifest, exit_)
        steps = deciding(scores)
        times_s = step_times_s(clip, len(steps), manifest.rate_hz)
        embedding = surest(np.asarray(embeddings), steps, scores.clip)
        return Answer(scores.clip, steps, times_s, scores.exits, embedding, scores.steps)
