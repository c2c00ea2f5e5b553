"""Figures of a training over its steps, for TensorBoard."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from edgevid_train import processes

Log = Callable[[Mapping[str, float], int], None]
"""Writes figures by name, and the step they belong to."""


@contextlib.contextmanager
def scalar_log(folder: Path, step: int) -> Iterator[Log]:
    """Write into `folder / "tensorboard"`, from `step` on; of several processes the first one does."""
    if not processes.leads():
        yield lambda _figures, _step: None
        return
    with SummaryWriter(str(folder / "tensorboard"), purge_step=step) as board:

        def log(figures: Mapping[str, float], step: int) -> None:
            for name, value in figures.items():
                board.add_scalar(name, value, step)

        yield log
