"""`edgevid verify`: proof that an exported model computes what was trained, on real frames.

Models are run beside the checkpoint they came from, or another model: an ONNX model by ONNX Runtime, as on a device; a
Core ML package, which Core ML alone runs, by an interpreter of the program that it holds. That this is no Apple
hardware is said with the result.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevid.errors import InputError
from edgevid.files import is_folder
from edgevid.frame import Pixels
from edgevid.manifest import Manifest
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.load import find_model, load
from edgevid.preprocess import fit
from edgevid.sampling import StreamSchedule
from edgevid.sources.opening import DEMO, open_source
from edgevid_deploy.cascade import CascadeCheck, compare_cascades
from edgevid_deploy.coreml import check_package
from edgevid_deploy.drift import Verification, compare
from edgevid_deploy.mil import open_package
from edgevid_deploy.onnx import stored_precision
from edgevid_deploy.reference import WholeStream
from edgevid_deploy.step import input_names, output_names
from edgevid_train.checkpoint import load_student
from edgevid_train.describe import describe
from edgevid_train.evaluate.torch_stream import TorchStream

TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference allowed, as a share of the larger of 1 and the output's own greatest value, by how the weights are
stored. fp32: another order of summation. fp16: every weight rounded to 11 bits."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Of a Core ML package what was checked before it was run: as many inputs and outputs have the names, shapes and
    types that its manifest says, and metadata and digest are right. And what then ran it."""

    inputs: int
    outputs: int
    computed_by: str = "torch in float32, from the package's program and weights"
    apple_hardware: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `cascade`: None where there is none; `structure`: None of an ONNX model."""

    whole: Verification
    cascade: CascadeCheck | None = None
    structure: Structure | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """One line each; empty when the model is verified."""
        return (*self.whole.problems, *(self.cascade.problems if self.cascade else ()))


def verify(
    package: str | Path,
    against: str | Path,
    *,
    videos: Sequence[str | Path] = (DEMO,),
    steps: int = 256,
    tolerance: float | None = None,
    threads: int = 1,
) -> Verdict:
    """Compare `package`, an ONNX model or a Core ML package, with `against`, a checkpoint or an ONNX model.

    First every step goes to the last exit, whatever thresholds a model has: each exit is compared at each step. Then,
    of a cascade, its branches are taken: steps that end at each exit, and steps that hold. A package has none.

    Args:
        videos: played one after the other, and again from the first, until `steps` frames have been taken.
        tolerance: None for the one in `TOLERANCES`.

    Raises:
        InputError: something cannot be opened, or the two cannot be compared.
        CheckFailedError: they are not the same model by what they say of themselves, or a package does not fit its
            manifest. What running them shows is in the result.
    """
    if tolerance is not None and not math.isfinite(tolerance):
        raise InputError(f"--tolerance {tolerance:g}: expected a finite number")
    for video in videos:
        if is_folder(video):
            raise InputError(f"--frames {video} is a folder, not a video; several are given one by one")
    if Path(package).suffix == ".mlpackage":
        return _verify_package(Path(package), against, videos, steps, tolerance, threads)
    files = [find_model(package), *([find_model(against)] if is_model(against) else [])]
    if len(files) == 2 and files[0].samefile(files[1]):
        raise InputError(f"--against {against} is {package} itself: give the checkpoint it was exported from")
    model, other = _unstopped(load(package, threads=threads)), _unstopped(open_reference(against, threads))
    if tolerance is None:
        tolerance = max(TOLERANCES[stored_precision(file)] for file in files)
    whole = _compare_whole(model, other, against, videos, steps, tolerance)
    cascade = cascade_of(other)
    if not (isinstance(model, StreamModel) and model.manifest.conditional and cascade is not None):
        return Verdict(whole)
    frames = itertools.islice(sampled_pixels(videos, model.manifest), steps)
    return Verdict(whole, compare_cascades(model, cascade, frames, tolerance=tolerance))


def _verify_package(
    package: Path, against: str | Path, videos: Sequence[str | Path], steps: int, tolerance: float | None, threads: int
) -> Verdict:
    """What `verify` does for a Core ML package, in the threads that torch was given; `threads` are the reference's."""
    manifest = check_package(package)
    model, other = open_package(package, manifest), _unstopped(open_reference(against, threads))
    if tolerance is None:
        stored = [model.precision, *([stored_precision(find_model(against))] if is_model(against) else [])]
        tolerance = max(TOLERANCES[precision] for precision in stored)
    whole = _compare_whole(model, other, against, videos, steps, tolerance)
    return Verdict(whole, structure=Structure(len(input_names(manifest)), len(output_names(manifest))))


def _compare_whole(
    model: StreamModel | ClipModel,
    other: StreamModel | ClipModel,
    against: str | Path,
    videos: Sequence[str | Path],
    steps: int,
    tolerance: float,
) -> Verification:
    """`compare` on the first `steps` frames; what the two are compared with is called as it was named."""
    frames = itertools.islice(sampled_pixels(videos, model.manifest), steps)
    return replace(compare(model, other, frames, tolerance=tolerance), against=_name(against, other.manifest))


def _unstopped(model: StreamModel | ClipModel) -> StreamModel | ClipModel:
    return model.with_thresholds([None] * len(model.manifest.exits)) if isinstance(model, StreamModel) else model


def is_model(against: str | Path) -> bool:
    """Whether this names an ONNX model, by file or bundled name, rather than a checkpoint."""
    path = Path(against)
    return path.suffix == ".onnx" or not path.exists()


def open_reference(against: str | Path, threads: int = 1) -> StreamModel | ClipModel:
    """An ONNX model, or the student of a checkpoint.

    Raises:
        InputError: it is neither.
    """
    if is_model(against):
        return load(against, threads=threads)
    checkpoint = load_student(Path(against))
    return WholeStream(checkpoint.student, describe(checkpoint.student, checkpoint.recipe, checkpoint.labels))


def cascade_of(reference: StreamModel | ClipModel) -> StreamModel | None:
    """What a cascade is compared with: the same student, that stops and holds as an exported one does, or such a model.

    None where the other model computes every exit.
    """
    if isinstance(reference, WholeStream):
        return TorchStream(reference.student, reference.manifest)
    return reference if isinstance(reference, StreamModel) and reference.manifest.conditional else None


def sampled_pixels(videos: Sequence[str | Path], manifest: Manifest) -> Iterator[Pixels]:
    """The frames that a stream would compute, uint8 `(H, W, 3)`, decoded, reduced, sampled and fitted by the runtime.

    After the last video the first one comes again, without end.

    Raises:
        InputError: a video cannot be shown.
    """
    for video in itertools.cycle(videos):
        schedule = StreamSchedule(manifest.rate_hz)
        with open_source(video, pace="fast") as source:
            for frame in source:
                due = schedule.offer(frame.index, frame.time_s)
                if due.steps:
                    pixels = fit(frame.pixels, manifest.input)
                    yield from (pixels for _ in due.steps)


def _name(against: str | Path, manifest: Manifest) -> str:
    """A checkpoint has no digest to be called by."""
    return manifest.id if is_model(against) else str(against)
