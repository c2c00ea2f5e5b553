"""Core ML packages with faults in them that their seal does not show."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid.manifest import METADATA_KEY, NO_DIGEST
from edgevid.seal import seal


def rewrite(package: Path, change: Callable[[Any], None]) -> None:
    """Change a package's protobuf and seal the package anew, as nobody but a fault would."""
    import coremltools as ct

    spec = ct.models.utils.load_spec(str(package))
    metadata = spec.description.metadata.userDefined
    sealed = json.loads(metadata[METADATA_KEY])
    metadata[METADATA_KEY] = metadata[METADATA_KEY].replace(sealed["digest"], NO_DIGEST)
    change(spec)
    (package / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(spec.SerializeToString())
    seal(package)
