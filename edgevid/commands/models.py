"""`edgevid models list | show`: what models there are, and what a model file says about itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgevid.commands.options import Force, Json
from edgevid.commands.warn import warn
from edgevid.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgevid.manifest import Manifest
    from edgevid.models.onnx import Tensors

_TEACHERS = typer.Option(False, "--teachers", help="List the teachers that training knows instead.")


def register(app: typer.Typer) -> None:
    """Add `models` to the command line."""
    models = typer.Typer(no_args_is_help=True, help="The bundled models, and what a model file says about itself.")
    models.command("list")(list_models)
    models.command("show")(show_model)
    app.add_typer(models, name="models")


def list_models(json: Json = None, force: Force = False, teachers: bool = _TEACHERS) -> None:
    """The models that come with edgevid; with --teachers what they can be distilled from."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    from edgevid.errors import InputError
    from edgevid.files import check_json, write_json

    if json:
        check_json(json, force=force)
    if teachers:
        _list_teachers(json)
        return

    from edgevid.models.load import bundled_models, read_model

    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    for name, path in bundled_models().items():
        try:
            manifest = read_model(path)[1]
        except InputError as error:
            damaged.append(str(error))
            continue
        rows.append(_described(manifest, path) | {"name": name, "default": name == DEFAULT_MODEL})

    name_column = Column("name", no_wrap=True)
    table = Table(name_column, "kind", "labels", "input", "rate", "size", "digest", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        spec = row["input"]
        table.add_row(
            row["name"] + (" (default)" if row["default"] else ""),
            row["kind"],
            str(len(row["labels"])),
            f"{spec['width']}x{spec['height']}",
            f"{row['rate_hz']:g} Hz",
            _size(row["bytes"]),
            row["digest"][:12],
        )
    if json:
        write_json(json, {"models": rows, "damaged": damaged})
    Console().print(table if rows else "no model comes with this installation")
    for line in damaged:
        warn(line)
    if damaged:
        raise typer.Exit(InputError.exit_status)


def _list_teachers(json: Path | None) -> None:
    """The table of the training package, which gives it through the entry-point group `edgevid.teachers`."""
    from importlib.metadata import entry_points

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    from edgevid.files import write_json

    rows: list[dict[str, Any]] = [row for entry in entry_points(group="edgevid.teachers") for row in entry.load()()]
    whole = (Column(name, no_wrap=True) for name in ("kind", "parameters", "GFLOPs", "input"))
    network = Column("network, weights, licence", overflow="fold")
    table = Table(*whole, network, box=SIMPLE_HEAD, pad_edge=False, leading=1)
    for row in rows:
        table.add_row(
            row["kind"],
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['gflops']:g}",
            row["input"].replace(", ", "\n"),
            f"{row['network']}\n{row['weights']}\n{row['licence']}",
        )
    if json:
        write_json(json, {"teachers": rows})
    Console().print(table if rows else "this installation knows no teacher")
    typer.echo(
        "GFLOPs of one clip with 400 labels, a multiply-add counted once. Choose one by teacher.kind in a recipe."
    )


def show_model(
    model: str = typer.Argument(help="A bundled model's name, or a file."),
    json: Json = None,
    force: Force = False,
) -> None:
    """A model's manifest: what it was trained on, what was measured and how; and the tensors of its graph."""
    from rich.console import Console

    from edgevid.files import check_json, write_json
    from edgevid.models.load import find_model, read_model
    from edgevid.models.onnx import open_onnx, signature

    if json:
        check_json(json, force=force)
    path = find_model(model)
    network = open_onnx(*read_model(path), str(path))  # opened, so that nothing is shown that the graph does not keep
    manifest, (takes, gives) = network.manifest, signature(network)
    if json:
        write_json(json, _described(manifest, path) | {"tensors": {"inputs": _rows(takes), "outputs": _rows(gives)}})
    console = Console()
    console.print(_sheet(manifest, path))
    console.print(_tensors(takes, gives))


def _described(manifest: "Manifest", path: Path) -> dict[str, Any]:
    return manifest.model_dump(mode="json") | {"file": str(path), "bytes": path.stat().st_size}


