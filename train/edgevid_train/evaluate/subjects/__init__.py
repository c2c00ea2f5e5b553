"""What is evaluated, whatever computes inside: a model file, a student's checkpoint, a teacher of any kind."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgevid_train.evaluate.subjects.contract import Answer, Curves, Percentiles, Subject

if TYPE_CHECKING:
    from edgevid_train.loop.devices import Device

__all__ = ["Answer", "Curves", "Percentiles", "Subject", "is_checkpoint", "open_subject"]


def open_subject(model: str, threads: int, device: "Device | None" = None) -> Subject:
    """A bundled model's name, a model file, or the checkpoint or run folder of a student or a teacher.

    Of a folder that holds a student and its teacher the student is meant; of a cross-validated run's folds each is
    asked about what it held out. A model file needs no torch, and computes on
    the CPU, whatever `device` says; a checkpoint there, or on the best there is.

    Raises:
        InputError: it is none of them, or damaged; or there is no such device.
    """
    if not is_checkpoint(model):
        from edgevid_train.evaluate.subjects.model_file import ModelFile

        return ModelFile(model, threads)
    from edgevid_train.checkpoint import checkpoint_of, folds_of
    from edgevid_train.evaluate.subjects.out_of_fold import OutOfFold
    from edgevid_train.evaluate.subjects.student import StudentCheckpoint
    from edgevid_train.evaluate.subjects.teacher import TeacherCheckpoint
    from edgevid_train.loop.devices import find_device

    where = find_device(device)

    def network(path: Path) -> StudentCheckpoint | TeacherCheckpoint:
        teacher = checkpoint_of(path, "student") is None and checkpoint_of(path, "teacher") is not None
        return (TeacherCheckpoint if teacher else StudentCheckpoint)(path, threads, where)

    folds = folds_of(Path(model))
    return OutOfFold(Path(model), [network(fold) for fold in folds]) if folds else network(Path(model))


def is_checkpoint(model: str) -> bool:
    """Whether this means something that training left, and not a model file."""
    path = Path(model)
    return path.suffix == ".safetensors" or (path.is_dir() and path.suffix != ".mlpackage")
