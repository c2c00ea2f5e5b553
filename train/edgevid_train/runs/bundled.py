"""Weights that come with edgevid, to begin a training from. No torch here: the command line reads it."""

from pathlib import Path

from edgevid.assets import ASSETS

WEIGHTS_TO_BEGIN_FROM = ASSETS / "weights"
"""Checkpoints that come with edgevid, each a folder with its card beside it."""


def bundled_weights() -> list[str]:
    """Names that `--init` takes beside paths."""
    return sorted(folder.name for folder in WEIGHTS_TO_BEGIN_FROM.glob("*") if folder.is_dir())


def init_from(given: Path) -> Path:
    """What `--init` means, absolute: a path, or where nothing is there the name of weights that come with edgevid."""
    named = str(given) in bundled_weights() and not given.exists()
    return WEIGHTS_TO_BEGIN_FROM / given if named else given.absolute()
