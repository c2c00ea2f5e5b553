"""Whether an exported cascade stops, and holds, as the trained one does: both on the same drawn way through a stream.

Every step is told where to end, or to hold; each way of ending follows each other one somewhere. It is told by
thresholds a little above how sure the reference is at each exit before, and a little below how sure it is there, so
that what is compared with a threshold is proven too. Rounding must not decide which side stops where: if there is no
room between a score and the end of its range, nothing reaches the threshold, or anything does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.cascade import sureness
from edgevid.errors import InputError
from edgevid.frame import Pixels
from edgevid.models.contract import StreamModel
from edgevid.models.scores import Scores, activate
from edgevid_deploy.drift import Differences, Drift, Values, named_values, straying

HOLD = "hold"
"""How a step ends that looks at no frame; the others end at an exit, by its name."""
_SEED = 0
_LEAST_ROOM = 1e-5
"""Between a score and a threshold, which is compared in float32."""


@dataclass(frozen=True, slots=True)
class CascadeCheck:
    """What was compared of two cascades and what came of it.

    Attributes:
        ends: how many steps ended at each exit, by its name, and how many held.
        problems: one line each; empty when they do the same.
    """

    steps: int
    ends: dict[str, int]
    drifts: tuple[Drift, ...]
    problems: tuple[str, ...]


def compare_cascades(
    package: StreamModel, reference: StreamModel, frames: Iterable[Pixels], *, tolerance: float
) -> CascadeCheck:
    """Step both through `frames`, each carrying its own state, and compare logits, embedding, state and `exit`.

    Both are conditional, and of the same model (see `edgevid_deploy.drift.check_same_model`).

    Raises:
        InputError: no frames.
    """
    ways = [*(exit_.name for exit_ in package.manifest.exits), *([HOLD] if package.manifest.can_hold else [])]
    ends: Counter[str] = Counter()
    differences: dict[str, Differences] = {}
    elsewhere = 0
    sides = _Walk(package), _Walk(reference)
    for pixels, way in zip(frames, _drawn(ways), strict=False):
        thresholds = None if way == HOLD else _ending_at(ways.index(way), *sides[1].whole(pixels), tolerance)
        (mine, my_exit), (yours, your_exit) = (side.go(pixels, thresholds) for side in sides)
        for name in mine.keys() & yours.keys():
            differences.setdefault(name, Differences()).add(mine[name], yours[name])
        elsewhere += my_exit != your_exit
        ends[way] += 1
    if not ends:
        raise InputError("too few frames: at least 1 is needed")
    drifts = tuple(differences[name].drift(name, tolerance) for name in sorted(differences))
    problems = [f"in the cascade {problem}" for problem in straying(drifts)]
    if elsewhere:
        problems.append(f"the cascade ends elsewhere in {elsewhere} of {ends.total()} steps")
    return CascadeCheck(ends.total(), {way: ends[way] for way in ways}, drifts, tuple(problems))


class _Walk:
    """A model on its way through a stream, told at each step where to end."""

    def __init__(self, model: StreamModel) -> None:
        self._model, self._state = model, model.zero_state()

    def whole(self, pixels: Pixels) -> tuple[NDArray[np.float32], Scores]:
        """What every exit would say of the next step: logits `(exits, labels)`, and how sure each is, `(exits,)`."""
        manifest = self._model.manifest
        outputs, _ = self._model.with_thresholds([None] * len(manifest.exits)).step(pixels, self._state)
        return outputs.logits, sureness(activate(outputs.logits, manifest.activation), manifest.activation)

    def go(self, pixels: Pixels, thresholds: Sequence[float | None] | None) -> tuple[Values, int | None]:
        """What the step gave, by the names of the graph's outputs, and the exit that it says decided.

        Without `thresholds` it holds.
        """
        if thresholds is None:
            outputs, self._state = self._model.hold(self._state)
        else:
            outputs, self._state = self._model.with_thresholds(thresholds).step(pixels, self._state)
        return named_values(self._model.manifest, outputs.logits, outputs.embedding, self._state), outputs.exit


def _ending_at(exit_: int, logits: NDArray[np.float32], sure: Scores, tolerance: float) -> list[float | None]:
    """Thresholds by which a step ends at one exit, where each is this sure. No score strays further than its logits."""
    room = max(_LEAST_ROOM, tolerance * max(1.0, float(np.abs(logits).max())))
    before = [float(at + room) if at + room <= 1 else None for at in sure[:exit_]]
    told = [*before, max(0.0, float(sure[exit_] - room))][: len(sure) - 1]
    return [*told, *[None] * (len(sure) - len(told))]


def _drawn(ways: Sequence[str]) -> Iterator[str]:
    """The first step looks, and goes to the last exit: there is nothing to hold yet."""
    rng = np.random.default_rng(_SEED)
    yield next(way for way in reversed(ways) if way != HOLD)
    while True:
        yield ways[int(rng.integers(len(ways)))]
