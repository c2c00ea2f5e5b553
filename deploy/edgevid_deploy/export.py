"""`edgevid export`: a checkpoint to the files that devices run."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from edgevid.errors import CheckFailedError, InputError, first_fault
from edgevid.files import check_different, check_file, check_folder, replacing
from edgevid.manifest import Manifest, Measurement
from edgevid.models.load import load
from edgevid_deploy.coreml import export_coreml
from edgevid_deploy.drift import check_same_model
from edgevid_deploy.onnx import Precision, export_onnx
from edgevid_deploy.step import StreamStep, clip_manifest, stopping, with_states_in
from edgevid_train.checkpoint import load_student
from edgevid_train.describe import describe
from edgevid_train.runs.bundled import init_from

Format = Literal["onnx", "coreml"]


@dataclass(frozen=True, slots=True)
class Exported:
    """One file or package that was written. `model` is name@digest."""

    file: str
    model: str
    kind: Literal["stream", "clip"]
    precision: Precision
    bytes: int


def export(
    checkpoint: Path,
    *,
    to: Format,
    out: Path,
    precision: Precision | None = None,
    name: str | None = None,
    clip_frames: int | None = None,
    measured: Path | None = None,
    data: str | None = None,
    licences: str | None = None,
    events_of: str | None = None,
    force: bool = False,
    beside: Path | None = None,
) -> list[Exported]:
    """Write `out/NAME.onnx` and `out/NAME.clip.onnx`, or `out/NAME.mlpackage`.

    The ONNX stream graph stops at the first exit that is sure; in Core ML every exit is computed, which refuses control
    flow.

    Args:
        checkpoint: a folder, or the name of weights that come with edgevid.
        events_of: a model file of the same network whose event rule is taken, as `edgevid fit-events` writes one.
        precision: fp32 for ONNX and fp16 for Core ML unless given.
        name: of the model; the recipe's unless given.
        clip_frames: T of the clip graph; the window that the student sees unless given.
        measured: a JSON file with a list of `Measurement`s for the manifest.
        beside: another file that will be written, and must be none of these.
        data, licences: what the manifest says of what it was trained on; what the recipe says unless given.

    Raises:
        InputError: no such checkpoint, a file is there already, or cannot be written.
        CheckFailedError: an exporter gave something else than it was asked for, or `events_of` is another network's.
    """
    student, recipe, labels, info = load_student(init_from(checkpoint))
    figures = read_measurements(measured) if measured else ()
    stated = {key: text for key, text in (("data", data), ("licences", licences)) if text is not None}
    recipe = recipe.model_copy(update={"about": recipe.about.model_copy(update=stated)})
    manifest = _renamed(describe(student, recipe, labels, figures, info.split.trained_on), name)
    if events_of is not None:
        fitted = load(events_of).manifest
        check_same_model(fitted, manifest)
        if fitted.provenance.trained_on != manifest.provenance.trained_on:
            raise CheckFailedError(f"not the same model: {events_of} was trained on other clips than {checkpoint}")
        manifest = manifest.model_copy(update={"events": fitted.events})

    if to == "coreml":
        if clip_frames is not None:
            raise InputError("--clip-frames is of the ONNX clip graph; a Core ML package steps")
        path, precision = out / f"{manifest.name}.mlpackage", precision or "fp16"
        check_different(path, beside)
        check_folder(path, "Manifest.json", ("Data",), force=force)
        manifest = with_states_in(manifest, "float16" if precision == "fp16" else "float32")
        return [_exported(path, export_coreml(StreamStep(student), manifest, path, precision=precision), precision)]

    stream, clip, precision = out / f"{manifest.name}.onnx", out / f"{manifest.name}.clip.onnx", precision or "fp32"
    check_different(stream, clip, beside)
    check_file(stream, force=force)
    check_file(clip, force=force)
    frames = clip_frames or manifest.clip_frames
    graphs = ((stream, stopping(manifest)), (clip, clip_manifest(manifest, frames)))
    with contextlib.ExitStack() as both:  # or neither: they are compared as two graphs of the same weights
        places = [both.enter_context(replacing(path)) for path, _ in graphs]
        written = [
            export_onnx(student, described, place, precision=precision)
            for place, (_, described) in zip(places, graphs, strict=True)
        ]
    return [_exported(path, sealed, precision) for (path, _), sealed in zip(graphs, written, strict=True)]


def _exported(path: Path, manifest: Manifest, precision: Precision) -> Exported:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Exported(str(path), manifest.id, manifest.kind, precision, sum(file.stat().st_size for file in files))


def _renamed(manifest: Manifest, name: str | None) -> Manifest:
    if name is None:
        return manifest
    try:
        return Manifest.model_validate(manifest.model_dump() | {"name": name})
    except ValidationError:
        raise InputError(
            f"--name {name!r}: a model's name is 1 to 64 letters, digits, dots, dashes or underscores, "
            "and begins with a letter or digit"
        ) from None


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """The JSON list that `--measured` names. Raises InputError when it is not one."""
    try:
        return TypeAdapter(tuple[Measurement, ...]).validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        place, what = first_fault(error)
        raise InputError(f"{path}: {place or 'the file'}: {what}") from None
