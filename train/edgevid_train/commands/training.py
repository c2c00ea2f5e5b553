"""`edgevid pretrain`, `train-teacher` and `train-distill`: words -> calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid_train.commands.options import Device, Reading, data_option, spread_options

if TYPE_CHECKING:
    from edgevid_train.recipe import Recipe
    from edgevid_train.reporter import Reporter


@dataclass(frozen=True)
class Run:
    """What every training is told."""

    recipe: Annotated[str | None, typer.Option(help="A bundled recipe's name, or a .toml file.")] = None
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE when not given.")] = None
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key=value. Repeatable.")] = None
    device: Annotated[
        Device | None, typer.Option("--device", help="Where to compute; the best there is when not given.")
    ] = None
    threads: Threads = 1
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, as it was begun.")] = False
    force: Force = False
    json: Json = None


@dataclass(frozen=True)
class Labelled:
    """What every training on labelled videos is told."""

    data: Annotated[
        Path | None, data_option("Folder of labelled videos, tar shards, or the address of a clips.csv or of shards.")
    ] = None
    extra: Annotated[list[Path] | None, data_option("More clips, only ever trained on. Repeatable.")] = None
    negatives: Annotated[
        list[Path] | None,
        typer.Option(help="Videos without any of the actions, files or folders: background to train on. Repeatable."),
    ] = None
    init: Annotated[
        Path | None, typer.Option(help="A run, checkpoint or bundled name whose weights to begin from.")
    ] = None
    cv: Annotated[int | None, typer.Option(help="Grouped cross-validation over so many folds.")] = None
    folds: Annotated[int | None, typer.Option(help="With --fold: hold out one of so many grouped folds.")] = None
    fold: Annotated[int | None, typer.Option(help="Which fold to hold out, counting from 1.")] = None
    all_: Annotated[bool, typer.Option("--all", help="Train on every clip, hold nothing out.")] = False

    def asked(self, reading: Reading) -> dict[str, Any]:
        """Fields of a `RunRequest`."""
        from edgevid_train.runs.bundled import init_from
        from edgevid_train.storage import absolute

        return {
            **asdict(reading.options()),
            "data": self.data and absolute(self.data),
            "extra": tuple(absolute(folder) for folder in self.extra or []),
            "negatives": tuple(place.absolute() for place in self.negatives or []),
            "init": self.init and init_from(self.init),
            "cv": self.cv,
            "folds": self.folds,
            "fold": self.fold,
            "all": self.all_,
        }


Videos = Annotated[
    list[Path] | None,
    data_option("Folder of videos, tar shards, or an address, as of train-distill; labels are ignored. Repeatable."),
]


def add_to(app: typer.Typer) -> None:
    """Add the three commands. Nothing heavy is imported before one runs."""
    app.command("pretrain")(pretrain)
    app.command("train-teacher")(train_teacher)
    app.command("train-distill")(train_distill)


@spread_options
def pretrain(*, run: Run, data: Videos = None) -> None:
    """Pre-train a VideoMAE on videos without labels: it learns to say what is behind a mask."""
    from edgevid_train.storage import absolute

    _train(run, {"command": "pretrain", "data": tuple(absolute(folder) for folder in data or [])})


@spread_options
def train_teacher(*, run: Run, labelled: Labelled, reading: Reading) -> None:
    """Train a teacher alone on labelled videos; train-distill --teacher takes it."""
    _train(run, labelled.asked(reading) | {"command": "train-teacher"})


@spread_options
def train_distill(
    *,
    run: Run,
    labelled: Labelled,
    teacher: Annotated[Path | None, typer.Option(help="A teacher's run or checkpoint, not to train one.")] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(help="Train with each of these values: key=a,b,c. Repeatable: all combinations."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=100, help="Train each combination with so many seeds.")
    ] = None,
    reading: Reading,
) -> None:
    """Train a teacher on labelled videos and distil a small streaming student from it.

    Several processes: accelerate launch --multi_gpu --num_processes 4 -m edgevid train-distill, or another training.

    With --sweep or --seeds one run after the other goes into OUT/sweep-…, and one table says which did best.
    """
    asked = labelled.asked(reading) | {"command": "train-distill", "teacher": teacher and teacher.absolute()}
    _train(run, asked, sweep or (), seeds)


def _train(run: Run, asked: Mapping[str, Any], sweep: Sequence[str] = (), seeds: int | None = None) -> None:
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
    from edgevid_train.runs.sweep.run import is_sweep
    from edgevid_train.storage.faults import HOSTS

    keep_freed_memory()
    cv2.setNumThreads(1)  # the loaders are threads already
    report = Reporter(LastingConsole(quiet=not processes.leads()))
    heard = "stopping after this step; press Ctrl-C again to quit at once"
    alone = processes.launched() == 1
    with processes.one_voice(), interruptible(lambda: report.say(heard), alone=alone) as stop:
        if not alone:
            make_accelerator(run.device, "no")  # they come to know one another
            processes.wait()  # one that left now would leave the others with half a connection
        torch.set_num_threads(run.threads)
        if run.json and processes.leads():
            check_json(run.json, force=run.force)
        recipe = load_recipe(run.recipe, run.set_ or []) if run.recipe is not None else None
        if run.set_ and recipe is None:
            raise InputError("--set changes a recipe; give --recipe too")
        if sweep or seeds or (run.resume and run.out is not None and is_sweep(run.out)):
            result = _sweep(run, asked, sweep, seeds, report, stop)
        else:
            result = _train_one(run, recipe, asked, report, stop)
        if HOSTS.tried_again:
            report.say(f"reads from addresses that were tried again: {HOSTS.tried_again}")
        if run.json and processes.leads():
            write_json(run.json, result)


def _train_one(
    run: Run, recipe: "Recipe | None", asked: Mapping[str, Any], report: "Reporter", stop: Callable[[], bool]
) -> dict[str, Any]:
    from edgevid_train.runs.pretrain import pretrain
    from edgevid_train.runs.request import PretrainRequest, RunRequest, begun, resumed
    from edgevid_train.runs.train import train_folds

    start = resumed if run.resume else begun
    if asked["command"] == "pretrain":
        masked = start(PretrainRequest, run.out, recipe, asked)
        _check_apart(run.json, masked.out)
        result = pretrain(masked, device=run.device, force=run.force, report=report, stop=stop)
        report.say(f"begin a teacher from it: edgevid train-teacher --init {masked.out}")
        return result
    labelled = start(RunRequest, run.out, recipe, asked)
    _check_apart(run.json, labelled.out)
    result = train_folds(labelled, device=run.device, force=run.force, report=report, stop=stop)
    what = "teacher" if asked["command"] == "train-teacher" else "student"
    report.say(f"the {what} is in {labelled.out}")
    return result


def _sweep(
    run: Run,
    asked: Mapping[str, Any],
    sweep: Sequence[str],
    seeds: int | None,
    report: "Reporter",
    stop: Callable[[], bool],
) -> dict[str, Any]:
    from edgevid.errors import InputError
    from edgevid_train.loop import processes
    from edgevid_train.runs.sweep.plan import SweepPlan
    from edgevid_train.runs.sweep.run import train_sweep
    from edgevid_train.runs.sweep.table import TABLE

    out, changes = run.out, run.set_ or ()
    if out is None:
        raise InputError("--sweep and --seeds need --out, the folder for all their runs")
    if processes.launched() > 1:
        raise InputError("--sweep and --seeds: their runs are of one process each")
    if run.resume:
        plan = SweepPlan.resume(out, run.recipe, changes, sweep, seeds, asked)
    else:
        plan = SweepPlan.begin(run.recipe, changes, sweep, seeds or 1, asked)
    _check_apart(run.json, out)
    result = train_sweep(plan, out, device=run.device, resume=run.resume, force=run.force, report=report, stop=stop)
    report.say(f"the table is in {out / TABLE}")
    return result


def _check_apart(json: Path | None, out: Path) -> None:
    """Raises InputError where the figures would take the place of the run's folder, or of what it keeps there."""
    from edgevid.errors import InputError
    from edgevid_train.runs.clearing import is_own

    if json and is_own(json, out):
        raise InputError(f"--json {json} is what the run itself writes: name another file")