def _sheet(manifest: "Manifest", path: Path) -> Any:
    """The manifest as two columns: what, and what it says."""
    import math

    from rich.table import Table
    from rich.text import Text

    from edgevid.errors import one_line

    spec, rule, pool = manifest.input, manifest.events, manifest.clip_pool
    span_s = manifest.clip_frames / manifest.rate_hz
    state_bytes = sum(math.prod(s.shape) * (2 if s.dtype == "float16" else 4) for s in manifest.states)
    frames = "frames in a clip" if manifest.kind == "clip" else "frames seen at most"
    rows = [
        ("model", f"{manifest.name}, {manifest.kind}"),
        ("file", f"{path}, {_size(path.stat().st_size)}"),
        ("digest", manifest.digest),
        ("labels", f"{len(manifest.labels)}: {', '.join(manifest.labels)}"),
        ("scores", manifest.activation + ("" if manifest.background is None else "; `other` is background")),
        ("input", f"{spec.width}x{spec.height}, {spec.fit}, {spec.filter} filter, {spec.colour}"),
        ("rate", f"{manifest.rate_hz:g} Hz, {manifest.clip_frames} {frames} ({span_s:.1f} s)"),
    ]
    for e in manifest.exits:
        sure = "" if e.threshold is None else f", decides from a score of {e.threshold:g}"
        rows.append((f"exit {e.name}", f"{e.macs / 1e6:.1f} million MACs a step{sure}"))
    if manifest.conditional:
        rows.append(("cascade", "later stages are computed only when no earlier exit is sure"))
        hold = manifest.hold
        held = f"one look stands for {hold.quiet} more frames while nothing goes on, for {hold.busy} else"
        rows.append(("", held if hold.quiet or hold.busy else "and every frame is looked at"))
    if manifest.states:
        rows.append(("state", f"{len(manifest.states)} tensors, {_size(state_bytes)}; valid {manifest.max_skip_s:g} s"))
    if manifest.embedding_size:
        rows.append(("embedding", f"{manifest.embedding_size} numbers"))
    smoothed = f" of scores averaged over {pool.smooth_s:g} s" if pool.smooth_s else ""
    settled = f", its last frame held for {pool.settle_s:g} s" if pool.settle_s else ""
    promise = manifest.calibration
    made = manifest.provenance
    rows += [
        (
            "a clip's score",
            {"last": "the last step", "mean": "the mean step", "peak": "the peak step"}[pool.kind] + smoothed + settled,
        ),
        (
            "events",
            f"start at {rule.on:g} for {rule.min_s:g} s, end below {rule.off:g}, averaged over {rule.smooth_s:g} s",
        ),
        ("", f"the same label again after {rule.cooldown_s:g} s"),
        (
            "calibration",
            "no promise"
            if promise is None
            else f"gives up at most {promise.risk:g} of {promise.unit}s with confidence {promise.confidence:g} "
            f"(n = {promise.n}{'' if promise.date is None else f', {promise.date}'})",
        ),
        ("trained on", made.data),
        ("from weights", made.weights),
        ("licences", made.licences),
        ("recipe", made.recipe),
    ]
    for m in manifest.measured:
        interval = "" if m.low is None or m.high is None else f" (95%: {m.low:g} to {m.high:g})"
        rows.append((m.metric, f"{m.value:g}{interval} on {m.split}, n = {m.n}; by `{m.command}`"))
    if not manifest.measured:
        rows.append(("measured", "nothing"))

    table = Table.grid(padding=(0, 2))
    for what, says in rows:
        table.add_row(Text(one_line(what), style="bold"), Text(one_line(says), overflow="fold"))  # others wrote some
    return table


def _rows(tensors: "Tensors") -> list[dict[str, Any]]:
    return [{"name": name, "dtype": dtype, "shape": list(shape)} for name, (dtype, shape) in tensors.items()]


def _tensors(takes: "Tensors", gives: "Tensors") -> Any:
    """The graph's inputs and outputs; in one row all of one dtype and shape, and the states that come out as one."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("", Column("name", overflow="fold"), "dtype", "shape", box=SIMPLE_HEAD, pad_edge=False)
    after = {f"next_{name}" for name in takes}
    for what, tensors in (("input", takes), ("output", gives)):
        alike: dict[tuple[str, str], list[str]] = {}
        for name, (dtype, shape) in tensors.items():
            if name not in after:
                alike.setdefault((dtype, f"[{', '.join(map(str, shape))}]"), []).append(name)
        for (dtype, shape_text), names in alike.items():
            table.add_row(what, Text(", ".join(names)), dtype, Text(shape_text))  # no markup
        if after.intersection(tensors):
            table.add_row(what, "next_X, of every state X", "as X", "as X")
    return table


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
