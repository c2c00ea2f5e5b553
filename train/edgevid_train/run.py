"""`train-distill` from the data folder to the trained student: which clips, which folds, and what is kept of it.

OUT/run.json         what was asked for, so that `--resume` needs nothing else
OUT/recipe.toml      the resolved recipe
OUT/ledger.csv       every clip that could not be used, and why
OUT/teacher/, OUT/student/   `last/` and `best/` checkpoints, `tensorboard/`, predictions.json of the held-out clips
OUT/fold-I/…         the same for every fold of a cross-validation; OUT/cv.json and confusion.png over all of them
"""

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn

from edgevid.errors import InputError
from edgevid.files import check_output, write_json, write_text
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.checkpoint import WEIGHTS, checkpoint_of, load_fitting, load_teacher, read_info
from edgevid_train.dataset import labels_of, read_clips
from edgevid_train.decode import ClipCache, with_context
from edgevid_train.devices import Device, make_accelerator
from edgevid_train.evaluate.metrics import Prediction, confusion, summarise
from edgevid_train.evaluate.plots import draw_confusion
from edgevid_train.interrupt import StoppedError
from edgevid_train.ledger import Ledger
from edgevid_train.models.student import Student
from edgevid_train.models.teachers import Teacher, build_teacher
from edgevid_train.phases import Fold, Setting, train_student, train_teacher
from edgevid_train.places import read_places
from edgevid_train.progress import Reporter
from edgevid_train.recipe import Recipe
from edgevid_train.request import RECIPE, RUN, RunRequest, Start
from edgevid_train.split import Split, check_labels, grouped_folds, holdout

LEDGER, CV = "ledger.csv", "cv.json"


