"""A student's checkpoint: clips by the clip graph, which equals the stream, and streams by the stream graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgevid.models.bench import time_exits
from edgevid.models.scores import Scores, activate, clip_score
from edgevid.recognise import settling_steps
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import find_checkpoint, load_student
from edgevid_train.decode import DecodedClip
from edgevid_train.describe import describe
from edgevid_train.evaluate.curves import read_curves
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.looks.activation import activation
from edgevid_train.evaluate.looks.taps import student_taps
from edgevid_train.evaluate.predict import student_answer
from edgevid_train.evaluate.subjects.contract import Answer, Curves, Percentiles
from edgevid_train.evaluate.subjects.machine import name_of
from edgevid_train.evaluate.subjects.steps import deciding, step_times_s, surest
from edgevid_train.evaluate.torch_stream import TorchStream
from edgevid_train.marks import Seen, seen_among
from edgevid_train.models.student import StudentOutputs
from edgevid_train.samples.batch import as_input
from edgevid_train.samples.dataset import changes_among
from edgevid_train.samples.held_out import Ticks, as_stream

LATENCY_STEPS = 30


class StudentCheckpoint:
    """A student's run or checkpoint folder, or its weights. Raises InputError as `load_student`."""

    no_looks: str | None = None

    def __init__(self, path: Path, threads: int, device: torch.device) -> None:
        torch.set_num_threads(threads)
        self.folder = find_checkpoint(path, "student")
        self.student, self.recipe, self.labels, info = load_student(path)
        self.student.requires_grad_(False)
        self.manifest = describe(self.student, self.recipe, self.labels, trained_on=info.split.trained_on)
        self.name = str(path)
        self.several = self.recipe.task.multi_label
        self.exits = self.manifest.exits
        self.input = self.manifest.input
        self.rate_hz: float | None = self.manifest.rate_hz
        self.macs = self.exits[-1].macs
        self.weights = sum(parameter.numel() for parameter in self.student.parameters())
        self.mirrored: Mapping[str, str] | None = changes_among(self.labels, self.recipe.augment.flip)
        self.split = info.split
        self.device, self.runs_on = device, f"PyTorch on {name_of(device)}"
        self.student.to(device)

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        return seen_among(records, self.split.trained_on)

    def answer(self, clip: DecodedClip) -> Answer:
        return self._answer(clip, None)

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        answers = [*(self._answer(clip, i) for i in range(len(self.exits) - 1)), answer]
        every = [found.every_exit for found in answers]
        return [clip_score(steps[i], self.manifest) for i, steps in enumerate(every) if steps is not None]

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        """What the last exit saw up to the step that was surest of `label`."""
        index, frames = self.labels.index(label), self._ticks(clip).frames
        outputs: list[StudentOutputs] = []

        def ask() -> Tensor:
            outputs.append(self.student(as_input(torch.from_numpy(frames)[None].to(self.device))))
            scores = activate(outputs[0].logits[-1][0].detach().cpu().numpy(), self.manifest.activation)
            return outputs[0].logits[-1][0, int(scores[:, index].argmax()), index]

        maps = activation(student_taps(self.student), ask, len(frames))
        times_s = step_times_s(clip, len(frames), self.manifest.rate_hz)
        places = outputs[0].places[-1][0].detach().cpu().numpy()
        return Looks(frames, times_s, maps, places if places.size else None)

    def window_s(self, length_s: float) -> float:
        return max(0.0, length_s - 1 / self.manifest.rate_hz)

    def latencies(self) -> dict[str, Percentiles]:
        """Of the stream graph as torch computes it; a device's are those of the model file."""
        found = time_exits(TorchStream(self.student, self.manifest), LATENCY_STEPS)
        return {name: {"p50": took.p50, "p95": took.p95} for name, took in found.items()}

    def curves(self) -> Curves:
        return read_curves(self.folder.parent / "tensorboard")

    def _answer(self, clip: DecodedClip, exit_: int | None) -> Answer:
        manifest = self.manifest
        scores, embeddings = student_answer(self.student, self._ticks(clip), manifest, exit_)
        steps = deciding(scores)
        times_s = step_times_s(clip, len(steps), manifest.rate_hz)
        embedding = surest(np.asarray(embeddings), steps, scores.clip)
        return Answer(scores.clip, steps, times_s, scores.exits, embedding, len(steps), scores.steps)

    def _ticks(self, clip: DecodedClip) -> Ticks:
        return as_stream(clip, self.manifest.input, self.manifest.rate_hz, settling_steps(self.manifest))
