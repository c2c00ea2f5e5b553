"""Where in the folder of a run its checkpoints and figures are, and which of them a path means."""

from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.checkpoint.format import INFO, MEMBERS, WEIGHTS, Kind, parsed_info, read_info

CV = "cv.json"
"""In the folder of a cross-validated run, once every fold is over: the figures of all."""
CONFUSION = "confusion.png"
"""The same: their confusions, drawn."""
PRETRAINED_FIGURES, RECONSTRUCTION = "pretrain.json", "reconstruction.png"
"""In the folder of a pre-training, once it is over."""
MEMORY = "memory"

ROOMS: dict[Kind, tuple[str, ...]] = {
    "student": (MEMORY, "student"),
    "teacher": ("teacher",),
    "pretrained": ("pretrained",),
}
"""Where in a run the phases that train each kind keep their checkpoints, the last phase first."""


def folds_of(run: Path) -> list[Path]:
    """The folders of a cross-validated run's folds, in order."""
    return sorted(run.glob("fold-[0-9]*"), key=lambda fold: (len(fold.name), fold.name))


def checkpoints_of_folds(run: Path, kind: Kind) -> list[Path]:
    """The checkpoint of every fold of a cross-validated run that has one of this kind, in order."""
    return [checkpoint for fold in folds_of(run) if (checkpoint := checkpoint_of(fold, kind)) is not None]


def find_checkpoint(path: Path, kind: Kind) -> Path:
    """The checkpoint folder that `path` means: itself, its `best` or `last`, or those of its `student` or `teacher`.

    `last` comes first: the best epoch was chosen by the held-out clips, by which network and student are judged; who
    wants it all the same names it. A run's student is that after the memory's lesson, where it had one.

    Raises:
        InputError: there is none.
    """
    folder = path.parent if path.name == WEIGHTS else path
    rooms = (folder, *(folder / room for room in ROOMS[kind]))
    for inner in (folder, *(room / name for room in rooms for name in ("last", "best"))):
        if (inner / INFO).is_file() and ((inner / WEIGHTS).is_file() or (inner / MEMBERS).is_dir()):
            return inner
    what = "no such file or folder" if not path.exists() else f"holds no {WEIGHTS} with its {INFO}"
    runs = [*folds_of(path), *sorted(path.glob("sweep-*/seed-*"))]
    if runs:
        what += f"; it holds {len(runs)} runs, name one of them, like {runs[0]}"
    raise InputError(f"{path} is no {kind} checkpoint: {what}")


def checkpoint_of(path: Path, kind: Kind) -> Path | None:
    """As `find_checkpoint`, but None where `path` holds none of this kind."""
    try:
        folder = find_checkpoint(path, kind)
        read_info(folder, kind)
    except InputError:
        return None
    return folder


def trained_kind(path: Path) -> Kind:
    """What is in a run or checkpoint: a student, where there is one beside its teacher.

    Raises:
        InputError: neither, or `checkpoint.json` is damaged.
    """
    try:
        folder = find_checkpoint(path, "student")
    except InputError as no_student:
        try:
            folder = find_checkpoint(path, "teacher")
        except InputError:
            raise no_student from None
    return parsed_info(folder).kind


def beginning_of(path: Path, kind: Kind) -> Path | None:
    """The checkpoint in `path` that a network of this kind may begin from; a teacher also from what was pre-trained."""
    found = checkpoint_of(path, kind)
    return checkpoint_of(path, "pretrained") if found is None and kind == "teacher" else found
