"""From what a person calls a model to a model that computes: find it, read its manifest, check its digest, open it."""

import difflib
from functools import partial
from pathlib import Path

from edgevid.assets import asset
from edgevid.errors import InputError
from edgevid.files import exists, is_folder
from edgevid.manifest import METADATA_KEY, Manifest
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.metadata import read_metadata
from edgevid.models.onnx import open_onnx
from edgevid.seal import digest_of, read_sealed

MAX_BYTES = 1 << 30
"""No file above this is opened as a model: it would be read into memory to learn that it is none."""


def bundled_models() -> dict[str, Path]:
    """Name -> file of the models that come with edgevid, without the clip graphs beside them (`NAME.clip.onnx`)."""
    try:
        files = sorted(asset("models").glob("*.onnx"))
    except InputError:  # an installation without models still runs those it is given as files
        return {}
    return {file.stem: file for file in files if not file.stem.endswith(".clip")}


def find_model(model: str | Path) -> Path:
    """The file of a model that is given by its bundled name or its path.

    Raises:
        InputError: neither a bundled name nor a file.
    """
    if model == "":
        raise InputError("an empty name names no model")
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    path = Path(model)
    if path.suffix == ".mlpackage" and is_folder(path):
        raise InputError(f"{path} is a Core ML package, for apps on Apple devices; edgevid runs the .onnx made with it")
    if is_folder(path):
        raise InputError(f"{path} is a directory, not a model file")
    if exists(path):
        return path
    if path.suffix in (".onnx", ".mlpackage") or len(path.parts) > 1:
        raise InputError(f"{path}: no such model file")
    close = difflib.get_close_matches(str(model), bundled, n=1)
    hint = f"did you mean {close[0]}?" if close else f"bundled: {', '.join(bundled) or 'none'}"
    raise InputError(f"no model is called {str(model)!r}, and no file either; {hint}")


def read_model(path: Path) -> tuple[bytes, Manifest]:
    """The bytes of an ONNX model file, read once, and its manifest; the digest is right.

    Raises:
        InputError: unreadable, empty, no ONNX model, without a manifest, with one that is not valid, or changed since
            it was sealed.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is no model for edgevid: it is larger than {MAX_BYTES >> 30} GB")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if not data:
        raise InputError(f"{path} is empty")
    try:
        metadata = read_metadata(data)
    except ValueError:
        raise InputError(f"{path} is no ONNX model, or it is damaged") from None
    if METADATA_KEY not in metadata:
        raise InputError(f"{path} is an ONNX model without a manifest; edgevid runs models that `edgevid export` wrote")
    return data, read_sealed(metadata[METADATA_KEY], path, partial(digest_of, data))


def load(model: str | Path, *, threads: int = 1) -> StreamModel | ClipModel:
    """Open a model, given by its bundled name or its file, ready to compute.

    Args:
        threads: of one step's arithmetic.

    Raises:
        InputError: no such model, or `read_model` or `open_onnx` refuse it.
    """
    path = find_model(model)
    data, manifest = read_model(path)
    return open_onnx(data, manifest, str(path), threads=threads)
