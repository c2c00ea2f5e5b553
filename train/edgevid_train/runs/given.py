"""What is trained already and given to a run: teachers, and weights to begin from; and what they have seen before.

Of a cross-validated run's teachers each fold gets the one that has not seen what the fold holds out.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.checkpoint import (
    Kind,
    check_same_labels,
    checkpoint_of,
    checkpoints_of_folds,
    find_checkpoint,
    read_info,
)
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.recipe import Recipe
from edgevid_train.runs.request import RunRequest
from edgevid_train.runs.splits import RunSplit


def teacher_for(path: Path, held_out: Collection[str]) -> Path:
    """The checkpoint in `path`, a teacher's or a run's; of a cross-validated run its fold that saw least of `held_out`.

    `held_out`: groups.

    Raises:
        InputError: there is no teacher; or there is one for each fold, and nothing is held out that would choose.
    """
    found = checkpoints_of_folds(path, "teacher")
    if not found:
        folder = find_checkpoint(path, "teacher")
        read_info(folder, "teacher")
        return folder
    if not held_out:
        raise InputError(f"{path} holds {len(found)} teachers, one a fold; give one of them, or one trained with --all")
    return min(found, key=lambda checkpoint: len(leaked(checkpoint, "teacher", held_out)))


def members_for(config: TeacherConfig, held_out: Collection[str]) -> list[Path]:
    """The checkpoints that an ensemble is gathered from, each as `teacher_for` finds it."""
    return [teacher_for(Path(member), held_out) for member in config.members]


def leaked(checkpoint: Path, kind: Kind, held_out: Collection[str]) -> list[str]:
    """Those of the groups `held_out` that a checkpoint was trained on."""
    return sorted(set(read_info(checkpoint, kind).split.train_groups) & set(held_out))


def given_teachers(request: RunRequest, labels: tuple[str, ...], splits: Sequence[RunSplit]) -> list[Path | None]:
    """For every split the checkpoint of the teacher that was given, if one was."""
    if request.teacher is None:
        return [None] * len(splits)
    given = [teacher_for(request.teacher, split.val_groups) for _, _, split in splits]
    for folder in given:
        check_same_labels(folder, read_info(folder, "teacher").labels, labels)
    return list(given)


def leaks(
    request: RunRequest,
    recipe: Recipe,
    splits: Sequence[RunSplit],
    given: Sequence[Path | None],
) -> Iterator[str]:
    """What a person should know of weights that have seen what a split holds out, one line each."""
    for (name, _, split), teacher in zip(splits, given, strict=True):
        held_out = split.val_groups
        used: list[tuple[str, Path, Kind]] = [("the teacher", teacher, "teacher")] if teacher is not None else []
        if recipe.teacher.kind == "ensemble" and request.command == "train-teacher":
            used += [(f"member {member}", member, "teacher") for member in members_for(recipe.teacher, held_out)]
        used += [("what it begins from", folder, kind) for folder, kind in _beginnings(request, recipe)]
        for what, folder, kind in used:
            seen = leaked(folder, kind, held_out)
            if seen:
                yield (
                    f"warning: {name}: {what} was trained on {len(seen)} of the held-out groups ({seen[0]} for one)"
                    f"{', without their labels' if kind == 'pretrained' else ''}; the figures will be too good"
                )


def seen_before(request: RunRequest, recipe: Recipe) -> set[str]:
    """Marks of what the weights to begin from were trained on."""
    begins = _beginnings(request, recipe)
    return {mark for folder, kind in begins for mark in read_info(folder, kind).split.trained_on}


def _beginnings(request: RunRequest, recipe: Recipe) -> list[tuple[Path, Kind]]:
    """Our own checkpoints among what the networks of a run begin from."""
    paths = [request.init, Path(recipe.teacher.weights)]
    kinds: tuple[Kind, ...] = ("teacher", "student", "pretrained")
    found = ((checkpoint_of(path, kind), kind) for path in paths if path is not None for kind in kinds)
    return [(folder, kind) for folder, kind in found if folder is not None]
