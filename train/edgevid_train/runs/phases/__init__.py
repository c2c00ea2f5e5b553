"""The phases of distillation on one split: the teacher, the student that learns from it, the lesson of its memory."""

from edgevid_train.runs.phases.fold import Fold, Setting
from edgevid_train.runs.phases.phase import PREDICTIONS, is_finished
from edgevid_train.runs.phases.student import train_student
from edgevid_train.runs.phases.teacher import train_teacher

__all__ = ["PREDICTIONS", "Fold", "Setting", "is_finished", "train_student", "train_teacher"]
