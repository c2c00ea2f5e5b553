"""What every subject of an evaluation says of itself and of a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgevid.manifest import ExitSpec, InputSpec
from edgevid.models.scores import Scores
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.looks import Looks
from edgevid_train.marks import Seen

Curves = dict[str, list[tuple[int, float]]]
"""Name of a figure -> (training step, value), in order."""
Percentiles = Mapping[str, float]
"""`p50` and `p95`, in ms."""
WHOLE = "clip"
"""What `Subject.latencies` calls a network that answers for a whole clip at once."""


@dataclass(frozen=True)
class Answer:
    """What a subject says of a clip, in T steps; a teacher takes one.

    Attributes:
        scores: the clip's, float32 `(labels,)`.
        steps: of the exit that decided at every step, `(T, labels)`.
        times_s: of every step, `(T,)` seconds from the clip's first frame, never falling. Beyond the clip's end its
            last frame was held.
        exits: index of the exit that decided, of every step that was computed; empty without exits.
        embedding: `(E,)`.
        computed: how many steps were computed, by a clip graph some several times; of a teacher how often it looked.
        every_exit: `(exits, T, labels)`, NaN where a conditional model had stopped before; None without exits.
        views: of an answer that is a mean what was said of each view, as it was said; empty of a single one.
    """

    scores: Scores
    steps: Scores
    times_s: NDArray[np.float64]
    exits: NDArray[np.intp]
    embedding: NDArray[np.float32]
    computed: int
    every_exit: Scores | None = None
    views: tuple["Answer", ...] = ()


class Subject(Protocol):
    """Something that answers for clips.

    Attributes:
        name: name@digest of a model file, or the path of a checkpoint.
        labels: what it answers with, in the order of its scores.
        several: whether these are independent of one another, any number of them true of a clip.
        exits: where it may stop, in order, each with its cost; none of a teacher.
        input: the pixels it takes.
        rate_hz: steps a second; None where a clip is looked at once, whatever its length.
        macs: multiply-accumulates of a step that ends at the last exit, or of that one look.
        weights: how many numbers were learned.
        runs_on: what computes it and on what, for people: `PyTorch on NVIDIA H200`.
        no_looks: why nobody can say where it looked, or None where `looks` does.
        mirrored: what a label becomes in a mirror, of those for which the recipe says it; None where nothing says it.
    """

    name: str
    labels: tuple[str, ...]
    several: bool
    exits: tuple[ExitSpec, ...]
    input: InputSpec
    rate_hz: float | None
    macs: int
    weights: int
    runs_on: str
    no_looks: str | None
    mirrored: Mapping[str, str] | None

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        """Which of the clips that it will be asked about it was trained on, or on others of their group.

        None where it does not say.

        Raises:
            InputError: it has no answer for one of them.
        """
        ...

    def answer(self, clip: DecodedClip) -> Answer: ...

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        """For every exit the clip's scores `(labels,)` if each step ended there; `answer` is the deployed one."""
        ...

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        """What in a clip spoke for one of its labels; only without `no_looks`."""
        ...

    def window_s(self, length_s: float) -> float:
        """How much of a clip of this length it looks at at once; of what sees all of it that, less a step."""
        ...

    def latencies(self) -> Mapping[str, Percentiles]:
        """Exit -> time of a step that ends there; only exits whose graph can stop there. `WHOLE` -> of a whole clip."""
        ...

    def curves(self) -> Curves:
        """How training went, where that is known."""
        ...
