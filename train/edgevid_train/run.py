"""`train-distill` and `train-teacher` from the data folder to what is trained: which clips, which folds, what is kept.

OUT/run.json         what was asked for, so that `--resume` needs nothing else
OUT/recipe.toml      the resolved recipe
OUT/ledger.csv       every clip that could not be used, and why
OUT/quality.csv      clips that are very dark, very blurred or blocky, of those that were looked at; they are used
OUT/teacher/, OUT/student/   `last/` and `best/` checkpoints, `tensorboard/`, predictions.json of the held-out clips
OUT/memory/           `last/` of the student after its memory's lessons, where the recipe has some; each in `lesson-I/`
OUT/fold-I/…         the same for every fold of a cross-validation; OUT/cv.json and confusion.png over all of them
"""

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from edgevid.errors import InputError
from edgevid.files import write_json, write_text
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.annotations.overlaps import with_overlapping
from edgevid_train.bundled import bundled_weights
from edgevid_train.checkpoint import (
    CONFUSION,
    CV,
    ROOMS,
    WEIGHTS,
    Kind,
    beginning_of,
    gather,
    kept_part,
    load_fitting,
    load_teacher,
)
from edgevid_train.decode import ClipCache, IndexStore, disk_clips, with_context
from edgevid_train.describe import describe
from edgevid_train.evaluate.metrics import Prediction, confusion, headline, summarise
from edgevid_train.evaluate.plots import draw_confusion
from edgevid_train.given import given_teachers, leaks, members_for, seen_before
from edgevid_train.kept_splits import SPLITS, keep_splits
from edgevid_train.loop import processes
from edgevid_train.loop.devices import Device, make_accelerator
from edgevid_train.loop.scalars import check_log
from edgevid_train.models.student import Student
from edgevid_train.models.teachers import Teacher, build_teacher
from edgevid_train.negatives import read_negatives
from edgevid_train.paths import check_paths
from edgevid_train.phases import Fold, Setting, train_student, train_teacher
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.request import RECIPE, RUN, RunRequest, Start
from edgevid_train.run_folder import resumable, run_folder
from edgevid_train.run_splits import RunSplit, check_figures_decide, read_extra, splits_of, with_first_label
from edgevid_train.samples.dataset import labels_of
from edgevid_train.samples.drawn import DrawnClips
from edgevid_train.samples.places import read_places
from edgevid_train.samples.split import Split, check_labels
from edgevid_train.samples.usable import usable_clips
from edgevid_train.synthetic.paths import LABELS
from edgevid_train.taps import TapTerms


