"""`train-distill` and `train-teacher` from the data folder to what is trained: which clips, which folds, what is kept.

OUT/run.json         what was asked for, so that `--resume` needs nothing else
OUT/recipe.toml      the resolved recipe
OUT/splits.json      digests of the clips that each split trains on and holds out
OUT/ledger.csv       every clip that could not be used, and why
OUT/quality.csv      clips that are very dark, very blurred or blocky, of those that were looked at; they are used
OUT/teacher/, OUT/student/   `last/` and `best/` checkpoints, `tensorboard/`, predictions.json of the held-out clips
OUT/memory/           `last/` of the student after its memory's lessons, where the recipe has some; each in `lesson-I/`
OUT/fold-I/…         the same for every fold of a cross-validation; OUT/cv.json and confusion.png over all of them
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevid.files import write_json
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord
from edgevid_train.annotations.places import read_places
from edgevid_train.checkpoint import CONFUSION, CV, load_teacher
from edgevid_train.decode import ClipCache, disk_clips, with_context
from edgevid_train.evaluate.figures.metrics import Prediction, confusion, headline, summarise
from edgevid_train.evaluate.plots import draw_confusion
from edgevid_train.loop import processes
from edgevid_train.loop.devices import Device
from edgevid_train.models.teachers.build import Teacher
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.runs.clearing import begin, clear_unfinished, keep_request
from edgevid_train.runs.folder import resumable, run_folder
from edgevid_train.runs.given import seen_before
from edgevid_train.runs.kept_splits import keep_splits
from edgevid_train.runs.phases import Fold, Setting, train_student, train_teacher
from edgevid_train.runs.readiness import Ready, ready
from edgevid_train.runs.request import RunRequest, Start
from edgevid_train.runs.usable import usable_clips
from edgevid_train.samples.drawn import DrawnClips
from edgevid_train.samples.split import Split, check_labels


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
    found = ready(start, device, report, stop)
    for line in found.leaks:
        report.say(line)
    labels = found.labels
    places = {file: where for folder in request.sources for file, where in read_places(folder).items()}
    with _drawing(recipe, labels, report) as drawn, resumable(request.command, out):
        processes.wait()  # until all have found their output and their data as they were
        if processes.leads():
            if start.resume:
                clear_unfinished(out)
            else:
                begin(request.with_digests(), recipe, out)
        everything = [*found.records, *found.extra, *found.negatives]
        spans = with_context(everything, recipe.stream.before_s, recipe.stream.after_s)
        disk = disk_clips(recipe.data.disk_cache_mb)
        cache = ClipCache(recipe.data.short_side, recipe.data.cache_mb << 20, spans, found.indexes, disk)
        lengths = usable_clips(everything, cache, recipe, out, report, stop)
        keep_splits(out, found.splits, lengths, resume=start.resume)
        if processes.leads() and start.resume:
            keep_request(request, out)  # its data may have been moved
        if disk is not None and disk.unwritable is not None:
            report.say(f"warning: decoded clips are not kept on disk: {disk.unwritable}")
        seen = seen_before(request, recipe)
        setting = Setting(recipe, labels, cache, places, device, start.resume, report, stop, request.init, seen, drawn)
        pooled, taught = _train_each(request, found, setting, lengths, out)
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
    request: RunRequest, found: Ready, setting: Setting, lengths: Mapping[ClipRecord, int], out: Path
) -> tuple[list[Prediction], list[Prediction]]:
    """Train on every split.

    Returns: what was said of all that was held out by what the command trains, and by the teachers of students.
    """
    recipe, report = setting.recipe, setting.report
    extra, negatives = set(found.extra), set(found.negatives)
    pooled: list[Prediction] = []
    taught: list[Prediction] = []
    for (name, folder, split), teacher_folder in zip(found.splits, found.given, strict=True):
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
            teacher, told = train_teacher(fold, setting)
            taught += told
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


def _with_teacher(setting: Setting, folder: Path) -> tuple[Setting, Teacher]:
    """A finished teacher, and the setting in which it gets the frames that it takes, whatever the recipe says."""
    loaded = load_teacher(folder)
    recipe = setting.recipe.model_copy(update={"teacher": loaded.recipe.teacher})
    seen = {*setting.seen_before, *loaded.info.split.trained_on}
    return replace(setting, recipe=recipe, seen_before=seen), loaded.teacher
