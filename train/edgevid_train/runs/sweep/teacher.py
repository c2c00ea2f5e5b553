"""One teacher for all runs of a sweep that would each train the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid_train.recipe import Recipe
from edgevid_train.runs.sweep.plan import Combination, SweepPlan

_OF_STUDENTS = {
    *("name", "about", "log", "student", "distill", "optim", "curriculum", "paths", "clip_pool", "events", "hold"),
    *("pretrain", "pretrain_optim", "memory", "memory_optim"),
}
"""Sections of a recipe in which nothing changes a teacher, but for what `teaching` names."""


def teaching(recipe: Recipe) -> dict[str, Any]:
    """Everything that a teacher follows from, besides what the runs of a sweep have in common."""
    return {
        **recipe.model_dump(mode="json", exclude=_OF_STUDENTS),
        "label_smoothing": recipe.distill.label_smoothing,
        "rate_hz": recipe.student.rate_hz,  # by which the lengths of streams are drawn, and all that is drawn after
    }


def taught_before(
    plan: SweepPlan, out: Path, combination: Combination, number: int, ended_well: Callable[[Path], bool]
) -> Path | None:
    """The folder of an earlier run, `ended_well`, with the teacher that this run would train; None where there is none.

    The path is absolute, as a `RunRequest`'s are.
    """
    recipe = combination.recipe(number)
    if combination.request.teacher is not None or not recipe.needs_teacher:
        return None
    wanted = teaching(recipe)
    for other, its_number in plan.runs:
        if (other, its_number) == (combination, number):
            break
        folder, theirs = other.run_folder(out, its_number).absolute(), other.recipe(its_number)
        if _trained(folder) and theirs.needs_teacher and teaching(theirs) == wanted and ended_well(folder):
            return folder
    return None


def _trained(folder: Path) -> bool:
    """Whether the teacher of a run is its own."""
    return (folder / "teacher").is_dir() or any(folder.glob("fold-*/teacher"))
