"""`edgevid detect`: the events of recorded video, by the same path as live, as fast as it goes."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevid.commands.options import Force, Gate, Hold, Json, Threads, Threshold
from edgevid.commands.rule import CooldownS, MinS, Off, On, overridden
from edgevid.commands.warn import warn, warned
from edgevid.errors import one_line
from edgevid.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgevid.pipeline import Pipeline
    from edgevid.sinks.collected import Collected
    from edgevid.sinks.queued import QueuedSink


def register(app: typer.Typer) -> None:
    """Add `detect` to the command line."""
    app.command()(detect)


def detect(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Video files.")],
    model: Annotated[str, typer.Option(help="A bundled model's name, or a file.")] = DEFAULT_MODEL,
    events: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write events as JSON lines.")] = None,
    gate: Gate = True,
    threshold: Threshold = None,
    hold: Hold = None,
    on: On = None,
    off: Off = None,
    min_s: MinS = None,
    cooldown_s: CooldownS = None,
    threads: Threads = 1,
    json: Json = None,
    force: Force = False,
) -> None:
    """The actions in recorded video, each with its start and end. Every sampled frame counts.

    A file that cannot be read is named and skipped; the exit status is then 2.
    """
    import cv2

    from edgevid.cascade import saving
    from edgevid.errors import EdgevidError, InputError
    from edgevid.files import check_different, check_json, is_folder, write_json
    from edgevid.live import run
    from edgevid.models.load import load
    from edgevid.pipeline import Options, Pipeline
    from edgevid.sinks.collected import Collected
    from edgevid.sinks.contract import Sink
    from edgevid.sinks.jsonl import JsonLines
    from edgevid.sinks.queued import GIVE_UP_S, QueuedSink
    from edgevid.sources import open_source

    check_different(events, json)
    if json:
        check_json(json, force=force)
    cv2.setNumThreads(threads)
    network = saving(load(model, threads=threads), threshold, hold, gate=gate)
    rule = overridden(network.manifest.events, on, off, min_s, cooldown_s)
    options = Options(every_frame=True, paced=False, rule=rule, gate=gate, only_sampled=True)
    if events:
        JsonLines.check(events, sources=tuple(files), force=force)
    done: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    interrupted = False
    failed: EdgevidError | None = None
    queue: QueuedSink | None = None

    def close() -> None:
        if queue:
            queue.close(GIVE_UP_S if interrupted else None)

    with contextlib.ExitStack() as at_end:
        at_end.callback(close)
        for file in files:
            collected = Collected()
            try:
                if is_folder(file):
                    raise InputError(f"{file} is a folder, not a video file")
                with open_source(file, pace="fast", threads=threads) as source:
                    if events and queue is None:  # only now: where nothing can be seen, nothing is emptied
                        queue = QueuedSink(JsonLines.open(events), f"events to {events}")
                    sinks: list[Sink] = [collected, queue] if queue else [collected]
                    pipeline = Pipeline(source, network, options, sinks)
                    with _watched(pipeline, queue, shown=_progress_is_seen(events)) as watch:
                        interrupted = run(pipeline, every=watch)
            except InputError as error:
                warn(str(error))
                skipped.append({"file": file, "reason": str(error)})
                continue
            except EdgevidError as error:  # the model's: the next file would tell the same
                failed = error
                skipped.append({"file": file, "reason": str(error)})
                break
            except KeyboardInterrupt:  # between two runs: what is done already is told all the same
                interrupted = True
                break
            for note in _notes(pipeline):
                warn(f"{file}: {note}")
            done.append(_result(file, pipeline, collected))
            if interrupted or (queue and queue.error):
                break
    if json:
        stopped = interrupted or (queue is not None and queue.error is not None)
        told = {"model": network.manifest.id, "threads": threads, "interrupted": stopped}
        write_json(json, told | {"files": done, "skipped": skipped})
    _show(done, to_stderr=events == "-")
    if queue and (interrupted or failed):
        with warned():
            queue.check()
    if interrupted:
        raise KeyboardInterrupt
    if failed:
        raise failed
    if queue:
        queue.check()
    if skipped:
        raise typer.Exit(InputError.exit_status)


@contextlib.contextmanager
def _watched(pipeline: "Pipeline", queue: "QueuedSink | None", *, shown: bool) -> Iterator[Callable[[], bool]]:
    """To be asked many times a second: says how far the file is, where someone looks on; gives whether to go on.

    At the end that line is taken back: what is said next has one of its own.
    """
    duration_s = pipeline.source.info.duration_s

    def watch() -> bool:
        if shown:
            time_s = pipeline.time_s
            share = f" {min(1.0, time_s / duration_s):4.0%}" if duration_s else ""
            line = _progress(pipeline.source.info.name, f"{share}, {time_s:.0f} s seen", _columns())
            typer.echo(f"\r\x1b[K{line}", err=True, nl=False)
        return queue is None or queue.error is None

    try:
        yield watch
    finally:
        if shown:
            with contextlib.suppress(OSError):  # there may be no terminal any more
                typer.echo("\r\x1b[K", err=True, nl=False)


def _progress_is_seen(events: str | None) -> bool:
    """Not where the events stand in the same terminal: it would stand in the middle of theirs."""
    return sys.stderr.isatty() and not (events == "-" and sys.stdout.isatty())


def _columns() -> int:
    """Of the terminal that standard error is, now: it may have been made narrower."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _progress(name: str, seen: str, columns: int) -> str:
    """One line that leaves the last column free, for one that is full cannot be taken back: the name's end, and `seen`.

    Of a long name its end is what tells it from others.
    """
    from rich.cells import cell_len, set_cell_size

    name = one_line(name)
    room = max(0, columns - 1 - cell_len(seen))
    if cell_len(name) > room:
        name = name[-room:]
        while name and cell_len(name) > room - 1:
            name = name[1:]
        name = f"…{name}" if room else ""
    line = name + seen
    return line if cell_len(line) < columns else set_cell_size(line, max(0, columns - 1))


