"""The commands that training adds to the `edgevid` command line: words -> calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgevid_train.synthetic.command import add_to as add_synthesize

if TYPE_CHECKING:
    from edgevid_train.annotations import ReadOptions

Device = Literal["cpu", "cuda", "mps"]
Format = Annotated[
    str | None, typer.Option("--format", help="Layout of the data: clips, folders or names; found out when not given.")
]
Group = Annotated[str | None, typer.Option(help="Column of clips.csv that says what must not be split.")]
LabelPattern = Annotated[str | None, typer.Option(help="Regular expression that finds the label in a file's name.")]
Classes = Annotated[str | None, typer.Option(help="Labels to keep, in this order: a,b,c.")]
Threads = Annotated[int, typer.Option(min=1, max=256, help="Threads of the network's arithmetic.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]


def register(app: typer.Typer) -> None:
    """Called once by `edgevid.cli` through the entry-point group `edgevid.commands`; imports nothing heavy."""
    app.command("train-distill")(train_distill)
    app.command("evaluate")(evaluate)
    data = typer.Typer(no_args_is_help=True, help="Labelled videos: look at them, make them.")
    data.command("stats")(stats)
    add_synthesize(data)
    app.add_typer(data, name="data")


def train_distill(
    recipe: Annotated[str | None, typer.Option(help="A bundled recipe's name, or a .toml file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of labelled videos; the recipe may name one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE when not given.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key=value. Repeatable.")] = None,
    device: Annotated[Device | None, typer.Option(help="Where to compute; the best there is when not given.")] = None,
    threads: Threads = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, as it was begun.")] = False,
    force: Force = False,
    teacher: Annotated[Path | None, typer.Option(help="A teacher's checkpoint, instead of training one.")] = None,
    init: Annotated[Path | None, typer.Option(help="A run or checkpoint whose weights to begin from.")] = None,
    cv: Annotated[int | None, typer.Option(help="Grouped cross-validation over so many folds.")] = None,
    folds: Annotated[int | None, typer.Option(help="With --fold: hold out one of so many grouped folds.")] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold to hold out, counting from 1.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Train on every clip, hold nothing out.")] = False,
    extra: Annotated[list[Path] | None, typer.Option(help="More clips, only ever trained on. Repeatable.")] = None,
    format_: Format = None,
    group: Group = None,
    label_pattern: LabelPattern = None,
    classes: Classes = None,
    json: Json = None,
) -> None:
    """Train a teacher on labelled videos and distil a small streaming student from it."""
    import cv2
    import torch
    from rich.console import Console

    from edgevid.errors import InputError
    from edgevid.files import check_output, write_json
    from edgevid_train.allocator import keep_freed_memory
    from edgevid_train.interrupt import interruptible
    from edgevid_train.progress import Reporter
    from edgevid_train.recipe import load_recipe
    from edgevid_train.request import begun, resumed
    from edgevid_train.run import train_distill as run_it

    keep_freed_memory()
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # the loaders are threads already
    if json:
        check_output(json, force=force)
    chosen = load_recipe(recipe, set_ or []) if recipe is not None else None
    if set_ and chosen is None:
        raise InputError("--set changes a recipe; give --recipe too")
    asked = {
        "data": data and data.absolute(),
        "format": format_,
        "group": group,
        "label_pattern": label_pattern,
        "classes": names_in(classes, "--classes"),
        "extra": tuple(folder.absolute() for folder in extra or []),
        "teacher": teacher and teacher.absolute(),
        "init": init and init.absolute(),
        "cv": cv,
        "folds": folds,
        "fold": fold,
        "all": all_,
    }
    start = resumed(out, chosen, asked) if resume else begun(out, chosen, asked)
    report = Reporter(Console())
    heard = "stopping after this step; press Ctrl-C again to quit at once"
    with interruptible(lambda: report.say(heard)) as stop:
        result = run_it(start, device=device, force=force, report=report, stop=stop)
    report.say(f"the student is in {start.out}")
    if json:
        write_json(json, result)


def evaluate(
    model: Annotated[str, typer.Argument(help="A bundled model's name, a model file, or a student's checkpoint.")],
    data: Annotated[Path, typer.Argument(help="Folder of labelled videos.")],
    json: Json = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report: report.json, confusion.png.")] = None,
    split: Annotated[str | None, typer.Option(help="Only clips of this split: train, val or test.")] = None,
    threads: Threads = 1,
    format_: Format = None,
    group: Group = None,
    label_pattern: LabelPattern = None,
    classes: Classes = None,
    force: Force = False,
) -> None:
    """How often a model is right on labelled clips, scored as on a device."""
    from edgevid.files import check_output, write_json
    from edgevid_train.evaluate.report import evaluate_model, show, write_report

    for path in (json, out):
        if path:
            check_output(path, force=force)
    options = _options(format_, group, label_pattern, classes)
    report = evaluate_model(model, data, options, split=split, threads=threads)
    show(report)
    if out:
        write_report(report, out)
    if json:
        write_json(json, report.to_json())


def stats(
    path: Annotated[Path, typer.Argument(help="Folder of labelled videos, or an annotation file.")],
    format_: Format = None,
    group: Group = None,
    label_pattern: LabelPattern = None,
    classes: Classes = None,
    json: Json = None,
    force: Force = False,
) -> None:
    """What is in a data folder: labels, groups, durations, sizes, rates, files that are missing or unreadable."""
    from edgevid.files import check_output, write_json
    from edgevid_train.stats import look_at, show

    if json:
        check_output(json, force=force)
    found = look_at(path, _options(format_, group, label_pattern, classes))
    show(found)
    if json:
        write_json(json, found)


def names_in(text: str | None, option: str) -> tuple[str, ...] | None:
    """`a,b,c`. Raises InputError when a name is empty or occurs twice."""
    from edgevid.errors import InputError

    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"{option} {text!r}: expected names, each once, with commas between")
    return names


def _options(format_: str | None, group: str | None, label_pattern: str | None, classes: str | None) -> "ReadOptions":
    from edgevid_train.annotations import ReadOptions

    return ReadOptions(format_, group, label_pattern, names_in(classes, "--classes"))
