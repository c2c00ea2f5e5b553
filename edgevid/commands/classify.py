"""`edgevid classify`: which action a short clip shows."""

from typing import TYPE_CHECKING, Any

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid.commands.warn import warn
from edgevid.errors import one_line
from edgevid.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgevid.manifest import Manifest
    from edgevid.recognise import FileScores

_NOTHING = "(nothing)"


def register(app: typer.Typer) -> None:
    """Add `classify` to the command line."""
    app.command()(classify)


def classify(
    files: list[str] = typer.Argument(help="Video files, each a short clip of one action.", metavar="FILE..."),
    model: str = typer.Option(DEFAULT_MODEL, help="A bundled model's name, or a file."),
    top: int = typer.Option(5, min=1, help="How many labels to show for each file."),
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
) -> None:
    """The most likely labels of short clips, scored as a live stream would be.

    A model of labels that do not exclude one another predicts each that is at least 0.5 likely, perhaps none.
    A file that cannot be read is named and skipped; the exit status is then 2.
    """
    import cv2

    from edgevid.errors import InputError
    from edgevid.files import check_json, write_json
    from edgevid.models.load import load
    from edgevid.recognise import score_file

    if json:
        check_json(json, force=force)
    cv2.setNumThreads(threads)
    network = load(model, threads=threads)
    predictions: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    interrupted = False
    for file in files:
        try:
            scored = score_file(file, network, threads=threads)
        except InputError as error:
            warn(str(error))
            skipped.append({"file": file, "reason": str(error)})
            continue
        except KeyboardInterrupt:  # what is done already is told all the same
            interrupted = True
            break
        for note in _notes(scored):
            warn(f"{file}: {note}")
        predictions.append(_prediction(file, scored, network.manifest))
    if json:
        told = {"model": network.manifest.id, "threads": threads, "interrupted": interrupted}
        write_json(json, told | {"predictions": predictions, "skipped": skipped})
    _show(predictions, top)
    if interrupted:
        raise KeyboardInterrupt
    if skipped:
        raise typer.Exit(InputError.exit_status)


def _notes(scored: "FileScores") -> list[str]:
    """What a person should know about a file that was scored all the same."""
    lost = scored.source.undecodable
    notes = [f"{lost} of its pictures could not be decoded; scored the others"] if lost else []
    return [*notes, f"{scored.fault}; scored what comes before"] if scored.fault else notes


def _prediction(file: str, scored: "FileScores", manifest: "Manifest") -> dict[str, Any]:
    """What is written about one file; labels in the order of their scores."""
    from edgevid.models.scores import LIKELY

    clip, counts = scored.scores.clip, scored.counts
    order = clip.argsort()[::-1]
    predicted: str | list[str] = manifest.labels[order[0]]
    if manifest.activation == "sigmoid":
        predicted = [manifest.labels[i] for i in order if clip[i] >= LIKELY]
    return {
        "file": file,
        "predicted": predicted,
        "scores": {manifest.labels[i]: round(float(clip[i]), 6) for i in order},
        "frames": {
            "captured": counts.captured,
            "unsampled": counts.unsampled,
            "computed": counts.computed,
            "repeated": counts.repeated,
            "undecodable": scored.source.undecodable,
        },
        "fault": scored.fault,
    }


def _show(predictions: list[dict[str, Any]], top: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    if not predictions:
        return
    file = Column("file", overflow="fold")
    label = Column("label", overflow="fold")
    table = Table(file, label, Column("score", justify="right", no_wrap=True), "then", box=SIMPLE_HEAD, pad_edge=False)
    for prediction in predictions:
        scores, predicted = prediction["scores"], prediction["predicted"]
        named = (predicted if isinstance(predicted, list) else [predicted])[:top] or [_NOTHING]
        said = [f"{scores[label]:.2f}" if label in scores else "" for label in named]
        others = [label for label in list(scores)[:top] if label not in named]
        then = ", ".join(f"{label} {scores[label]:.2f}" for label in others)
        file_name, labels = one_line(prediction["file"]), "\n".join(map(one_line, named))
        table.add_row(Text(file_name), Text(labels, style="bold"), "\n".join(said), Text(one_line(then), style="dim"))
    Console().print(table)
