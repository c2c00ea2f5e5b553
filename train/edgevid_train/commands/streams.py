"""`edgevid evaluate --stream` and `edgevid fit-events` as words on the command line -> calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevid.commands.options import Force, Gate, Hold, Json, Threads, Threshold
from edgevid_train.commands.options import Reading, Split, data_argument, data_option, spread_options

if TYPE_CHECKING:
    from edgevid_train.annotations import ReadOptions
    from edgevid_train.evaluate.streams.plan import StreamSettings

Negatives = Annotated[
    list[Path] | None,
    data_option("Video without any action: a file, or a folder. Repeatable."),
]
Minutes = Annotated[float, typer.Option(help="About how long each stream is.")]
Laps = Annotated[int, typer.Option(min=1, max=100, help="How often each clip is shown, between other gaps.")]
Seed = Annotated[int, typer.Option(min=0, help="Order of the clips, and what stands between them.")]


def add_to(app: typer.Typer) -> None:
    """Add the `fit-events` command. Nothing heavy is imported before it runs."""
    app.command("fit-events")(fit_events)


def evaluate_streams(
    model: str,
    data: Path,
    options: "ReadOptions",
    settings: "StreamSettings",
    *,
    negatives: list[Path],
    split: str | None,
    gate: bool,
    threshold: str | None,
    hold: str | None,
    threads: int,
    out: Path | None,
    json: Path | None,
) -> None:
    """What `edgevid evaluate --stream` does once its words are understood."""
    import cv2

    from edgevid.files import write_json
    from edgevid_train.evaluate.streams.evaluate import prepare
    from edgevid_train.evaluate.streams.report import show, write_report
    from edgevid_train.reporter import Reporter

    cv2.setNumThreads(threads)
    report = Reporter()
    trial = prepare(
        model,
        data,
        options,
        settings,
        negatives=negatives,
        split=split,
        gate=gate,
        threshold=threshold,
        hold=hold,
        threads=threads,
        report=report,
    )
    found = trial.run(report)
    if out:
        write_report(found, out)
    if json:
        write_json(json, found.to_json())
    show(found, report)


@spread_options
def fit_events(
    model: Annotated[str, typer.Argument(help="A bundled model's name, or a model file.")],
    data: Annotated[Path, data_argument("Labelled videos that the model has never seen.")],
    out: Annotated[Path, typer.Option(help="The model file to write, with the fitted rule.")],
    negatives: Negatives = None,
    split: Split = None,
    minutes: Minutes = 3.0,
    laps: Laps = 1,
    seed: Seed = 0,
    gate: Gate = True,
    threshold: Threshold = None,
    hold: Hold = None,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Choose the numbers of the event rule on streams made of validation clips, and write the model again with them.

    What they are chosen on cannot tell how good they are: `evaluate --stream` on other clips and negatives does. With
    --threshold or --hold these go into the file too: the model then saves work, and no promise stands behind it.
    """
    import cv2

    from edgevid.errors import CheckFailedError
    from edgevid.files import check_files, write_json
    from edgevid_train.evaluate.streams.evaluate import prepare
    from edgevid_train.evaluate.streams.fit_events import check_model_file, fit_trial, show, write_fitted
    from edgevid_train.evaluate.streams.plan import StreamSettings
    from edgevid_train.reporter import Reporter

    check_files(out, json, force=force)
    check_model_file(model)
    cv2.setNumThreads(threads)
    report = Reporter()
    settings = StreamSettings(minutes=minutes, laps=laps, seed=seed)
    trial = prepare(
        model,
        data,
        reading.options(),
        settings,
        negatives=negatives or [],
        split=split,
        gate=gate,
        threshold=threshold,
        hold=hold,
        threads=threads,
        unseen=True,
        report=report,
    )
    fitted = fit_trial(trial, report)
    if not fitted.figures.counts.matched:
        raise CheckFailedError(
            f"{model}: under none of the {fitted.tried} rules an action is found; nothing was written"
        )
    written = write_fitted(model, fitted, out, force=force)
    if json:
        write_json(
            json, {"model": model, "data": str(data), "file": str(out), "written": written.id} | fitted.to_json()
        )
    show(fitted, report)
    report.say(f"wrote {out}: {written.id}")
