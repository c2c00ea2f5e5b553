"""Which clips a run trains on, and which it holds out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.annotations.reading import plural
from edgevid_train.loop.schedule import check_held_out
from edgevid_train.negatives import deal
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.runs.request import RunRequest
from edgevid_train.samples.split import Split, check_labels, grouped_folds, holdout


class RunSplit(NamedTuple):
    """A split of a run: what people call it, and its folder within the run's."""

    name: str
    folder: str
    split: Split


def with_first_label(records: Sequence[ClipRecord], say: Callable[[str], None]) -> list[ClipRecord]:
    """What one label a clip leaves of clips with several: no other label becomes an answer that nobody learns."""
    more = sum(len(record.labels) > 1 for record in records)
    if more:
        say(f"warning: of the labels of {more} clips only the first counts; task.kind = multi_label takes them all")
    return [replace(record, labels=record.labels[:1]) for record in records]


def read_extra(
    request: RunRequest, data: Sequence[ClipRecord], labels: Sequence[str], report: Reporter
) -> list[ClipRecord]:
    """The clips of `--extra`, but for those of the data, which may be held out.

    Raises:
        InputError: one has a label that the data has not.
    """
    known = {(record.file.absolute(), record.start_s, record.end_s) for record in data}
    records = []
    twice = 0
    for folder in request.extra:
        for record in read_data(folder, say=report.say):
            kept = record.labels[:1] if BACKGROUND in labels else record.labels
            for label in kept:
                if label not in (*labels, BACKGROUND):
                    raise InputError(f"--extra {folder}: label {label!r} of {record.id} is not one of the data's")
            if (record.file.absolute(), record.start_s, record.end_s) in known:
                twice += 1
            else:
                records.append(replace(record, labels=kept))
    if twice:
        report.say(f"warning: --extra: {twice} clips of the data itself, left out")
    return records


def splits_of(
    request: RunRequest,
    recipe: Recipe,
    records: Sequence[ClipRecord],
    extra: Sequence[ClipRecord],
    negatives: Sequence[ClipRecord],
    say: Callable[[str], None],
) -> list[RunSplit]:
    """Every split to train on: extra clips and negatives are only ever trained on.

    Raises:
        InputError: fewer than two labels among all of them, or fewer groups than are needed.
    """
    seed = recipe.data.split_seed
    among = request.cv or request.folds
    if request.data is not None:
        check_labels([*records, *extra, *negatives])
    held_out = sum(record.split in ("val", "test") for record in records)
    if held_out and (among or request.all):
        way = "--all" if request.all else "--cv" if request.cv else "--fold"
        say(f"warning: the data's own split, which holds out {plural(held_out, 'clip')}, is passed over by {way}")
    left_out = deal(negatives, among, seed) if among else [set()]
    if request.all:
        chosen = [RunSplit("all clips", "", Split(tuple(records), ()))]
    elif request.cv is not None:
        folds = enumerate(grouped_folds(records, request.cv, seed), start=1)
        chosen = [RunSplit(f"fold {i} of {request.cv}", f"fold-{i}", split) for i, split in folds]
    elif request.folds is not None and request.fold is not None:
        split = grouped_folds(records, request.folds, seed)[request.fold - 1]
        chosen = [RunSplit(f"fold {request.fold} of {request.folds}", "", split)]
        left_out = left_out[request.fold - 1 : request.fold]
    else:
        chosen = [RunSplit("held-out groups", "", holdout(records, recipe.data.holdout, seed))]
    return [
        RunSplit(name, folder, Split((*split.train, *extra, *(r for r in negatives if r.group not in left)), split.val))
        for (name, folder, split), left in zip(chosen, left_out, strict=True)
    ]


def check_figures_decide(request: RunRequest, recipe: Recipe, splits: Sequence[RunSplit]) -> None:
    """Raises InputError when a network is to be trained by figures of held-out clips and a split has none."""
    held_out = all(split.val for _, _, split in splits)
    if request.command == "train-distill":
        check_held_out(recipe.optim, "optim", held_out=held_out)
        if recipe.memory.streams:
            check_held_out(recipe.memory_optim, "memory_optim", held_out=held_out)
            if not all(split.train for _, _, split in splits):
                raise InputError("memory.streams: its lesson is of clips in files; those drawn for an epoch are gone")
    if request.command == "train-teacher" or (request.teacher is None and recipe.needs_teacher):
        check_held_out(recipe.teacher_optim, "teacher_optim", held_out=held_out)
