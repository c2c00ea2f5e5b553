"""Whether an exported cascade stops, and holds, as the trained one does: both on the same drawn way through a stream.

Thresholds that lie between two scores would let rounding decide which side stops where. So every step is told where to
end, by a threshold of 0 that any score reaches, or to hold; each way of ending follows each other one somewhere.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.errors import InputError
from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import StreamModel
from edgevid_deploy.drift import Differences, Drift, named_values, straying

HOLD = "hold"
"""How a step ends that looks at no frame; the others end at an exit, by its name."""
_SEED = 0


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
        (mine, my_exit), (yours, your_exit) = (side.go(pixels, way) for side in sides)
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
        names = [exit_.name for exit_ in model.manifest.exits]
        self._ending_at = {name: model.with_thresholds(_only(model.manifest, i)) for i, name in enumerate(names)}
        self._model, self._state = model, model.zero_state()

    def go(self, pixels: Pixels, way: str) -> tuple[dict[str, np.ndarray], int | None]:
        """What the step gave, by the names of the graph's outputs, and the exit that it says decided."""
        if way == HOLD:
            outputs, self._state = self._model.hold(self._state)
        else:
            outputs, self._state = self._ending_at[way].step(pixels, self._state)
        return named_values(self._model.manifest, outputs.logits, outputs.embedding, self._state), outputs.exit


def _only(manifest: Manifest, exit_: int) -> Sequence[float | None]:
    """Thresholds by which every step ends at one exit."""
    before_last = range(len(manifest.exits) - 1)
    return [*(0.0 if i == exit_ else None for i in before_last), None]


def _drawn(ways: Sequence[str]) -> Iterator[str]:
    """The first step looks, and goes to the last exit: there is nothing to hold yet."""
    rng = np.random.default_rng(_SEED)
    yield next(way for way in reversed(ways) if way != HOLD)
    while True:
        yield ways[int(rng.integers(len(ways)))]
