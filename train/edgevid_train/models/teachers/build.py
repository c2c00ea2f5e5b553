"""A teacher: a network too large for a device, which sees an action from its beginning to its end before it answers."""

from collections.abc import Callable

from edgevid.errors import InputError
from edgevid_train.models.teachers.config import Teacher, TeacherConfig, TeacherOutputs
from edgevid_train.models.teachers.frames import (
    InflatedTeacher,
    LookingTeacher,
    RecurrentTeacher,
    ShiftTeacher,
    X3DLookingTeacher,
)
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.videomae_looking import VideoMAELookingTeacher

__all__ = ["BuiltTeacher", "Teacher", "TeacherConfig", "TeacherOutputs", "build_teacher"]

BuiltTeacher = LookingTeacher | VideoMAELookingTeacher | RecurrentTeacher | InflatedTeacher | PublishedTeacher
_OWN: dict[str, Callable[[TeacherConfig, int], BuiltTeacher]] = {
    "tsm": ShiftTeacher,
    "cnn-lstm": RecurrentTeacher,
    "inflated": InflatedTeacher,
    "x3d-looking": X3DLookingTeacher,
    "videomae-looking": VideoMAELookingTeacher,
}


def build_teacher(config: TeacherConfig, labels: int) -> BuiltTeacher:
    """The teacher to train that `config` describes, for `labels` classes.

    Raises:
        InputError: weights that cannot be had, or that do not fit; or an ensemble, which is gathered and not built.
    """
    if config.kind == "ensemble":
        raise InputError("an ensemble is made of finished teachers: edgevid train-teacher with teacher.members")
    return _OWN[config.kind](config, labels) if config.kind in _OWN else PublishedTeacher(config, labels)
