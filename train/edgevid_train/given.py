"""Finished teachers that somebody gives: for each fold the one that has not seen what the fold holds out."""

from collections.abc import Collection
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.checkpoint import Kind, checkpoint_of, find_checkpoint, read_info


def teacher_for(path: Path, held_out: Collection[str]) -> Path:
    """The checkpoint in `path`, a teacher's or a run's; of a cross-validated run its fold that saw least of `held_out`.

    `held_out`: groups.

    Raises:
        InputError: there is no teacher; or there is one for each fold, and nothing is held out that would choose.
    """
    folds = sorted(path.glob("fold-*"), key=lambda fold: (len(fold.name), fold.name))
    found = [checkpoint for fold in folds if (checkpoint := checkpoint_of(fold, "teacher")) is not None]
    if not found:
        folder = find_checkpoint(path, "teacher")
        read_info(folder, "teacher")
        return folder
    if not held_out:
        raise InputError(f"{path} holds {len(found)} teachers, one a fold; give one of them, or one trained with --all")
    return min(found, key=lambda checkpoint: len(leaked(checkpoint, "teacher", held_out)))


def leaked(checkpoint: Path, kind: Kind, held_out: Collection[str]) -> list[str]:
    """Those of the groups `held_out` that a checkpoint was trained on."""
    return sorted(set(read_info(checkpoint, kind).split.train_groups) & set(held_out))
