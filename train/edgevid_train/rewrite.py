"""A model file with another manifest and the same network: thresholds, event rule, figures change afterwards."""

from pathlib import Path

from edgevid.files import check_file, replacing
from edgevid.manifest import METADATA_KEY, NO_DIGEST, Manifest
from edgevid.models.load import find_model, read_model
from edgevid.models.metadata import with_metadata
from edgevid.models.onnx import open_onnx
from edgevid.seal import seal


def rewrite(model: str | Path, manifest: Manifest, out: Path, *, force: bool = False) -> Manifest:
    """Write the network of `model`, given by its bundled name or its file, with `manifest` as the sealed file `out`.

    The graph is copied bit for bit, and nothing gets the name `out` that does not load. `out` may be the file itself.
    The digest in `manifest` does not matter.

    Returns: the sealed manifest.

    Raises:
        InputError: no such model, `manifest` does not fit its graph, `out` exists and `force` is not given, or it
            cannot be written.
    """
    check_file(out, force=force)
    data, _ = read_model(find_model(model))
    unsealed = manifest.model_copy(update={"digest": NO_DIGEST})
    with replacing(out) as temporary:
        temporary.write_bytes(with_metadata(data, METADATA_KEY, unsealed.to_json()))
        seal(temporary)
        return open_onnx(*read_model(temporary), str(out)).manifest
