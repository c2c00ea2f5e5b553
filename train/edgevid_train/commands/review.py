"""`edgevid data review`: words -> calls."""

from pathlib import Path
from typing import Annotated

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid_train.commands.options import Reading, data_argument, spread_options
from edgevid_train.commands.outputs import check_outputs


@spread_options
def review(
    path: Annotated[Path, data_argument("Folder of labelled videos, or an annotation file.")],
    out: Annotated[Path, typer.Option(help="Folder for the page: index.html and its pictures.")],
    model: Annotated[
        str | None, typer.Option(help="Show first what this model, or cross-validated run, takes for another label.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Clips of each label that are shown.")] = 60,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """A page with a strip of every clip, by label, on which wrong labels and bad pictures are seen at once."""
    import cv2

    from edgevid.files import replacing, write_json
    from edgevid_train.reporter import Reporter
    from edgevid_train.review.page import write_page
    from edgevid_train.review.review import look_through

    check_outputs(out, "index.html", ("review.json", "strips"), json, force=force)
    cv2.setNumThreads(threads)
    report, options = Reporter(), reading.options()
    with replacing(out) as temporary:
        found = look_through(path, options, temporary, report, most=most, model=model, threads=threads)
        figures = found.to_json()
        write_page(found, figures, temporary)
    if json:
        write_json(json, figures)
    faulty = sum(bool(clip.quality.faults) for clip in found.clips)
    report.say(f"{len(found.clips)} clips of {len(found.counts)} labels, {faulty} with a picture to look at")
    if model is not None:
        report.say(f"{found.model} takes {sum(clip.doubted > 0 for clip in found.clips)} of them for another label")
    for record, reason in found.unreadable.reasons.items():
        report.say(f"unreadable: {record.id}: {reason}")
    report.say(f"look at {out / 'index.html'}")