def _notes(pipeline: "Pipeline") -> list[str]:
    """What a person should know about a file that was processed all the same."""
    lost, fault = pipeline.source.counts.undecodable, pipeline.source.fault
    notes = [f"{lost} of its pictures could not be decoded; saw the others"] if lost else []
    return [*notes, f"{fault}; saw what comes before"] if fault else notes


def _result(file: str, pipeline: "Pipeline", collected: "Collected") -> dict[str, Any]:
    """What is written about one file."""
    measured = pipeline.metrics()
    return {
        "file": file,
        "seconds": round(pipeline.time_s, 3),
        "events": [event.to_dict() for event in collected.events],
        "events_left_out": collected.left_out,
        "frames": measured["frames"],
        "input": measured["input"],
        "exits": measured["exits"],
        "held": measured["held"],
        "rested": measured["rested"],
        "gaps": measured["gaps"],
        "state_resets": measured["state_resets"],
        "took_s": measured["seconds"],
        "fault": pipeline.source.fault,
    }


def _show(done: list[dict[str, Any]], *, to_stderr: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console(stderr=to_stderr)
    for result in done:
        seconds, took_s = result["seconds"], result["took_s"]
        frames = result["frames"]
        figures = f"{seconds:.1f} s of video in {took_s:.1f} s, {frames['computed']} frames computed"
        if frames["gated"]:
            figures += f", {frames['gated']} gated"
        if result["gaps"]:
            figures += f", {result['gaps']} gap{'s' * (result['gaps'] != 1)}"
        console.print(Text.assemble((one_line(result["file"]), "bold"), f"  {figures}"), soft_wrap=True)
        table = Table(
            Column("event", overflow="fold"),
            *(Column(name, justify="right", no_wrap=True) for name in ("start", "end", "score")),
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for event in result["events"]:
            times = (f"{event['start_s']:.2f} s", f"{event['end_s']:.2f} s")
            table.add_row(Text(one_line(event["label"]), "bold"), *times, f"{event['score']:.2f}")
        console.print(table if result["events"] else Text("no events\n", "bright_black"))
