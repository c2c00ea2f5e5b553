"""What is evaluated, whatever computes inside: a model file, a student's checkpoint, a teacher of any kind."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.errors import InputError
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
        InputError: it is none of them, damaged, or a cross-validation that is not over; or there is no such device.
    """
    if not is_checkpoint(model):
        from edgevid_train.evaluate.subjects.model_file import ModelFile

        return ModelFile(model, threads)
    from edgevid_train.checkpoint import CV, folds_of, trained_kind
    from edgevid_train.evaluate.subjects.out_of_fold import OutOfFold
    from edgevid_train.evaluate.subjects.student import StudentCheckpoint
    from edgevid_train.evaluate.subjects.teacher import TeacherCheckpoint
    from edgevid_train.loop.devices import find_device

    path, where = Path(model), find_device(device)
    folds = folds_of(path)
    if folds and not (path / CV).is_file():
        raise InputError(
            f"{path} holds {len(folds)} folds and no {CV}: its cross-validation is not over; go on with it by "
            f"--resume, or name one of its runs, like {folds[0]}"
        )
    kind = trained_kind(folds[0] if folds else path)
    network = TeacherCheckpoint if kind == "teacher" else StudentCheckpoint
    if folds:
        return OutOfFold(path, [network(fold, threads, where) for fold in folds])
    return network(path, threads, where)


def is_checkpoint(model: str) -> bool:
    """Whether this means something that training left, and not a model file."""
    path = Path(model)
    return bool(model) and (path.suffix == ".safetensors" or (path.is_dir() and path.suffix != ".mlpackage"))
