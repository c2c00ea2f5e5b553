"""`edgevid calibrate` as words on the command line -> calls."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid_train.commands.options import Reading, Split, data_argument, spread_options


def add_to(app: typer.Typer) -> None:
    """Add the `calibrate` command. Nothing heavy is imported before it runs."""
    app.command()(calibrate)


@spread_options
def calibrate(
    model: Annotated[str, typer.Argument(help="A bundled model's name, or the file of a stream model.")],
    data: Annotated[Path, data_argument("Labelled videos that the model has never seen.")],
    out: Annotated[Path, typer.Option(help="The model file to write, with thresholds and the promise.")],
    risk: Annotated[float, typer.Option(help="Share that may be lost: whole network right, cascade wrong.")] = 0.02,
    confidence: Annotated[float, typer.Option(help="How surely no more than that is lost.")] = 0.95,
    unit: Annotated[
        Literal["recording", "event"],
        typer.Option(help="What counts: files by the label of each clip, or labelled clips by the events found."),
    ] = "recording",
    split: Split = None,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Choose exit thresholds that, with the stated confidence, give up at most the stated risk.

    Refuses (2) when there is too little data for the promise. Exit status 1, and no model written, when even the most
    careful thresholds lose too much.
    """
    import cv2

    from edgevid.errors import CheckFailedError
    from edgevid.files import check_files, write_json
    from edgevid_train.calibration.calibrate import calibrate as run
    from edgevid_train.calibration.calibrate import write_calibrated
    from edgevid_train.calibration.report import failure, show
    from edgevid_train.calibration.risk import Promise
    from edgevid_train.reporter import Reporter

    promise = Promise(risk, confidence)
    check_files(out, json, force=force)
    cv2.setNumThreads(threads)
    report = Reporter()
    result = run(model, data, reading.options(), promise, unit=unit, split=split, threads=threads, report=report)
    written = None if result.chosen is None else write_calibrated(model, result, out, force=force)
    if json:
        file = {"file": None, "calibrated": None} if written is None else {"file": str(out), "calibrated": written.id}
        write_json(json, result.to_json() | file)
    show(result, report)
    if written is None:
        raise CheckFailedError(failure(result))
    report.say(f"wrote {out}: {written.id}")