def train_distill(
    start: Start,
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
    request, recipe, out = start.request, start.recipe, start.out
    empty = out.is_dir() and not any(out.iterdir())
    check_output(out, force=force or start.resume or empty)
    make_accelerator(device, recipe.precision)
    records = read_data(request.data, request.options)
    labels = labels_of(records, request.classes)
    extra = _extra(request, labels)
    splits = _splits(request, recipe, records, extra)
    given = _given_teacher(request, labels, splits, report)
    _try_networks(request, recipe, len(labels), given is None)
    places = {file: where for folder in (request.data, *request.extra) for file, where in read_places(folder).items()}
    if not start.resume:
        _begin(request, recipe, out)

    spans = with_context([*records, *extra], recipe.stream.before_s, recipe.stream.after_s)
    cache = ClipCache(recipe.data.short_side, recipe.data.cache_mb << 20, spans)
    lengths = _read([*records, *extra], cache, recipe, out / LEDGER, report, stop)
    seen = _seen_before(request)
    setting = Setting(recipe, labels, cache, places, device, start.resume, report, stop, request.init, seen)
    added = set(extra)
    pooled: list[Prediction] = []
    try:
        for name, folder, split in splits:
            train = [record for record in split.train if record in lengths]
            check_labels(train)
            for line in Split(tuple(train), split.val).warnings():
                report.say(f"warning: {name}: {line}")
            more = sum(record in added for record in train)
            own = f"{len(train) - more} clips" + (f" and {more} extra ones" if more else "")
            report.say(f"{name}: {own} to train on, {len(split.val)} held out")
            fold = Fold(name, out / folder, train, [lengths[record] for record in train], more, split.val)
            teacher = given or (train_teacher(fold, setting) if recipe.needs_teacher else None)
            pooled += train_student(fold, setting, teacher)
    except StoppedError as error:
        raise StoppedError(f"{error}; it is saved, go on with: edgevid train-distill --resume --out {out}") from None
    if not pooled:
        return {}
    summary = summarise(pooled, labels) | {"predictions": [prediction.to_json() for prediction in pooled]}
    report.say(
        f"held out, weights of the last epoch: top-1 {summary['top1']:.3f} "
        f"({summary['top1_low']:.3f} to {summary['top1_high']:.3f}, 95%) of {summary['n']} clips, "
        f"macro F1 {summary['macro_f1']:.3f}"
    )
    if request.cv is not None:
        write_json(out / CV, {"folds": request.cv, **summary})
        draw_confusion(*confusion(pooled, labels), out / "confusion.png")
    return summary


def _begin(request: RunRequest, recipe: Recipe, out: Path) -> None:
    """Make room in `out`: what an earlier run left goes, what is not ours stays."""
    for path in (out / "teacher", out / "student", *out.glob("fold-*")):
        if path.is_dir():
            shutil.rmtree(path)
    (out / CV).unlink(missing_ok=True)
    write_text(out / RUN, request.model_dump_json(indent=2) + "\n")
    write_text(out / RECIPE, recipe.to_toml())


def _extra(request: RunRequest, labels: Sequence[str]) -> list[ClipRecord]:
    records = []
    for folder in request.extra:
        for record in read_data(folder):
            if record.label not in labels:
                raise InputError(f"--extra {folder}: label {record.label!r} of {record.id} is not one of the data's")
            records.append(record)
    return records


def _splits(
    request: RunRequest, recipe: Recipe, records: Sequence[ClipRecord], extra: Sequence[ClipRecord]
) -> list[tuple[str, str, Split]]:
    """Name, folder within OUT and clips of every split to train on."""
    check_labels(records)
    seed = recipe.seed
    if request.all:
        chosen = [("all clips", "", Split(tuple(records), ()))]
    elif request.cv is not None:
        folds = enumerate(grouped_folds(records, request.cv, seed), start=1)
        chosen = [(f"fold {i} of {request.cv}", f"fold-{i}", split) for i, split in folds]
    elif request.folds is not None and request.fold is not None:
        split = grouped_folds(records, request.folds, seed)[request.fold - 1]
        chosen = [(f"fold {request.fold} of {request.folds}", "", split)]
    else:
        chosen = [("held-out groups", "", holdout(records, recipe.data.holdout, seed))]
    return [(name, folder, Split((*split.train, *extra), split.val)) for name, folder, split in chosen]


def _try_networks(request: RunRequest, recipe: Recipe, labels: int, with_teacher: bool) -> None:
    """Build what will be trained, and throw it away: what cannot be built is found before the first clip is decoded."""
    networks: dict[Literal["student", "teacher"], nn.Module] = {"student": Student(recipe.student, labels)}
    if with_teacher and recipe.needs_teacher:
        networks["teacher"] = build_teacher(recipe.teacher, labels)
    if request.init is None:
        return
    begins = {kind: folder for kind in networks if (folder := checkpoint_of(request.init, kind)) is not None}
    if not begins:
        raise InputError(f"--init {request.init}: holds no checkpoint of a {' or a '.join(networks)}")
    for kind, folder in begins.items():
        load_fitting(networks[kind], folder / WEIGHTS)


def _given_teacher(
    request: RunRequest, labels: tuple[str, ...], splits: Sequence[tuple[str, str, Split]], report: Reporter
) -> Teacher | None:
    if request.teacher is None:
        return None
    loaded = load_teacher(request.teacher)
    if loaded.labels != labels:
        raise InputError(
            f"--teacher {request.teacher} answers with {', '.join(loaded.labels)}; the data has {', '.join(labels)}"
        )
    seen = set(loaded.info.split.train_groups)
    for name, _, split in splits:
        leaked = sorted(seen & {record.group for record in split.val})
        if leaked:
            report.say(
                f"warning: {name}: the teacher was trained on {len(leaked)} of the held-out groups "
                f"({leaked[0]} for one); the student's figures will be too good"
            )
    return loaded.teacher


def _seen_before(request: RunRequest) -> set[str]:
    """Marks of what a given teacher, and the weights to begin from, were trained on."""
    kinds: tuple[Literal["teacher", "student"], ...] = ("teacher", "student")
    seen: set[str] = set()
    for path, kind in itertools.product((request.teacher, request.init), kinds):
        folder = checkpoint_of(path, kind) if path else None
        if folder:
            seen.update(read_info(folder, kind).split.trained_on)
    return seen


def _read(
    records: Sequence[ClipRecord],
    cache: ClipCache,
    recipe: Recipe,
    ledger_file: Path,
    report: Reporter,
    stop: Callable[[], bool],
) -> dict[ClipRecord, int]:
    ledger = Ledger()
    with report.bar("reading clips", len(records)) as advance:

        def next_clip() -> None:
            advance(f"{len(ledger)} unreadable" if len(ledger) else "")
            if stop():
                raise StoppedError("stopped before the first step; nothing is lost")

        lengths = read_clips(records, cache, ledger, recipe.student.rate_hz, recipe.data.loaders, next_clip)
    ledger.write(ledger_file)
    for record, reason in ledger.reasons.items():
        report.say(f"skipped: {record.id}: {reason}")
    ledger.check(len(records), recipe.data.max_skipped_share)
    return lengths
