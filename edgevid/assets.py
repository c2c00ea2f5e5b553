"""Where the files lie that come with edgevid: models, the demo clip."""

from pathlib import Path
from typing import Final

from edgevid.errors import InputError

_IN_WHEEL = Path(__file__).parent / "assets"
ASSETS: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parent.parent / "assets"
"""The folder of assets: inside the package when installed from a wheel, at the top of a checkout."""


def asset(place: str) -> Path:
    """The file at `place` below the folder of assets, such as `demo/demo.mp4`.

    Raises:
        InputError: this installation lacks it.
    """
    path = ASSETS / place
    if not path.exists():
        raise InputError(f"{path} is missing: this installation of edgevid is incomplete")
    return path
