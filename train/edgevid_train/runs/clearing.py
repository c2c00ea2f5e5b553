"""Making room for a run where an earlier one was: what runs, sweeps and pre-trainings left goes, all else stays.

A folder's name alone does not say whose it is: `student` may be a label, with videos in it. What is removed is known by
what it holds.
"""

import json
import re
import shutil
from pathlib import Path

from edgevid.errors import InputError
from edgevid.files import write_text
from edgevid_train.checkpoint import CONFUSION, CV, INFO, PRETRAINED_FIGURES, RECONSTRUCTION, ROOMS
from edgevid_train.ledger import LEDGER
from edgevid_train.recipe import Recipe
from edgevid_train.runs.kept_splits import SPLITS
from edgevid_train.runs.request import RECIPE, RUN, PretrainRequest, RunRequest
from edgevid_train.runs.sweep.plan import PLAN, RESULT
from edgevid_train.runs.sweep.table import FIGURES, TABLE
from edgevid_train.runs.usable import QUALITY

_FILES = (LEDGER, QUALITY, SPLITS, CV, CONFUSION, PRETRAINED_FIGURES, RECONSTRUCTION, RESULT, FIGURES, TABLE)
"""Of a run's folder, beside what says whose it is, which goes last."""
_ROOMS = {name for names in ROOMS.values() for name in names}
_NESTED = re.compile(r"fold-\d+|sweep-\d+-.+|seed-\d+")
"""Folders in which all of it may be again."""
_OF_ROOM = re.compile(r"last|best|tensorboard|predictions\.json|seen|lesson-\d+|wandb.*|\.(last|best)\..+")
_SIGNS = (INFO, f"last/{INFO}", f"best/{INFO}", "events.out.*", "*.npz")
"""What no folder of these names holds that is somebody else's."""


def begin(request: RunRequest | PretrainRequest, recipe: Recipe, out: Path) -> None:
    """Make room in `out`, and write what is asked for: all that a resume needs, or nothing of it.

    Raises:
        InputError: the disk is full, or something cannot be removed.
    """
    clear(out)
    write_text(out / RECIPE, recipe.to_toml())
    keep_request(request, out)


def keep_request(request: RunRequest | PretrainRequest, out: Path) -> None:
    """Raises InputError when it cannot be written."""
    write_text(out / RUN, request.model_dump_json(indent=2) + "\n")


def is_own(path: Path, out: Path) -> bool:
    """Whether `path` is the folder `out` of a run, or a place in it where the run itself writes."""
    path, out = path.resolve(), out.resolve()
    if not path.is_relative_to(out):
        return False
    first, *_ = (*path.relative_to(out).parts, "")
    return first in {"", RUN, RECIPE, PLAN, *_FILES, *_ROOMS} or _NESTED.fullmatch(first) is not None


def clear(out: Path) -> None:
    """Remove what was left in `out`; interrupted, it leaves a run that begins anew when it is resumed.

    Raises:
        InputError: something cannot be removed.
    """
    try:
        for name in _ROOMS:
            _clear_room(out / name)
        for nested in out.iterdir() if out.is_dir() else ():
            if _NESTED.fullmatch(nested.name) and nested.is_dir():
                clear(nested)
                _remove_empty(nested)
        runs, sweeps = _says(out / RUN, "data"), _says(out / PLAN, "combinations")
        for name in (*_FILES, PLAN) if sweeps else ():
            (out / name).unlink(missing_ok=True)
        for name in (*_FILES, RECIPE, RUN) if runs else ():
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from None


def clear_unfinished(out: Path) -> None:
    """Remove checkpoints in `out` that were being written as their process was ended: none has its name yet."""
    for room in (out / name for name in _ROOMS):
        for path in (*room.glob(".*.tmp"), *room.glob("lesson-*/.*.tmp")):
            if _OF_ROOM.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
    for nested in out.iterdir():
        if _NESTED.fullmatch(nested.name) and nested.is_dir():
            clear_unfinished(nested)


def _says(path: Path, key: str) -> bool:
    """Whether a file is what a run, or a sweep, says of itself: others have a `plan.json` too."""
    try:
        return key in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _clear_room(room: Path) -> None:
    ours = [path for path in room.iterdir() if _OF_ROOM.fullmatch(path.name)] if room.is_dir() else []
    left = [path for path in ours if path.is_dir() and any(found for sign in _SIGNS for found in path.glob(sign))]
    for path in ours if left else ():  # a room in which nothing bears a sign is none
        if not path.is_dir():
            path.unlink()
        elif path in left or path.name.startswith((".", "wandb")):
            shutil.rmtree(path)
    if left:
        _remove_empty(room)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