def train_folds(
    start: Start[RunRequest],
    *,
    device: Device | None,
    force: bool,
    report: Reporter,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run it all. What can fail early is tried before the first clip is decoded.

    Returns: figures of the held-out clips as in `cv.json`, without them an empty report.

    Raises:
        InputError: bad data, recipe, device or output.
        StoppedError: the person asked to stop; the message says how to go on.
    """
    with run_folder(start.out, force=force or start.resume, say=report.say):
        return _train_folds(start, device, report, stop)


def _train_folds(
    start: Start[RunRequest], device: Device | None, report: Reporter, stop: Callable[[], bool]
) -> dict[str, Any]:
    request, recipe, out = start.request, start.recipe, start.out
    make_accelerator(device, recipe.precision)
    check_log(recipe)
    records = read_data(request.data, request.options, report.say) if request.data is not None else []
    as_many = with_overlapping if recipe.task.multi_label else with_first_label
    records = as_many(records, report.say)
    order = request.classes or (sorted(LABELS) if request.data is None else None)
    labels = labels_of(records, order, multi_label=recipe.task.multi_label)
    if recipe.task.multi_label and len(labels) < 2:
        raise InputError(f"task.kind = multi_label needs two labels beside {BACKGROUND!r}; the data has {len(labels)}")
    extra = read_extra(request, labels, report)
    indexes = IndexStore()
    negatives = read_negatives(request.negatives, indexes, report, stop)
    splits = splits_of(request, recipe, records, extra, negatives)
    check_figures_decide(request, recipe, splits)
    given = given_teachers(request, labels, splits)
    if request.teacher is not None and not recipe.needs_teacher:
        report.say("warning: by this recipe nothing is learned from the teacher; --set distill.response=1, for one")
        given = [None] * len(splits)
    _try_networks(request, recipe, labels, splits, given)
    for line in leaks(request, recipe, splits, given):
        report.say(line)
    places = {file: where for folder in request.sources for file, where in read_places(folder).items()}
    with _drawing(recipe, labels, report) as drawn, resumable(request.command, out):
        processes.wait()  # until all have found their output and their data as they were
        if processes.leads() and not start.resume:
            _begin(request, recipe, out)
        everything = [*records, *extra, *negatives]
        spans = with_context(everything, recipe.stream.before_s, recipe.stream.after_s)
        disk = disk_clips(recipe.data.disk_cache_mb)
        cache = ClipCache(recipe.data.short_side, recipe.data.cache_mb << 20, spans, indexes, disk)
        lengths = usable_clips(everything, cache, recipe, out, report, stop)
        keep_splits(out, splits, lengths, resume=start.resume)
        if disk is not None and disk.unwritable is not None:
            report.say(f"warning: decoded clips are not kept on disk: {disk.unwritable}")
        seen = seen_before(request, recipe)
        setting = Setting(recipe, labels, cache, places, device, start.resume, report, stop, request.init, seen, drawn)
        pooled, taught = _train_each(request, splits, given, setting, lengths, set(extra), set(negatives), out)
    if not pooled:
        return {}
    entries = [prediction.to_json() | {"group": prediction.record.group} for prediction in pooled]
    summary = summarise(pooled, labels) | {"predictions": entries}
    if taught:
        summary["teacher"] = summarise(taught, labels)
        report.say(f"held out, teacher: {headline(summary['teacher'])}")
    report.say(f"held out, weights of the last epoch: {headline(summary)}")
    if request.cv is not None and processes.leads():
        write_json(out / CV, {"folds": request.cv, **summary})
        draw_confusion(*confusion(pooled, labels), out / CONFUSION)
    return summary


def _train_each(
    request: RunRequest,
    splits: Sequence[RunSplit],
    given: Sequence[Path | None],
    setting: Setting,
    lengths: Mapping[ClipRecord, int],
    extra: Collection[ClipRecord],
    negatives: Collection[ClipRecord],
    out: Path,
) -> tuple[list[Prediction], list[Prediction]]:
    """Train on every split.

    Returns: what was said of all that was held out by what the command trains, and by the teachers of students.
    """
    recipe, report = setting.recipe, setting.report
    pooled: list[Prediction] = []
    taught: list[Prediction] = []
    for (name, folder, split), teacher_folder in zip(splits, given, strict=True):
        train = [record for record in split.train if record in lengths]
        if not recipe.drawn.clips:
            check_labels(train)
        for line in Split(tuple(train), split.val).warnings():
            report.say(f"warning: {name}: {line}")
        more, quiet = (sum(record in those for record in train) for those in (extra, negatives))
        own = f"{len(train) - more - quiet} clips" + (f" and {more} extra ones" if more else "")
        own += f", {quiet} pieces of negative video," if quiet else ""
        own += f", {recipe.drawn.clips} new ones drawn for each epoch," if recipe.drawn.clips else ""
        report.say(f"{name}: {own} to train on, {len(split.val)} held out")
        fold = Fold(name, out / folder, train, [lengths[record] for record in train], more + quiet, quiet, split.val)
        if request.command == "train-teacher":
            pooled += train_teacher(fold, setting)[1]
        elif teacher_folder is not None:
            pooled += train_student(fold, *_with_teacher(setting, teacher_folder))
        elif recipe.needs_teacher:
            teacher, found = train_teacher(fold, setting)
            taught += found
            pooled += train_student(fold, setting, teacher)
        else:
            pooled += train_student(fold, setting, None)
    return pooled, taught


@contextlib.contextmanager
def _drawing(recipe: Recipe, labels: Sequence[str], report: Reporter) -> Iterator[DrawnClips | None]:
    """The clips that are drawn as the training goes, where the recipe asks for them."""
    if not recipe.drawn.clips:
        yield None
        return
    said = labels if BACKGROUND in labels else (*labels, BACKGROUND)
    with DrawnClips(recipe.drawn, said, recipe.stream) as drawn:
        for line in drawn.left_out:
            report.say(line)
        yield drawn


def _begin(request: RunRequest, recipe: Recipe, out: Path) -> None:
    """Make room in `out`: what an earlier run left goes, what is not ours stays."""
    rooms = (*ROOMS["teacher"], *ROOMS["student"])
    for path in (*(out / room for room in rooms), *out.glob("fold-*")):
        if path.is_dir():
            shutil.rmtree(path)
    for file in (CV, CONFUSION, SPLITS):
        (out / file).unlink(missing_ok=True)
    write_text(out / RUN, request.model_dump_json(indent=2) + "\n")
    write_text(out / RECIPE, recipe.to_toml())


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
    if request.init is None:
        return
    begins = {kind: folder for kind in networks if (folder := beginning_of(request.init, kind)) is not None}
    if not begins:
        names = "" if request.init.exists() else f", nor is it one of the bundled {', '.join(bundled_weights())}"
        raise InputError(f"--init {request.init}: holds no checkpoint of a {' or a '.join(networks)}{names}")
    for kind, folder in begins.items():
        load_fitting(kept_part(networks[kind]), folder / WEIGHTS)


def _with_teacher(setting: Setting, folder: Path) -> tuple[Setting, Teacher]:
    """A finished teacher, and the setting in which it gets the frames that it takes, whatever the recipe says."""
    loaded = load_teacher(folder)
    recipe = setting.recipe.model_copy(update={"teacher": loaded.recipe.teacher})
    seen = {*setting.seen_before, *loaded.info.split.trained_on}
    return replace(setting, recipe=recipe, seen_before=seen), loaded.teacher
