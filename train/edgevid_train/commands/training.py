"""`edgevid pretrain`, `train-teacher` and `train-distill`: words -> calls."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid_train.commands.options import Device, data_option, reads_data

if TYPE_CHECKING:
    from edgevid_train.annotations import ReadOptions

RecipeName = Annotated[str | None, typer.Option(help="A bundled recipe's name, or a .toml file.")]
Data = Annotated[
    Path | None, data_option("Folder of labelled videos, tar shards, or the address of a clips.csv or of shards.")
]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE when not given.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key=value. Repeatable.")]
Where = Annotated[Device | None, typer.Option("--device", help="Where to compute; the best there is when not given.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, as it was begun.")]
Init = Annotated[Path | None, typer.Option(help="A run, checkpoint or bundled name whose weights to begin from.")]
Cv = Annotated[int | None, typer.Option(help="Grouped cross-validation over so many folds.")]
Folds = Annotated[int | None, typer.Option(help="With --fold: hold out one of so many grouped folds.")]
Fold = Annotated[int | None, typer.Option(help="Which fold to hold out, counting from 1.")]
All = Annotated[bool, typer.Option("--all", help="Train on every clip, hold nothing out.")]
Sweep = Annotated[
    list[str] | None, typer.Option(help="Train with each of these values: key=a,b,c. Repeatable: all combinations.")
]
Seeds = Annotated[int | None, typer.Option(min=1, max=100, help="Train each combination with so many seeds.")]
Extra = Annotated[list[Path] | None, data_option("More clips, only ever trained on. Repeatable.")]
Negatives = Annotated[
    list[Path] | None,
    typer.Option(help="Videos without any of the actions, files or folders: background to train on. Repeatable."),
]
Videos = Annotated[
    list[Path] | None,
    data_option("Folder of videos, tar shards, or an address, as of train-distill; labels are ignored. Repeatable."),
]


def add_to(app: typer.Typer) -> None:
    """Add the three commands. Nothing heavy is imported before one runs."""
    app.command("pretrain")(pretrain)
    app.command("train-teacher")(train_teacher)
    app.command("train-distill")(train_distill)


def pretrain(
    recipe: RecipeName = None,
    data: Videos = None,
    out: Out = None,
    set_: Set = None,
    device: Where = None,
    threads: Threads = 1,
    resume: Resume = False,
    force: Force = False,
    json: Json = None,
) -> None:
    """Pre-train a VideoMAE on videos without labels: it learns to say what is behind a mask."""
    from edgevid_train.storage import absolute

    asked = {"command": "pretrain", "data": tuple(absolute(folder) for folder in data or [])}
    _run(recipe, out, set_, asked, device, threads, json, resume=resume, force=force)


@reads_data
def train_teacher(
    recipe: RecipeName = None,
    data: Data = None,
    out: Out = None,
    set_: Set = None,
    device: Where = None,
    threads: Threads = 1,
    resume: Resume = False,
    force: Force = False,
    init: Init = None,
    cv: Cv = None,
    folds: Folds = None,
    fold: Fold = None,
    all_: All = False,
    extra: Extra = None,
    negatives: Negatives = None,
    json: Json = None,
    *,
    options: "ReadOptions",
) -> None:
    """Train a teacher alone on labelled videos; train-distill --teacher takes it."""
    asked = _labelled(data, options, extra, negatives, init, cv, folds, fold, all_=all_)
    asked |= {"command": "train-teacher"}
    _run(recipe, out, set_, asked, device, threads, json, resume=resume, force=force)


@reads_data
def train_distill(
    recipe: RecipeName = None,
    data: Data = None,
    out: Out = None,
    set_: Set = None,
    device: Where = None,
    threads: Threads = 1,
    resume: Resume = False,
    force: Force = False,
    teacher: Annotated[Path | None, typer.Option(help="A teacher's run or checkpoint, not to train one.")] = None,
    init: Init = None,
    cv: Cv = None,
    folds: Folds = None,
    fold: Fold = None,
    all_: All = False,
    extra: Extra = None,
    negatives: Negatives = None,
    sweep: Sweep = None,
    seeds: Seeds = None,
    json: Json = None,
    *,
    options: "ReadOptions",
) -> None:
    """Train a teacher on labelled videos and distil a small streaming student from it.

    Several processes: accelerate launch --multi_gpu --num_processes 4 -m edgevid train-distill, or another training.

    With --sweep or --seeds one run after the other goes into OUT/sweep-…, and one table says which did best.
    """
    asked = _labelled(data, options, extra, negatives, init, cv, folds, fold, all_=all_)
    asked |= {"command": "train-distill", "teacher": teacher and teacher.absolute()}
    _run(recipe, out, set_, asked, device, threads, json, resume=resume, force=force, sweep=sweep or (), seeds=seeds)


def _labelled(
    data: Path | None,
    options: "ReadOptions",
    extra: list[Path] | None,
    negatives: list[Path] | None,
    init: Path | None,
    cv: int | None,
    folds: int | None,
    fold: int | None,
    *,
    all_: bool,
) -> dict[str, Any]:
    """Fields of a `RunRequest` that every training on labelled videos asks for."""
    from edgevid_train.runs.bundled import init_from
    from edgevid_train.storage import absolute

    return {
        **asdict(options),
        "data": data and absolute(data),
        "extra": tuple(absolute(folder) for folder in extra or []),
        "negatives": tuple(place.absolute() for place in negatives or []),
        "init": init and init_from(init),
        "cv": cv,
        "folds": folds,
        "fold": fold,
        "all": all_,
    }


def _run(
    recipe: str | None,
    out: Path | None,
    changes: list[str] | None,
    asked: Mapping[str, Any],
    device: Device | None,
    threads: int,
    json: Path | None,
    *,
    resume: bool,
    force: bool,
    sweep: Sequence[str] = (),
    seeds: int | None = None,
) -> None:
    """`asked`: the fields of a `RunRequest` or a `PretrainRequest`."""
    import cv2
    import torch

    from edgevid.errors import InputError
    from edgevid.files import check_json, write_json
    from edgevid_train.loop import processes
    from edgevid_train.loop.allocator import keep_freed_memory
    from edgevid_train.loop.devices import make_accelerator
    from edgevid_train.loop.interrupt import interruptible
    from edgevid_train.recipe import load_recipe
    from edgevid_train.reporter import LastingConsole, Reporter
    from edgevid_train.runs.pretrain import pretrain
    from edgevid_train.runs.request import PretrainRequest, RunRequest, begun, resumed
    from edgevid_train.runs.sweep.plan import SweepPlan
    from edgevid_train.runs.sweep.run import is_sweep, train_sweep
    from edgevid_train.runs.sweep.table import TABLE
    from edgevid_train.runs.train import train_folds
    from edgevid_train.storage.faults import HOSTS

    keep_freed_memory()
    cv2.setNumThreads(1)  # the loaders are threads already
    report = Reporter(LastingConsole(quiet=not processes.leads()))
    heard = "stopping after this step; press Ctrl-C again to quit at once"
    alone = processes.launched() == 1
    with processes.one_voice(), interruptible(lambda: report.say(heard), alone=alone) as stop:
        if not alone:
            make_accelerator(device, "no")  # they come to know one another
            processes.wait()  # one that left now would leave the others with half a connection
        torch.set_num_threads(threads)
        if json and processes.leads():
            check_json(json, force=force)
        chosen = load_recipe(recipe, changes or []) if recipe is not None else None
        if changes and chosen is None:
            raise InputError("--set changes a recipe; give --recipe too")
        start = resumed if resume else begun
        if sweep or seeds or (resume and out is not None and is_sweep(out)):
            if out is None:
                raise InputError("--sweep and --seeds need --out, the folder for all their runs")
            if not alone:
                raise InputError("--sweep and --seeds: their runs are of one process each")
            if resume:
                plan = SweepPlan.resume(out, recipe, changes or (), sweep, seeds, asked)
            else:
                plan = SweepPlan.begin(recipe, changes or (), sweep, seeds or 1, asked)
            _check_apart(json, out)
            result = train_sweep(plan, out, device=device, resume=resume, force=force, report=report, stop=stop)
            report.say(f"the table is in {out / TABLE}")
        elif asked["command"] == "pretrain":
            masked = start(PretrainRequest, out, chosen, asked)
            _check_apart(json, masked.out)
            result = pretrain(masked, device=device, force=force, report=report, stop=stop)
            report.say(f"begin a teacher from it: edgevid train-teacher --init {masked.out}")
        else:
            labelled = start(RunRequest, out, chosen, asked)
            _check_apart(json, labelled.out)
            result = train_folds(labelled, device=device, force=force, report=report, stop=stop)
            what = "teacher" if asked["command"] == "train-teacher" else "student"
            report.say(f"the {what} is in {labelled.out}")
        if HOSTS.tried_again:
            report.say(f"reads from addresses that were tried again: {HOSTS.tried_again}")
        if json and processes.leads():
            write_json(json, result)


def _check_apart(json: Path | None, out: Path) -> None:
    """Raises InputError where the figures would take the place of the run's folder, or of what it keeps there."""
    from edgevid.errors import InputError
    from edgevid_train.runs.clearing import is_own

    if json and is_own(json, out):
        raise InputError(f"--json {json} is what the run itself writes: name another file")
