"""How a training went, from what it wrote for TensorBoard."""

from pathlib import Path

from edgevid_train.evaluate.subjects.contract import Curves

MOST_POINTS = 400
"""Of a curve; of a longer one every so many-th point is kept, and the last."""


def read_curves(folder: Path) -> Curves:
    """Every scalar in a folder of TensorBoard files, `{"train/loss": [(step, value), …]}`; empty without such files."""
    if not any(folder.glob("events.out.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), {"scalars": 0})
    events.Reload()
    return {name: _thinned([(e.step, e.value) for e in events.Scalars(name)]) for name in events.Tags()["scalars"]}


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    stride = -(-len(points) // MOST_POINTS)
    return [*points[:-1:stride], points[-1]] if points else []
