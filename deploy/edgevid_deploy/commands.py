"""The commands that deployment adds to the `edgevid` command line. Heavy imports wait until a command runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from edgevid.commands.options import Force, Json, Threads

if TYPE_CHECKING:
    from edgevid_deploy.cascade import CascadeCheck
    from edgevid_deploy.drift import Verification
    from edgevid_deploy.verify import Structure


def register(app: typer.Typer) -> None:
    """Called once by `edgevid.cli` through the entry-point group `edgevid.commands`; imports nothing heavy."""
    app.command()(export)
    app.command()(verify)


def export(
    checkpoint: Path = typer.Argument(
        help="A checkpoint folder, its weights, the folder of a training run, or the name of bundled weights."
    ),
    to: Literal["onnx", "coreml"] = typer.Option(
        help="What to make: an ONNX file (with its clip graph beside it) or a Core ML package."
    ),
    out: Path = typer.Option(help="Folder to write into."),
    precision: Literal["fp32", "fp16"] | None = typer.Option(
        None, help="How weights are stored; Core ML computes in it too.", show_default="fp32 for ONNX, fp16 for Core ML"
    ),
    name: str | None = typer.Option(None, help="The model's name.", show_default="the recipe's"),
    clip_frames: int | None = typer.Option(
        None, min=1, max=4096, help="T of the ONNX clip graph.", show_default="the window the student sees"
    ),
    measured: Path | None = typer.Option(
        None, help="JSON list of measured figures for the manifest.", show_default=False
    ),
    data: str | None = typer.Option(
        None, help="What the model says it was trained on.", show_default="what the recipe says"
    ),
    licences: str | None = typer.Option(
        None, help="What it says of the licences of that and of its weights.", show_default="what the recipe says"
    ),
    events_of: str | None = typer.Option(
        None,
        help="A model file of the same network, whose event rule it gets: one that fit-events wrote.",
        show_default="the recipe's rule",
    ),
    force: Force = False,
    json: Json = None,
) -> None:
    """Turn a checkpoint into the files that devices run; each is read back and checked before it gets its name."""
    from dataclasses import asdict

    from edgevid.files import check_json, write_json
    from edgevid_deploy.export import export as run

    if json:
        check_json(json, force=force)
    written = run(
        checkpoint,
        to=to,
        out=out,
        precision=precision,
        name=name,
        clip_frames=clip_frames,
        measured=measured,
        data=data,
        licences=licences,
        events_of=events_of,
        force=force,
        beside=json,
    )
    for file in written:
        size = f"{file.bytes / 1e6:.1f} MB" if file.bytes >= 1e5 else f"{file.bytes / 1e3:.1f} kB"
        typer.echo(f"{file.file}: {file.model}, {file.kind} graph, {file.precision} weights, {size}")
    if json:
        write_json(json, {"files": [asdict(file) for file in written]})


def verify(
    package: Path = typer.Argument(help="An ONNX model, by file or bundled name, or a Core ML package."),
    against: Path = typer.Option(help="The checkpoint it was exported from, or another ONNX model."),
    frames: list[Path] | None = typer.Option(
        None, help="A video; may be given several times.", show_default="the demo clip"
    ),
    steps: int = typer.Option(256, min=2, max=1_000_000, help="Frames to compare; videos are played again as needed."),
    tolerance: float | None = typer.Option(
        None,
        min=0,
        help="Largest difference allowed, as a share of the larger of 1 and the output's greatest value.",
        show_default="by how the weights are stored",
    ),
    threads: Threads = 1,
    force: Force = False,
    json: Json = None,
) -> None:
    """Compare an exported model with what it came from, on real frames, step by step, each side with its own state.

    Exit status 1 when they differ by more than the tolerance.
    """
    from dataclasses import asdict

    import torch

    from edgevid.errors import CheckFailedError
    from edgevid.files import check_json, write_json
    from edgevid.sources.opening import DEMO
    from edgevid_deploy.verify import verify as run

    if json:
        check_json(json, force=force)
    torch.set_num_threads(threads)
    videos: list[Path | str] = list(frames) if frames else [DEMO]
    found = run(package, against, videos=videos, steps=steps, tolerance=tolerance, threads=threads)
    whole, cascade, structure = found.whole, found.cascade, found.structure
    _show_drift(whole, [str(video) for video in videos])
    if cascade:
        _show_cascade(cascade)
    if structure:
        _show_structure(structure)
    if json:
        parts = {"cascade": cascade and asdict(cascade), "structure": structure and asdict(structure)}
        head = {"ok": not found.problems, "numeric": True, "frames": [str(video) for video in videos]}
        write_json(json, head | asdict(whole) | parts)
    if found.problems:
        raise CheckFailedError(f"{whole.package} is not verified: {'; '.join(found.problems)}")
    typer.echo("verified")


def _show_structure(result: "Structure") -> None:
    typer.echo(
        f"names, shapes and types of {result.inputs} inputs and {result.outputs} outputs are right, "
        "and so are labels, metadata and digest"
    )
    typer.echo(f"computed by {result.computed_by}; no Apple hardware computed it")


def _show_drift(result: "Verification", videos: list[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    typer.echo(f"{result.package} against {result.against}: {result.steps} steps of {', '.join(videos)}")
    titles = ("largest", "mean", "allowed", "same label", "in each quarter")
    table = Table("output", *(Column(title, justify="right") for title in titles), box=SIMPLE_HEAD, pad_edge=False)
    states = [drift for drift in result.drifts if drift.output.startswith("next_")]
    worst = max(states, key=lambda drift: drift.relative, default=None)
    for drift in result.drifts:
        if drift in states and drift is not worst:
            continue
        table.add_row(
            "worst state" if drift is worst else drift.output.removeprefix("logits_"),
            f"{drift.max_abs:.1e}",
            f"{drift.mean_abs:.1e}",
            f"{drift.limit:.1e}",
            "" if drift.agreement is None else f"{drift.agreement:.1%}",
            " ".join(f"{value:.0e}".replace("e-0", "e-") for value in drift.over_time),
        )
    Console().print(table)
    if worst:
        typer.echo(f"the worst of {len(states)} states is {worst.output.removeprefix('next_')}")
    and_states = "; four times that for states" if worst else ""
    typer.echo(f"allowed: {result.tolerance:g} of the larger of 1 and the output's greatest value{and_states}")
    if result.forgetting is not None:
        typer.echo(f"without its state the logits would change by {result.forgetting:.1%} of their greatest value")


def _show_cascade(result: "CascadeCheck") -> None:
    worst = max(result.drifts, key=lambda drift: drift.relative)
    ends = ", ".join(f"{name} {steps}" for name, steps in result.ends.items())
    typer.echo(
        f"the cascade, {result.steps} steps told where to end ({ends}): "
        f"{worst.output.removeprefix('logits_')} strays most, by {worst.max_abs:.1e}, {worst.limit:.1e} is allowed"
    )
