"""`edgevid bench`: how fast a model is on this machine."""

from typing import TYPE_CHECKING

import typer

from edgevid.commands.options import Force, Json, Threads

if TYPE_CHECKING:
    from edgevid.models.bench import Bench, Latency


def register(app: typer.Typer) -> None:
    """Add `bench` to the command line."""
    app.command()(bench)


def bench(
    model: str = typer.Argument(help="A bundled model's name, or a file."),
    threads: Threads = 1,
    steps: int = typer.Option(300, min=1, max=1_000_000, help="Steps to measure, or clips of a clip model."),
    json: Json = None,
    force: Force = False,
) -> None:
    """Latency of the network alone, state passing included; load time and memory.

    When its clip graph NAME.clip.onnx lies beside a stream model, both are measured in the same run, interleaved.
    """
    from dataclasses import asdict

    from edgevid.files import check_json, write_json
    from edgevid.models.bench import measure
    from edgevid.models.load import find_model

    if json:
        check_json(json, force=force)
    result = measure(find_model(model), threads=threads, steps=steps)
    if json:
        write_json(json, asdict(result))
    _show(result)


def _show(result: "Bench") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    console.print(f"{result.model}, {threads}")
    table = Table("", "p50", "p95", "runs", box=SIMPLE_HEAD, pad_edge=False)
    for what, latency, runs in (
        ("one step", result.step_ms, result.steps),
        (f"a clip of {result.clip_frames} frames", result.clip_ms, result.clips),
    ):
        if latency:
            table.add_row(what, _ms(latency.p50), _ms(latency.p95), str(runs))
    console.print(table)

    exits = Table("exit", "million MACs", "p50", "p95", box=SIMPLE_HEAD, pad_edge=False)
    for cost in result.exits:
        exits.add_row(cost.name, f"{cost.macs / 1e6:.1f}", *_both(cost.step_ms))
    if result.hold_ms:
        exits.add_row("none: the memory alone", f"{result.hold_macs / 1e6:.1f}", *_both(result.hold_ms))
    console.print(exits)
    if result.step_ms and result.clip_ms:
        ratio = result.clip_ms.p50 / result.step_ms.p50
        console.print(f"a decision by one step takes {ratio:.1f} times less time than by one clip")
    holds = "" if result.rss_mb is None else f"; the process holds {result.rss_mb:.0f} MB of memory"
    console.print(f"loaded in {result.load_ms:.0f} ms{holds}")


def _both(latency: "Latency | None") -> tuple[str, str]:
    return (_ms(latency.p50), _ms(latency.p95)) if latency else ("not apart", "not apart")


def _ms(value: float) -> str:
    return f"{value:.2f} ms"
