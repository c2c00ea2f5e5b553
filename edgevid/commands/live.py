"""`edgevid live`: a camera, a recording or an address, seen by a model while it happens."""

import contextlib
import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgevid.commands.options import Force, Gate, Hold, Threads, Threshold
from edgevid.commands.rule import CooldownS, MinS, Off, On, overridden
from edgevid.commands.summary import summary
from edgevid.commands.warn import warn, warned
from edgevid.models import DEFAULT_MODEL


def register(app: typer.Typer) -> None:
    """Add `live` to the command line."""
    app.command()(live)


def live(
    camera: Annotated[int | None, typer.Option(min=0, help="Number of a camera; the first is 0.")] = None,
    source: Annotated[str | None, typer.Option(help="A video, a folder of images, an address, or demo.")] = None,
    model: Annotated[str, typer.Option(help="A bundled model's name, or a file.")] = DEFAULT_MODEL,
    events: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write events as JSON lines.")] = None,
    window: Annotated[
        bool | None, typer.Option("--window/--no-window", help="Show the frames. Default: where there is a display.")
    ] = None,
    pace: Annotated[
        Literal["source", "fast"], typer.Option(help="Play a recording as it was recorded, or as fast as possible.")
    ] = "source",
    loop: Annotated[bool, typer.Option("--loop", help="Start a recording again at its end.")] = False,
    rate: Annotated[float | None, typer.Option(help="Images of a folder that make a second.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop by itself after so long.")] = None,
    reconnect: Annotated[
        float | None,
        typer.Option(help="Seconds to try again when a camera or a live address is lost. Default: 60."),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(help="Seconds from one window of a clip model to the next. Default: a quarter of one."),
    ] = None,
    gate: Gate = True,
    threshold: Threshold = None,
    hold: Hold = None,
    on: On = None,
    off: Off = None,
    min_s: MinS = None,
    cooldown_s: CooldownS = None,
    threads: Threads = 1,
    metrics: Annotated[Path | None, typer.Option(help="Write frame counts, latencies and memory there.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write events and metrics there at the end.")] = None,
    force: Force = False,
) -> None:
    """Tell what is being done in front of a camera, while it is being done.

    Ctrl-C ends it; so do q and Escape in the window and in the terminal.
    """
    import cv2

    from edgevid.cascade import saving
    from edgevid.errors import INTERRUPTED, CheckFailedError, InputError
    from edgevid.files import check_different, check_json, write_json
    from edgevid.interrupts import counted
    from edgevid.live import run
    from edgevid.models.load import load
    from edgevid.pipeline import Options, Pipeline
    from edgevid.sinks import screens
    from edgevid.sinks.collected import Collected
    from edgevid.sinks.jsonl import JsonLines
    from edgevid.sinks.open_sinks import OpenSinks
    from edgevid.sinks.queued import QueuedSink
    from edgevid.sources import open_source

    if (camera is None) == (source is None):
        raise InputError("say what to look at: --camera 0, or --source with a file, an address or demo")
    for option, value, most in (("--seconds", seconds, 1e9), ("--stride", stride, 3600), ("--rate", rate, 1000)):
        if value is not None and not 1e-3 <= value <= most:
            raise InputError(f"{option} is a number from 0.001 to {most:g}, not {value}")
    if reconnect is not None and not reconnect >= 0:
        raise InputError(f"--reconnect is a number from 0, or inf, not {reconnect}")
    check_different(events, metrics, json)
    for path in (metrics, json):
        if path:
            check_json(path, force=force)
    cv2.setNumThreads(threads)

    network = saving(load(model, threads=threads), threshold, hold, gate=gate)
    if stride and network.manifest.kind == "stream":
        raise InputError(f"--stride is for clip models; {network.manifest.name} is a stream model and takes each frame")
    rule = overridden(network.manifest.events, on, off, min_s, cooldown_s)
    looked_at = camera if source is None else source
    assert looked_at is not None, "one of the two was given"
    reconnect_s = 60.0 if reconnect is None else reconnect
    with open_source(looked_at, pace=pace, loop=loop, rate_hz=rate, threads=threads, reconnect_s=reconnect_s) as opened:
        if reconnect is not None and not opened.info.live:
            raise InputError(f"--reconnect is for cameras and live addresses; {opened.info.name} has an end")
        every_frame = pace == "fast"
        if every_frame and opened.info.live:
            raise InputError(f"--pace fast is for recordings; {opened.info.name} is live and comes as it comes")
        shown = screens.window(window)  # or there is none, which is said before a file is emptied
        queues: list[QueuedSink] = []
        if events:
            JsonLines.check(events, sources=(source,) if source else (), force=force)
            queues.append(QueuedSink(JsonLines.open(events), f"events to {events}"))
        if terminal := screens.terminal(stdout_is_taken=events == "-"):
            queues.append(QueuedSink(terminal, "events to the terminal"))
        sinks = OpenSinks(queues, shown, screens.keyboard(terminal))
        collected = Collected()
        options = Options(
            every_frame=every_frame,
            paced=not every_frame,
            rule=rule,
            stride_s=stride,
            gate=gate,
            only_sampled=shown is None,
            watch_picture=True,
        )
        pipeline = Pipeline(opened, network, options, [*queues, *([collected] if json else [])])

        interrupted = False
        measured = functools.cache(pipeline.metrics)

        def tell(path: Path) -> None:
            stopped = interrupted or any(queue.error for queue in queues)
            told = {"interrupted": stopped, "events": [event.to_dict() for event in collected.events]}
            write_json(path, told | {"events_left_out": collected.left_out} | measured())

        # from the last to the first, each whatever became of the others
        with counted() as interrupts, contextlib.ExitStack() as at_end:
            at_end.callback(lambda: typer.echo(summary(measured()), err=events == "-"))
            at_end.callback(lambda: sinks.close(interrupted=interrupted))
            if json:
                at_end.callback(tell, json)
            if metrics:
                at_end.callback(lambda: write_json(metrics, measured()))
            at_end.callback(lambda: sinks.look(pipeline.view))
            interrupted = run(pipeline, seconds=seconds, every_s=sinks.every_s, every=lambda: sinks.look(pipeline.view))
        interrupted = interrupts() > 0
    if interrupted:
        with warned():
            sinks.check()
        raise typer.Exit(INTERRUPTED)  # the summary has told of it
    sinks.check()
    if opened.fault and opened.info.live:
        raise CheckFailedError(f"{opened.info.name} {opened.fault}")
    if opened.fault:
        warn(f"{opened.info.name} {opened.fault}")
