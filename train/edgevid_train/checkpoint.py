"""A checkpoint is a folder: weights, the resolved recipe, and what the weights are.

    model.safetensors   the weights that are validated and exported (their moving average, where the recipe has one)
    config.json         only of a network of transformers: what it needs to load the folder by itself
    members/            only of an ensemble, instead of weights: its members' checkpoints
    recipe.toml         every setting with its value
    checkpoint.json     `CheckpointInfo`: labels, split, epoch, figures
    trainer.pt          only in `last`: optimiser, counters and random states, for an exact resume

Weights are data, not code: nothing here unpickles anything but tensors and plain values.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgevid.errors import InputError, first_fault, first_line
from edgevid.files import replacing
from edgevid_train.losses.label_loss import Activation
from edgevid_train.models.ensemble import Ensemble
from edgevid_train.models.normalised import NormalisedNetwork
from edgevid_train.models.student import Student
from edgevid_train.models.teacher_table import TEACHERS
from edgevid_train.models.teachers import BuiltTeacher, TeacherConfig, build_teacher
from edgevid_train.recipe import Recipe, read_resolved

WEIGHTS, RECIPE, INFO, TRAINER = "model.safetensors", "recipe.toml", "checkpoint.json", "trainer.pt"
MEMBERS = "members"
CV = "cv.json"
"""In the folder of a cross-validated run, once every fold is over: the figures of all."""
CONFUSION = "confusion.png"
"""The same: their confusions, drawn."""
PRETRAINED_FIGURES, RECONSTRUCTION = "pretrain.json", "reconstruction.png"
"""In the folder of a pre-training, once it is over."""
MEMORY = "memory"

Kind = Literal["student", "teacher", "pretrained"]
"""`pretrained`: a VideoMAE that has seen videos and no label."""

ROOMS: dict[Kind, tuple[str, ...]] = {
    "student": (MEMORY, "student"),
    "teacher": ("teacher",),
    "pretrained": ("pretrained",),
}
"""Where in a run the phases that train each kind keep their checkpoints, the last phase first."""


class SplitInfo(BaseModel):
    """What the weights have seen. `name` is for people: `fold 1 of 5`, `all clips`.

    `trained_on`: marks of the recordings (see `marks`), those of a given teacher's and of earlier weights' among them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    train_clips: int
    val_clips: int
    train_groups: tuple[str, ...]
    val_groups: tuple[str, ...]
    trained_on: tuple[str, ...] = ()


class CheckpointInfo(BaseModel):
    """What stands in `checkpoint.json`. `weights_from`: where the backbone's weights came from before training.

    `labels`: none of what was only pre-trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    kind: Kind
    labels: tuple[str, ...]
    weights_from: str
    split: SplitInfo
    epoch: int = 0
    step: int = 0
    finished: bool = False
    metrics: dict[str, float] = {}
    edgevid: str = ""


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


@dataclass(frozen=True)
class Checkpoint:
    """What is written: `trainer` is None for a checkpoint that nobody resumes from."""

    network: nn.Module
    recipe: Recipe
    info: CheckpointInfo
    trainer: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Write the folder as a whole, replacing an older one in one step. Raises InputError when that fails."""
        with replacing(folder) as temporary, _told_as_os_errors():
            temporary.mkdir()
            network = kept_part(self.network)
            if isinstance(self.network, NormalisedNetwork) and hasattr(network, "save_pretrained"):
                self.network.network.config.save_pretrained(temporary)
            state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            save_file(state, temporary / WEIGHTS, {"format": "pt"})  # transformers asks for the metadata
            (temporary / RECIPE).write_text(self.recipe.to_toml(), encoding="utf-8")
            (temporary / INFO).write_text(self.info.model_dump_json(indent=2) + "\n", encoding="utf-8")
            if self.trainer is not None:
                torch.save(self.trainer, temporary / TRAINER)


@contextlib.contextmanager
def _told_as_os_errors() -> Iterator[None]:
    """A full disk has other names where compiled code writes."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(first_line(error)) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in ("unexpected pos", "PytorchStreamWriter", "iostream error")):
            raise
        raise OSError("not all of it could be written; is the disk full?") from error


def kept_part(network: nn.Module) -> nn.Module:
    """The part of a network whose weights a checkpoint holds: of one that others build that itself, not our frame."""
    inner: nn.Module = network.network if isinstance(network, NormalisedNetwork) else network
    return inner


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


def folds_of(run: Path) -> list[Path]:
    """The folders of a cross-validated run's folds, in order."""
    return sorted(run.glob("fold-*"), key=lambda fold: (len(fold.name), fold.name))


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
    return _parsed(folder).kind


def beginning_of(path: Path, kind: Kind) -> Path | None:
    """The checkpoint in `path` that a network of this kind may begin from; a teacher also from what was pre-trained."""
    found = checkpoint_of(path, kind)
    return checkpoint_of(path, "pretrained") if found is None and kind == "teacher" else found


def read_info(folder: Path, kind: str) -> CheckpointInfo:
    """Raises InputError when `checkpoint.json` is missing, malformed or of another kind."""
    info = _parsed(folder)
    if info.kind != kind:
        raise InputError(f"{folder} is the checkpoint of a {info.kind}, not of a {kind}")
    return info


def _parsed(folder: Path) -> CheckpointInfo:
    path = folder / INFO
    try:
        return CheckpointInfo.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        place, what = first_fault(error)
        raise InputError(f"{path}: {place + ': ' if place else ''}{what}") from None


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a safetensors file into `network`, every tensor of both. Raises InputError when they do not fit."""
    load_state(network, _read(path), str(path))


def load_fitting(network: nn.Module, path: Path) -> tuple[int, list[str]]:
    """Load those tensors of a safetensors file that `network` has too, by name and shape.

    Returns: how many, and the names of the network's others, which stay as they are.

    Raises:
        InputError: not a file of weights, or none of them fits.
    """
    state, own = _read(path), network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if not fitting:
        raise InputError(f"{path}: none of its tensors fits the recipe's network")
    network.load_state_dict({**own, **fitting})
    return len(fitting), [name for name in own if name not in fitting]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as weights: {first_line(error)}") from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise InputError(f"{path}: {name} holds NaN or infinity: the weights are damaged")
    return state


def load_state(network: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Raises InputError when a tensor is missing, left over or of another shape."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()
        raise InputError(f"{where} does not fit its recipe: {reason[min(1, len(reason) - 1)].strip()}") from None


def load_trainer(folder: Path) -> dict[str, Any]:
    """What `last` holds for a resume. Raises InputError when it is missing or damaged."""
    path = folder / TRAINER
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: there is nothing to resume from") from None
    except Exception as error:  # torch raises whatever the damaged bytes provoke
        raise InputError(f"{path} is damaged ({type(error).__name__}): it cannot be resumed from") from None
    return state
