"""What a training needs before its first clip is decoded: all that can fail early is tried here, and writes nothing."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from torch import nn

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.annotations.overlaps import with_overlapping
from edgevid_train.checkpoint import (
    WEIGHTS,
    Kind,
    beginning_of,
    gather,
    kept_part,
    labels_of_checkpoint,
    load_fitting,
    load_teacher,
)
from edgevid_train.decode import IndexStore
from edgevid_train.describe import describe
from edgevid_train.loop.devices import Device, make_accelerator
from edgevid_train.loop.scalars import check_log
from edgevid_train.losses.taps import TapTerms
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import Teacher, build_teacher
from edgevid_train.negatives import read_negatives, refuse_actions
from edgevid_train.paths import check_paths
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.runs.bundled import bundled_weights
from edgevid_train.runs.clearing import is_own
from edgevid_train.runs.given import given_teachers, leaks, members_for
from edgevid_train.runs.request import RunRequest, Start
from edgevid_train.runs.splits import RunSplit, check_figures_decide, read_extra, splits_of, with_first_label
from edgevid_train.samples.dataset import labels_of
from edgevid_train.synthetic.paths import LABELS


class Ready(NamedTuple):
    """Everything a run was found to need.

    Attributes:
        given: the checkpoint of the teacher of each split; None where one is trained, or none is learned from.
        leaks: what a person should know of clips that were seen before, one line each.
    """

    labels: tuple[str, ...]
    records: list[ClipRecord]
    extra: list[ClipRecord]
    negatives: list[ClipRecord]
    indexes: IndexStore
    splits: list[RunSplit]
    given: list[Path | None]
    leaks: list[str]


def ready(
    start: Start[RunRequest],
    device: Device | None,
    report: Reporter,
    stop: Callable[[], bool] = lambda: False,
    *,
    room: Path | None = None,
) -> Ready:
    """Read the data's annotations, split them, and build the networks once.

    `room`: the folder in which room will be made, where that is not the run's own.

    Raises:
        InputError: bad data, recipe or device; or what the run begins from lies where its own output goes.
        StoppedError: the person asked to stop.
    """
    request, recipe = start.request, start.recipe
    make_accelerator(device, recipe.precision)
    check_log(recipe)
    if not start.resume:
        _refuse_own_output(request, recipe, room or start.out)
    records = read_data(request.data, request.options, report.say) if request.data is not None else []
    as_many = with_overlapping if recipe.task.multi_label else with_first_label
    records = as_many(records, report.say)
    order = request.classes or (sorted(LABELS) if request.data is None else None)
    labels = labels_of(records, order, multi_label=recipe.task.multi_label)
    if recipe.task.multi_label and len(labels) < 2:
        raise InputError(f"task.kind = multi_label needs two labels beside {BACKGROUND!r}; the data has {len(labels)}")
    extra = read_extra(request, records, labels, report)
    indexes = IndexStore()
    negatives = read_negatives(request.negatives, indexes, report, stop)
    refuse_actions([piece.file for piece in negatives], [*records, *extra])
    splits = splits_of(request, recipe, records, extra, negatives, report.say)
    check_figures_decide(request, recipe, splits)
    given = given_teachers(request, labels, splits)
    if request.teacher is not None and not recipe.needs_teacher:
        report.say("warning: by this recipe nothing is learned from the teacher; --set distill.response=1, for one")
        given = [None] * len(splits)
    _try_networks(request, recipe, labels, splits, given)
    found = list(leaks(request, recipe, splits, given))
    return Ready(labels, records, extra, negatives, indexes, splits, given, found)


def _refuse_own_output(request: RunRequest, recipe: Recipe, out: Path) -> None:
    """What a run begins from must still be there once room is made in `out`."""
    begins = [("--init", request.init), ("--teacher", request.teacher)]
    begins += [("teacher.weights", Path(recipe.teacher.weights)), ("student.weights", Path(recipe.student.weights))]
    begins += [("teacher.members", Path(member)) for member in recipe.teacher.members]
    for what, path in begins:
        if path is not None and path.exists() and is_own(path, out):
            raise InputError(f"{what} {path} lies in {out}, where the run begins anew: choose another --out")


def _try_networks(
    request: RunRequest,
    recipe: Recipe,
    labels: tuple[str, ...],
    splits: Sequence[RunSplit],
    given: Sequence[Path | None],
) -> None:
    """Build what will be trained, and throw it away: what cannot be built is found before the first clip is decoded.

    Raises:
        InputError: something of it cannot be built, begun from, or described.
    """
    with fits_into_memory(recipe):
        networks = _networks(request, recipe, labels, splits, given)
    if request.init is None:
        return
    begins = {kind: folder for kind in networks if (folder := beginning_of(request.init, kind)) is not None}
    if not begins:
        names = "" if request.init.exists() else f", nor is it one of the bundled {', '.join(bundled_weights())}"
        raise InputError(f"--init {request.init}: holds no checkpoint of a {' or a '.join(networks)}{names}")
    for kind, folder in begins.items():
        load_fitting(kept_part(networks[kind]), folder / WEIGHTS, labels_of_checkpoint(folder), labels)


@contextlib.contextmanager
def fits_into_memory(recipe: Recipe) -> Iterator[None]:
    """Around what builds a network. Raises InputError where there is no room for it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        raise InputError(f"recipe {recipe.name}: there is no memory for a network of this size") from None


def _networks(
    request: RunRequest,
    recipe: Recipe,
    labels: tuple[str, ...],
    splits: Sequence[RunSplit],
    given: Sequence[Path | None],
) -> dict[Kind, nn.Module]:
    networks: dict[Kind, nn.Module] = {}
    if request.command == "train-distill":
        student = networks["student"] = Student(recipe.student, len(labels))
        describe(student, recipe, labels)
        if recipe.paths.steps:
            check_paths(student, labels, recipe.paths)
    if request.command == "train-teacher" or (request.teacher is None and recipe.needs_teacher):
        if recipe.teacher.kind == "ensemble":
            for _, _, split in splits:
                members = members_for(recipe.teacher, split.val_groups)
                networks["teacher"] = gather(recipe.teacher, members, labels, recipe.task.activation)
        else:
            networks["teacher"] = build_teacher(recipe.teacher, len(labels))
    if request.command == "train-distill" and recipe.distill.taps:
        teacher = networks.get("teacher") or load_teacher(cast(Path, given[0])).teacher
        TapTerms(recipe.distill.taps, cast(Student, networks["student"]), cast(Teacher, teacher))
    return networks
