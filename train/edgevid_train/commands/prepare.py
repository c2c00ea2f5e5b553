"""`edgevid data index`, `data prepare` and `data shards`: words -> calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevid.commands.options import Force, Json, Threads
from edgevid_train.commands.options import Reading, data_argument, spread_options
from edgevid_train.commands.outputs import check_outside

if TYPE_CHECKING:
    from edgevid_train.annotations import ReadOptions


def add_to(data_app: typer.Typer) -> None:
    data_app.command("index")(index)
    data_app.command("prepare")(prepare)
    data_app.command("shards")(shards)


def index(
    path: Annotated[Path, data_argument("A folder of videos, or one video.")],
    decode: Annotated[bool, typer.Option("--decode", help="Also decode every frame once; training then need not.")] = (
        False
    ),
    cache: Annotated[
        Path | None, typer.Option(help="Cache folder; otherwise $EDGEVID_CACHE, or edgevid in the user's own.")
    ] = None,
    json: Json = None,
    force: Force = False,
) -> None:
    """Keep presentation times and keyframes of every video, so that training need not decode from the start.

    A file that cannot be read is named; the exit status is then 2.
    """
    from edgevid.errors import InputError
    from edgevid.files import check_json, write_json
    from edgevid_train.decode import IndexStore
    from edgevid_train.library.indexing import index_videos, videos_in
    from edgevid_train.reporter import Reporter

    if json:
        check_json(json, force=force)
    report, files = Reporter(), videos_in(path)
    with report.bar("indexing", len(files)) as advance:
        found = index_videos(files, IndexStore(cache), decode=decode, on_file=lambda: advance(""))
    report.say(
        f"{found.files} files, {found.built} of them indexed now: {found.frames} frames, {found.keyframes} keyframes, "
        f"{found.seconds / 60:.1f} minutes; {found.decoded} frames are known to decode"
    )
    for file in found.from_start:
        report.say(f"decoded only from its start: {file}")
    for entry in found.unreadable:
        report.say(f"unreadable: {entry['file']}: {entry['reason']}")
    if json:
        write_json(json, found.to_json())
    if found.unreadable:
        raise typer.Exit(InputError.exit_status)


@spread_options
def prepare(
    data: Annotated[Path, data_argument("Folder of labelled videos, or an annotation file.")],
    out: Annotated[Path, typer.Option(help="The new data folder.")],
    short_side: Annotated[int, typer.Option(min=16, max=4320, help="At most so many pixels on the short side.")] = 240,
    keyframes: Annotated[int, typer.Option(min=1, max=1000, help="A keyframe at least every so many frames.")] = 12,
    crf: Annotated[int, typer.Option(min=0, max=51, help="x264's quality; less is better and larger.")] = 20,
    from_frames: Annotated[bool, typer.Option("--from-frames", help="Make videos of folders of images.")] = False,
    rate: Annotated[float | None, typer.Option(help="Images a second, for --from-frames.")] = None,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Re-encode a data set small and quick to seek in, with a clips.csv that matches; call it again to go on.

    A video that cannot be decoded to its end or written is named in ledger.csv and left out; the exit status is then 2.
    """
    import math

    from edgevid.errors import InputError
    from edgevid.files import write_json
    from edgevid_train.annotations import read_data
    from edgevid_train.library.prepare import Encoding, begun, image_folders
    from edgevid_train.library.prepare import prepare as run
    from edgevid_train.loop.interrupt import StoppedError
    from edgevid_train.reporter import Reporter

    check_outside(json, out, force=force)
    if from_frames != (rate is not None):
        raise InputError("--from-frames needs --rate, how many images make a second, and --rate is for it alone")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError(f"--rate {rate}: above 0")
    report, options = Reporter(), reading.options()
    if rate is not None:
        _refuse_reading(options)
    records = read_data(data, options, report.say) if rate is None else image_folders(data, rate, report.say)
    encoding = Encoding(short_side, keyframes, crf, threads)
    try:
        with (
            begun(out, data, records, encoding, force=force, say=report.say),
            report.bar("re-encoding", len({record.file for record in records})) as advance,
        ):
            found = run(records, out, encoding, advance)
    except KeyboardInterrupt:
        again = " without --force" if force else ""
        raise StoppedError(f"stopped; what is made is kept, and the same command{again} goes on") from None
    report.say(
        f"{out}: {len(found.records)} clips in {found.written + found.kept} videos, "
        f"{found.kept} of them made before; {found.lost_frames} frames could not be decoded"
    )
    for record, reason in found.ledger.reasons.items():
        report.say(f"left out: {record.id}: {reason}")
    if json:
        skipped = [{"clip": record.id, "reason": reason} for record, reason in found.ledger.reasons.items()]
        figures = {"clips": len(found.records), "written": found.written, "kept": found.kept}
        write_json(json, figures | {"lost_frames": found.lost_frames, "skipped": skipped})
    if found.ledger.reasons:
        raise typer.Exit(InputError.exit_status)


@spread_options
def shards(
    data: Annotated[Path, data_argument("Folder of labelled videos, an annotation file, or its address.")],
    out: Annotated[Path, typer.Option(help="The new folder of tar shards.")],
    size: Annotated[str, typer.Option(help="Of a shard, about: 200MB, 1GB.")] = "200MB",
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the videos.")] = 0,
    json: Json = None,
    force: Force = False,
    *,
    reading: Reading,
) -> None:
    """Put the videos of a data set, as they are, into tar shards with their labels (WebDataset's layout).

    A video that is not there is named in ledger.csv and left out; the exit status is then 2.
    """
    from edgevid.errors import InputError
    from edgevid.files import check_folder, write_json
    from edgevid_train.annotations import read_data
    from edgevid_train.ledger import LEDGER
    from edgevid_train.library.shards import parse_size, write_shards
    from edgevid_train.reporter import Reporter

    check_folder(out, LEDGER, ("*.tar",), force=force)
    check_outside(json, out, force=force)
    most, report = parse_size(size), Reporter()
    records = read_data(data, reading.options(), report.say)
    with report.bar("writing shards", len({record.file for record in records})) as advance:
        found = write_shards(records, out, most, seed, lambda: advance(""))
    report.say(
        f"{out}: {found.clips} clips of {found.videos} videos in {len(found.shards)} shards, {found.size / 1e6:.1f} MB"
    )
    for record, reason in found.ledger.reasons.items():
        report.say(f"left out: {record.id}: {reason}")
    if json:
        skipped = [{"clip": record.id, "reason": reason} for record, reason in found.ledger.reasons.items()]
        figures = {"clips": found.clips, "videos": found.videos, "shards": found.shards, "bytes": found.size}
        write_json(json, figures | {"skipped": skipped})
    if found.ledger.reasons:
        raise typer.Exit(InputError.exit_status)


def _refuse_reading(options: "ReadOptions") -> None:
    """Raises InputError where it is said how to read what --from-frames does not read."""
    from dataclasses import asdict

    from edgevid.errors import InputError

    for name, value in asdict(options).items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} is not for --from-frames")
