"""Figures of a training over its steps: for TensorBoard always, which reports read too, and for Weights & Biases."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from torch.utils.tensorboard import SummaryWriter

from edgevid.errors import InputError, first_line
from edgevid.files import write_text
from edgevid_train.loop import processes
from edgevid_train.recipe import Recipe

Log = Callable[[Mapping[str, float], int], None]
"""Writes figures by name, and the step they belong to."""

WANDB_ID = "wandb-id.txt"
"""Beside the checkpoints: which run of Weights & Biases a resumed training goes on with."""


@contextlib.contextmanager
def scalar_log(folder: Path, recipe: Recipe, step: int) -> Iterator[Log]:
    """Write into a phase's `folder`, from `step` on; of several processes the first one does.

    Raises:
        InputError: the recipe asks for Weights & Biases, and that cannot be had.
    """
    if not processes.leads():
        yield lambda _figures, _step: None
        return
    with contextlib.ExitStack() as open_:
        with _told_as_input_errors(folder):
            board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        open_.callback(_close, board, folder)
        run = open_.enter_context(_wandb_run(folder, recipe)) if recipe.log == "wandb" else None

        def log(figures: Mapping[str, float], step: int) -> None:
            with _told_as_input_errors(folder):
                for name, value in figures.items():
                    board.add_scalar(name, value, step)
            if run is not None:
                run.log({**figures, "step": step})

        yield log


def _close(board: SummaryWriter, folder: Path) -> None:
    with _told_as_input_errors(folder):
        board.close()


@contextlib.contextmanager
def _told_as_input_errors(folder: Path) -> Iterator[None]:
    """A full disk: what TensorBoard's writer raises, some of it later, from a thread of its own, is an OSError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from None


def check_log(recipe: Recipe) -> None:
    """Raises InputError when the recipe asks for Weights & Biases, and that is not installed or nobody is logged in."""
    if recipe.log != "wandb":
        return
    if find_spec("wandb") is None:
        raise InputError("log = wandb needs Weights & Biases: pip install 'edgevid[wandb]'")
    import wandb

    if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
        raise InputError("log = wandb: nobody is logged in: wandb login, or WANDB_MODE=offline keeps the figures here")


def _wandb_run(folder: Path, recipe: Recipe) -> Any:
    import wandb

    known = folder / WANDB_ID
    if not known.exists():
        write_text(known, uuid4().hex[:16])
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "edgevid"),
            name=f"{recipe.name} {folder.name}",
            config=recipe.model_dump(mode="json"),
            dir=folder,
            id=known.read_text(encoding="utf-8"),
            resume="allow",
            settings=wandb.Settings(console="off", quiet=True),
        )
    except wandb.Error as error:
        reason = first_line(error)
        raise InputError(f"Weights & Biases: {reason} (WANDB_MODE=offline keeps the figures here)") from None
    # A resumed training does some steps again; by a step of our own these are drawn in their places.
    run.define_metric("*", step_metric="step")
    return run
