"""A model file on the runtime's path: `score_clip`, so that the figure is the deployed one. No torch is needed."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Frame
from edgevid.models.bench import by_exit, measure
from edgevid.models.contract import ClipModel, Outputs, StreamModel
from edgevid.models.load import find_model, load
from edgevid.models.scores import Scores, clip_score
from edgevid.models.weights import count_weights
from edgevid.recognise import ClipScores, score_clip
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.subjects.contract import WHOLE, Answer, Curves, Percentiles
from edgevid_train.evaluate.subjects.machine import processor
from edgevid_train.evaluate.subjects.steps import deciding, step_times_s, surest
from edgevid_train.marks import Seen, seen_among

LATENCY_STEPS = 100


class ModelFile:
    """A bundled model's name, or a model file. Raises InputError as `load`."""

    no_looks: str | None = (
        "A model file computes scores and no gradients, so it cannot say which places spoke for them; "
        "evaluate the checkpoint that it was exported from."
    )
    mirrored: Mapping[str, str] | None = None

    def __init__(self, model: str, threads: int) -> None:
        self.path = find_model(model)
        self.threads = threads
        self.runs_on = f"ONNX Runtime on {processor()}"
        self.network = load(self.path, threads=threads)
        self.manifest = self.network.manifest
        self.name = self.manifest.id
        self.labels, self.exits = self.manifest.labels, self.manifest.exits
        self.several = self.manifest.activation == "sigmoid"
        self.input = self.manifest.input
        self.rate_hz: float | None = self.manifest.rate_hz
        self.macs = self.manifest.exits[-1].macs
        self.weights = count_weights(self.path.read_bytes())

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        return seen_among(records, self.manifest.provenance.trained_on)

    def answer(self, clip: DecodedClip) -> Answer:
        counting = _Counting(self.network) if isinstance(self.network, ClipModel) else None
        scores = _score(clip, counting or self.network)
        assert scores.embeddings is not None
        steps = deciding(scores)
        embedding = surest(scores.embeddings, steps, scores.clip)
        times_s = step_times_s(clip, len(steps), self.manifest.rate_hz)
        computed = counting.steps if counting else len(steps)
        return Answer(scores.clip, steps, times_s, scores.exits, embedding, computed, scores.steps)

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        if isinstance(self.network, StreamModel) and self.manifest.conditional:
            return [_score(clip, stopping).clip for stopping in by_exit(self.network).values()]
        assert answer.every_exit is not None
        return [clip_score(steps, self.manifest) for steps in answer.every_exit]

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        raise NotImplementedError(self.no_looks)

    def window_s(self, length_s: float) -> float:
        return max(0.0, length_s - 1 / self.manifest.rate_hz)

    def latencies(self) -> dict[str, Percentiles]:
        bench = measure(self.path, threads=self.threads, steps=LATENCY_STEPS)
        found: dict[str, Percentiles] = {
            e.name: {"p50": e.step_ms.p50, "p95": e.step_ms.p95} for e in bench.exits if e.step_ms is not None
        }
        if isinstance(self.network, ClipModel) and bench.clip_ms is not None:
            found[WHOLE] = {"p50": bench.clip_ms.p50, "p95": bench.clip_ms.p95}
        return found

    def curves(self) -> Curves:
        return {}


class _Counting:
    """A clip model that counts the steps of the windows that it is given, which overlap."""

    def __init__(self, model: ClipModel) -> None:
        self._model = model
        self.manifest = model.manifest
        self.steps = 0

    def run(self, clip: NDArray[np.uint8]) -> Outputs:
        self.steps += len(clip)
        return self._model.run(clip)


def _score(clip: DecodedClip, model: StreamModel | ClipModel) -> ClipScores:
    frames = zip(clip.frames, clip.times_s, strict=True)
    return score_clip((Frame(pixels, float(time_s), i) for i, (pixels, time_s) in enumerate(frames)), model)[0]
