"""A student to a Core ML package: one stream step, state in and out, the picture as an image, the manifest inside.

coremltools converts and reads packages on Linux but cannot run them there. What is checked here is what the file says:
names, shapes and types of what goes in and out, the metadata, the digest. What it computes is checked by `mil`.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from edgevid import __version__
from edgevid.errors import CheckFailedError, InputError, first_line
from edgevid.files import replacing
from edgevid.manifest import METADATA_KEY, Manifest
from edgevid.seal import digest_of_package, read_sealed, seal
from edgevid_deploy.step import StreamStep, input_names, output_names

Precision = Literal["fp32", "fp16"]

LABELS_KEY = "edgevid.labels"
"""The labels once more, as a JSON list, for tools that show metadata to people."""
AUTHOR = "edgevid"
"""Who made the package; its version is that of the edgevid which did. Models are told apart by their digests."""
_SPECIFICATION = 7
"""Of iOS 16: the first whose inputs and outputs may be float16 arrays."""


def export_coreml(step: StreamStep, manifest: Manifest, path: Path, *, precision: Precision = "fp16") -> Manifest:
    """Write the stream step as a sealed ML program for iOS 16 or later.

    The states of `manifest` have the dtype that the package computes in, so that passing them on costs no conversion.

    Returns: the sealed manifest.

    Raises:
        CheckFailedError: what came out is not what was asked for.
        InputError: coremltools is not installed, or `path` cannot be written.
    """
    ct = load_coremltools()
    number = np.float16 if precision == "fp16" else np.float32
    with quiet(), torch.no_grad():
        traced = torch.jit.trace(step, step.example(), check_trace=False)  # type: ignore[no-untyped-call]
        package = ct.convert(
            traced,
            inputs=[
                ct.ImageType(
                    name="frame",
                    shape=(1, 3, manifest.input.height, manifest.input.width),
                    color_layout=ct.colorlayout.RGB,
                ),
                *(ct.TensorType(name=state.name, shape=state.shape, dtype=number) for state in manifest.states),
            ],
            outputs=[ct.TensorType(name=name, dtype=number) for name in output_names(manifest)],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS16,
            compute_precision=ct.precision.FLOAT16 if precision == "fp16" else ct.precision.FLOAT32,
        )
    package.short_description = f"edgevid {manifest.name}: one step of a stream; pass every next_X on as X"
    package.author, package.version = AUTHOR, __version__
    said = descriptions(manifest)
    for name in input_names(manifest):
        package.input_description[name] = said[name]
    for name in output_names(manifest):
        package.output_description[name] = said[name]
    package.license = manifest.provenance.licences
    package.user_defined_metadata[METADATA_KEY] = manifest.to_json()
    package.user_defined_metadata[LABELS_KEY] = json.dumps(manifest.labels)
    with replacing(path) as temporary:
        with quiet():
            package.save(str(temporary))
        for file in temporary.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # coremltools leaves the model to its owner alone
        seal(temporary)
        return check_package(temporary)


def check_package(path: Path) -> Manifest:
    """Read a package back and compare what it says of its inputs and outputs with its manifest.

    Returns: the manifest.

    Raises:
        InputError: no package, without a manifest, or changed since it was sealed.
        CheckFailedError: graph and manifest do not fit.
    """
    spec = read_spec(path)
    metadata = spec.description.metadata.userDefined
    if METADATA_KEY not in metadata:
        raise InputError(f"{path} is a Core ML package without a manifest")
    manifest = read_sealed(metadata[METADATA_KEY], path, partial(digest_of_package, path))
    if json.loads(metadata.get(LABELS_KEY, "null")) != list(manifest.labels):
        raise CheckFailedError(f"{path}: the labels in its metadata are not its manifest's")
    if spec.specificationVersion < _SPECIFICATION or spec.WhichOneof("Type") != "mlProgram":
        raise CheckFailedError(f"{path} is no ML program for iOS 16 or later")
    wanted_inputs, wanted_outputs = _wanted(manifest)
    for what, has, wants in (
        ("inputs", _features(spec.description.input), wanted_inputs),
        ("outputs", _features(spec.description.output), wanted_outputs),
    ):
        for name in (*wants, *has):
            if has.get(name) != wants.get(name):
                raise CheckFailedError(
                    f"{path}: {what}: {name} is {has.get(name, 'missing')}, "
                    f"the manifest says {wants.get(name, 'there is none')}"
                )
    return manifest


def descriptions(manifest: Manifest) -> dict[str, str]:
    """Name of every input and output -> what it is, in the words of deploy/README.md."""
    spec = manifest.input
    said = {
        "frame": f"the picture, of exactly {spec.width} x {spec.height}; the package normalises",
        "embedding": "what the network made of the frame and of what came before",
    }
    for exit_spec in manifest.exits:
        said[f"logits_{exit_spec.name}"] = "logits of this exit, one for each label, before the activation"
    for state in manifest.states:
        after = f"next_{state.name}"
        said[state.name] = f"state: zeros at the start of a stream and after a gap, else {after} of the step before"
        said[after] = f"state after the step: feed it as {state.name} in the next one"
    return said


def _wanted(manifest: Manifest) -> tuple[dict[str, str], dict[str, str]]:
    """What the manifest says must go in and come out: name -> type and shape in words."""
    number = manifest.states[0].dtype if manifest.states else "float16"
    shapes: dict[str, tuple[int, ...]] = {
        **{f"logits_{spec.name}": (1, len(manifest.labels)) for spec in manifest.exits},
        "embedding": (1, manifest.embedding_size),
        **{f"next_{state.name}": state.shape for state in manifest.states},
    }
    inputs = {
        "frame": f"RGB image {manifest.input.width}x{manifest.input.height}",
        **{state.name: f"{state.dtype} {list(state.shape)}" for state in manifest.states},
    }
    assert list(inputs) == input_names(manifest)
    return inputs, {name: f"{number} {list(shapes[name])}" for name in output_names(manifest)}


def _features(features: Any) -> dict[str, str]:
    """Name -> type and shape in words, of what a Core ML description lists."""
    found = {}
    for feature in features:
        kind = feature.type.WhichOneof("Type")
        if kind == "imageType":
            image = feature.type.imageType
            space = type(image).ColorSpace.Name(image.colorSpace)
            found[feature.name] = f"{space} image {image.width}x{image.height}"
        elif kind == "multiArrayType":
            array = feature.type.multiArrayType
            dtype = type(array).ArrayDataType.Name(array.dataType).lower()
            found[feature.name] = f"{dtype} {list(array.shape)}"
        else:
            found[feature.name] = str(kind)
    return found


def read_spec(path: Path) -> Any:
    """The protobuf of the package at `path`. Raises InputError when there is none, or coremltools cannot read it."""
    if not path.is_dir():
        raise InputError(f"{path}: no such package")
    ct = load_coremltools()
    try:
        with quiet():
            return ct.models.utils.load_spec(str(path))
    except Exception as error:  # of coremltools and protobuf; they share no base class
        reason = first_line(error)
        raise InputError(f"{path} is no Core ML package, or it is damaged: {reason}") from None


def load_coremltools() -> ModuleType:
    """The module, imported when it is needed. Raises InputError where it is not installed."""
    try:
        with quiet():
            import coremltools
    except ModuleNotFoundError:
        raise InputError("Core ML needs coremltools: install edgevid[deploy]") from None
    module: ModuleType = coremltools
    return module


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back what coremltools prints: versions it was not tested with, its missing runtime, progress bars.

    What goes wrong comes as an exception, and the package is checked after it has been written.
    """
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
