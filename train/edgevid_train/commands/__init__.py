"""The commands that training adds to the `edgevid` command line: words -> calls."""

from pathlib import Path
from typing import Annotated

import typer

from edgevid.commands.options import Force, Gate, Hold, Json, Threads, Threshold
from edgevid_train.commands.calibrate import add_to as add_calibrate
from edgevid_train.commands.options import Device, Reading, Split, data_argument, spread_options
from edgevid_train.commands.outputs import check_outputs
from edgevid_train.commands.prepare import add_to as add_prepare
from edgevid_train.commands.review import review
from edgevid_train.commands.streams import Laps, Minutes, Negatives, Seed
from edgevid_train.commands.streams import add_to as add_fit_events
from edgevid_train.commands.training import add_to as add_training
from edgevid_train.synthetic.command import add_to as add_synthesize


def register(app: typer.Typer) -> None:
    """Called once by `edgevid.cli` through the entry-point group `edgevid.commands`; imports nothing heavy."""
    add_training(app)
    app.command("evaluate")(evaluate)
    add_calibrate(app)
    add_fit_events(app)
    data = typer.Typer(no_args_is_help=True, help="Labelled videos: look at them, make them.")
    data.command("stats")(stats)
    data.command("review")(review)
    add_prepare(data)
    add_synthesize(data)
    app.add_typer(data, name="data")


@spread_options
def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A bundled model's name, a model file, or a run or checkpoint of a student or a teacher. A "
            "cross-validated run answers for each clip by the fold that held it out."
        ),
    ],
    data: Annotated[Path, data_argument("Folder of labelled videos.")],
    json: Json = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report: a page, figures and pictures; of streams figures and timelines."),
    ] = None,
    split: Split = None,
    stream: Annotated[bool, typer.Option("--stream", help="Make long streams of the clips; judge events.")] = False,
    negatives: Negatives = None,
    minutes: Minutes = 3.0,
    laps: Laps = 1,
    seed: Seed = 0,
    gate: Gate = True,
    threshold: Threshold = None,
    hold: Hold = None,
    threads: Threads = 1,
    compare: Annotated[str | None, typer.Option(help="A second model for the same clips.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Score the clips in other light, framing, order and rate too.")
    ] = False,
    views: Annotated[int, typer.Option(min=1, max=100, help="Parts of a clip's time whose scores are averaged.")] = 1,
    crops: Annotated[int, typer.Option(help="Crops of the picture whose scores are averaged: 1 or 3.")] = 1,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with mirrored clips, as the recipe's labels say.")
    ] = False,
    device: Annotated[
        Device | None,
        typer.Option(help="Where checkpoints compute; the best there is when not given. Model files do on the CPU."),
    ] = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """How often a model, a student or a teacher is right on labelled clips. A model file is scored as on a device.

    With --stream the clips stand in long streams between gaps, the live path runs over them, and its events are judged;
    --negatives, --minutes, --laps, --seed, --threshold, --hold and --no-gate are for that.
    """
    import cv2

    from edgevid.errors import InputError
    from edgevid.files import write_json
    from edgevid_train.commands.streams import evaluate_streams
    from edgevid_train.evaluate.report import evaluate_model
    from edgevid_train.evaluate.screen import show
    from edgevid_train.evaluate.streams.plan import StreamSettings
    from edgevid_train.evaluate.subjects.views import ViewPlan
    from edgevid_train.reporter import Reporter

    mark, parts = ("report.json", ("stream-*.png",)) if stream else ("index.html", ("report.json", "*.png", "strips"))
    check_outputs(out, mark, parts, json, force=force)
    if crops not in (1, 3):
        raise InputError(f"--crops is 1 or 3, not {crops}")
    plan = ViewPlan(views, crops, flip)
    if stream:
        if compare or robustness:
            raise InputError("--compare and --robustness are not for --stream")
        if plan.most > 1:
            raise InputError("--views, --crops and --flip are not for --stream")
        if device not in (None, "cpu"):
            raise InputError(f"--device {device} is not for --stream, which computes on the CPU")
        evaluate_streams(
            model,
            data,
            reading.options(),
            StreamSettings(minutes=minutes, laps=laps, seed=seed),
            negatives=negatives or [],
            split=split,
            gate=gate,
            threshold=threshold,
            hold=hold,
            threads=threads,
            out=out,
            json=json,
        )
        return
    for name in ("negatives", "minutes", "laps", "seed", "threshold", "hold", "gate"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            said = "--gate and --no-gate are" if name == "gate" else f"--{name} is"
            raise InputError(f"{said} for --stream")
    cv2.setNumThreads(threads)
    console = Reporter()
    report = evaluate_model(
        model,
        data,
        reading.options(),
        split=split,
        threads=threads,
        compare=compare,
        exits=out is not None,
        robustness=robustness,
        views=plan,
        device=device,
        report=console,
    )
    figures = report.to_json()
    if json:
        write_json(json, figures)
    if out:
        from edgevid_train.evaluate.report_page import write_report

        write_report(report, figures, out)
    show(figures)


@spread_options
def stats(
    path: Annotated[Path, data_argument("Folder of labelled videos, or an annotation file.")],
    out: Annotated[Path | None, typer.Option(help="Folder for stats.json, labels.png and videos.png.")] = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Decode every clip: blur, exposure, noise, motion, bit rate.")
    ] = False,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """What is in a data folder: labels, groups, durations, sizes, rates, files that are missing or unreadable.

    An annotation file without its videos will do; what it speaks of is then counted as missing.
    """
    from edgevid.files import write_json
    from edgevid_train.library.stats import look_at, show

    check_outputs(out, "stats.json", ("labels.png", "videos.png"), json, force=force)
    survey = look_at(path, reading.options(), quality=quality)
    found = survey.to_json()
    if out:
        from edgevid_train.library.stats_plots import write_survey

        write_survey(survey, out)
    if json:
        write_json(json, found)
    show(found)
