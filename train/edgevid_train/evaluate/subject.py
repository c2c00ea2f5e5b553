"""What is evaluated: a model file by the runtime's own path, or a student's checkpoint by the clip graph, its equal.

A model file needs no torch.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Frame, Pixels
from edgevid.manifest import Manifest
from edgevid.models.bench import by_exit, measure
from edgevid.models.contract import ClipModel, Outputs, State, StreamModel
from edgevid.models.load import find_model, load
from edgevid.models.scores import Scores, clip_score
from edgevid.models.weights import count_weights
from edgevid.recognise import ClipScores, score_clip, settling_steps
from edgevid.sampling import sample_all
from edgevid_train.decode import DecodedClip

LATENCY_STEPS = 100

Curves = dict[str, list[tuple[int, float]]]
"""Name of a figure -> (training step, value), in order."""


@dataclass(frozen=True)
class Answer:
    """What a subject says of a clip.

    `embeddings`: of every step `(T, E)`; of a clip model of every window's steps, however many.
    """

    scores: ClipScores
    embeddings: NDArray[np.float32]

    @property
    def deciding(self) -> Scores:
        """Scores of the exit that decided at every step, `(T, labels)`."""
        return np.asarray(self.scores.steps[self.scores.exits, np.arange(len(self.scores.exits))], np.float32)

    @property
    def embedding(self) -> NDArray[np.float32]:
        """`(E,)`: of the step that is surest of the clip's answer; of a clip model the mean."""
        if len(self.embeddings) == len(self.scores.exits):
            surest = int(self.deciding[:, int(self.scores.clip.argmax())].argmax())
            return np.asarray(self.embeddings[surest], np.float32)
        return np.asarray(self.embeddings.mean(axis=0), np.float32)


class Subject(Protocol):
    """`name` is name@digest of a model file, or the path of a checkpoint. `weights`: how many numbers were learned."""

    name: str
    manifest: Manifest
    weights: int

    def answer(self, clip: DecodedClip) -> Answer: ...

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        """For every exit the clip's scores `(labels,)` if each step ended there; `answer` is the deployed one."""
        ...

    def latencies(self) -> dict[str, dict[str, float]]:
        """Exit -> p50 and p95 of a step that ends there, in ms; only exits whose graph can stop there to be timed."""
        ...

    def curves(self) -> Curves:
        """How training went, where that is known."""
        ...


class ModelFile:
    """A model file on the runtime's path."""

    def __init__(self, model: str, threads: int) -> None:
        self.path = find_model(model)
        self.threads = threads
        self.network = load(self.path, threads=threads)
        self.manifest = self.network.manifest
        self.name = self.manifest.id
        self.weights = count_weights(self.path.read_bytes())

    def answer(self, clip: DecodedClip) -> Answer:
        watched = (_WatchedStream if isinstance(self.network, StreamModel) else _WatchedClip)(self.network)
        return Answer(_score(clip, watched), np.concatenate(watched.embeddings))

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        if isinstance(self.network, StreamModel) and self.manifest.conditional:
            return [_score(clip, stopping).clip for stopping in by_exit(self.network).values()]
        return [clip_score(steps, self.manifest) for steps in answer.scores.steps]

    def latencies(self) -> dict[str, dict[str, float]]:
        bench = measure(self.path, threads=self.threads, steps=LATENCY_STEPS)
        return {e.name: {"p50": e.step_ms.p50, "p95": e.step_ms.p95} for e in bench.exits if e.step_ms is not None}

    def curves(self) -> Curves:
        return {}


class StudentCheckpoint:
    """A student's checkpoint folder, or its weights."""

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        from edgevid_train.checkpoint import find_checkpoint, load_student
        from edgevid_train.describe import describe

        torch.set_num_threads(threads)
        self.folder = find_checkpoint(path, "student")
        self.student, recipe, labels, info = load_student(path)
        self.manifest = describe(self.student, recipe, labels, trained_on=info.split.trained_on)
        self.name = str(path)
        self.weights = sum(parameter.numel() for parameter in self.student.parameters())

    def answer(self, clip: DecodedClip) -> Answer:
        return self._answer(clip, None)

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        inner = range(len(self.manifest.exits) - 1)
        earlier = [clip_score(self._answer(clip, i).scores.steps[i], self.manifest) for i in inner]
        return [*earlier, clip_score(answer.scores.steps[-1], self.manifest)]

    def latencies(self) -> dict[str, dict[str, float]]:
        return {}

    def curves(self) -> Curves:
        from edgevid_train.evaluate.curves import read_curves

        return read_curves(self.folder.parent / "tensorboard")

    def _answer(self, clip: DecodedClip, deciding: int | None) -> Answer:
        from edgevid_train.dataset import as_stream
        from edgevid_train.evaluate.predict import student_answer

        manifest = self.manifest
        frames = as_stream(clip, manifest.input, manifest.rate_hz, settling_steps(manifest))
        return Answer(*student_answer(self.student, frames, manifest, deciding))


def open_subject(model: str, threads: int) -> Subject:
    """A bundled model's name, a model file, or a student's checkpoint. Raises InputError when it is none of them."""
    path = Path(model)
    if path.is_dir() or path.suffix == ".safetensors":
        return StudentCheckpoint(path, threads)
    return ModelFile(model, threads)


def step_times_s(clip: DecodedClip, steps: int, manifest: Manifest) -> NDArray[np.float64]:
    """`(steps,)` seconds from the clip's start of the frame that each step saw; the last one is held beyond the end."""
    taken = sample_all([float(t) for t in clip.times_s], manifest.rate_hz)[:steps]
    times_s = clip.times_s[taken] - clip.times_s[0]
    held = np.arange(1, steps - len(taken) + 1) / manifest.rate_hz
    return np.concatenate([times_s, times_s[-1] + held])


def timed(subject: Subject, clip: DecodedClip) -> tuple[Answer, float]:
    """The answer, and how many seconds it took."""
    start = time.perf_counter()
    answer = subject.answer(clip)
    return answer, time.perf_counter() - start


def _score(clip: DecodedClip, model: StreamModel | ClipModel) -> ClipScores:
    frames = zip(clip.frames, clip.times_s, strict=True)
    return score_clip((Frame(pixels, float(time_s), i) for i, (pixels, time_s) in enumerate(frames)), model)[0]


class _WatchedStream:
    """A stream model that keeps the embeddings it gives, one row a step."""

    def __init__(self, model: Any) -> None:
        self.model: StreamModel = model
        self.manifest = model.manifest
        self.embeddings: list[NDArray[np.float32]] = []

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        return type(self)(self.model.with_thresholds(thresholds))

    def zero_state(self) -> State:
        return self.model.zero_state()

    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        outputs, after = self.model.step(pixels, state)
        self.embeddings.append(outputs.embedding[None])
        return outputs, after


class _WatchedClip:
    """A clip model that keeps the embeddings it gives, the rows of a window together."""

    def __init__(self, model: Any) -> None:
        self.model: ClipModel = model
        self.manifest = model.manifest
        self.embeddings: list[NDArray[np.float32]] = []

    def run(self, clip: NDArray[np.uint8]) -> Outputs:
        outputs = self.model.run(clip)
        self.embeddings.append(outputs.embedding)
        return outputs
