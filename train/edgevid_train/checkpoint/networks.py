"""Trained networks from their checkpoints."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgevid.errors import InputError
from edgevid.files import replacing
from edgevid.manifest import Activation
from edgevid_train.checkpoint.format import INFO, MEMBERS, RECIPE, TRAINER, WEIGHTS, CheckpointInfo, read_info
from edgevid_train.checkpoint.places import find_checkpoint
from edgevid_train.checkpoint.weights import load_weights
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import BuiltTeacher, TeacherConfig, build_teacher
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.models.teachers.table import TEACHERS
from edgevid_train.recipe import Recipe, read_resolved


class LoadedStudent(NamedTuple):
    """A student in evaluation mode on the CPU, and everything that was saved with it."""

    student: Student
    recipe: Recipe
    labels: tuple[str, ...]
    info: CheckpointInfo


class LoadedTeacher(NamedTuple):
    """A teacher in evaluation mode on the CPU, and everything that was saved with it."""

    teacher: BuiltTeacher | Ensemble
    recipe: Recipe
    labels: tuple[str, ...]
    info: CheckpointInfo


def load_student(path: Path) -> LoadedStudent:
    """Load a student from its checkpoint folder, from the file of its weights, or from the folder of a whole run.

    Raises:
        InputError: no checkpoint there, not a student's, or damaged; the message names the file.
    """
    folder = find_checkpoint(path, "student")
    info, recipe = read_info(folder, "student"), read_resolved(folder / RECIPE)
    student = Student(recipe.student.model_copy(update={"weights": "none"}), len(info.labels))
    student.weights_from = info.weights_from
    load_weights(student, folder / WEIGHTS)
    return LoadedStudent(student.eval(), recipe, info.labels, info)


def load_teacher(path: Path) -> LoadedTeacher:
    """As `load_student`, for a teacher of any kind."""
    folder = find_checkpoint(path, "teacher")
    info, recipe = read_info(folder, "teacher"), read_resolved(folder / RECIPE)
    teacher: BuiltTeacher | Ensemble
    if recipe.teacher.kind == "ensemble":
        members = [folder / MEMBERS / str(number) for number in range(len(recipe.teacher.members))]
        teacher = gather(recipe.teacher, members, info.labels, recipe.task.activation)
    elif TEACHERS[recipe.teacher.kind].published is not None:
        teacher = build_teacher(recipe.teacher.model_copy(update={"weights": str(folder)}), len(info.labels))
    else:
        teacher = build_teacher(recipe.teacher.model_copy(update={"weights": "none"}), len(info.labels))
        load_weights(teacher, folder / WEIGHTS)
    return LoadedTeacher(teacher.eval(), recipe, info.labels, info)


def gather(
    config: TeacherConfig, members: Sequence[Path], labels: tuple[str, ...], activation: Activation = "softmax"
) -> Ensemble:
    """The ensemble of the teachers in these checkpoints.

    Raises:
        InputError: a checkpoint that cannot be loaded, that answers with other labels or that takes other frames.
    """
    loaded = [load_teacher(path) for path in members]
    for path, member in zip(members, loaded, strict=True):
        check_same_labels(path, member.labels, labels)
    return Ensemble(config, [member.teacher for member in loaded], activation).eval()


def check_same_labels(path: Path, theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    """Raises InputError when the teacher in `path` answers with other labels than the data has."""
    if theirs != ours:
        raise InputError(f"the teacher {path} answers with {', '.join(theirs)}; the data has {', '.join(ours)}")


def write_ensemble(folder: Path, members: Sequence[Path], recipe: Recipe, info: CheckpointInfo) -> None:
    """Write an ensemble's checkpoint, which holds copies of its members' checkpoints and needs no other folder."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, member in enumerate(members):
            found = find_checkpoint(member, "teacher")
            shutil.copytree(found, temporary / MEMBERS / str(number), ignore=shutil.ignore_patterns(TRAINER))
        (temporary / RECIPE).write_text(recipe.to_toml(), encoding="utf-8")
        (temporary / INFO).write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")
