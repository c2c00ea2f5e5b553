"""Fixtures that every test may use."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


# In the background of a shell SIGINT is ignored, and children inherit that; Ctrl-C is what some tests are about.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure: how long an example takes says nothing about the code. The same examples every time: a
# change is judged by what it changed. `--hypothesis-profile search` looks for new ones.
settings.register_profile("edgevid", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("edgevid")


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[None]:
    """Tests, and the commands they start, keep nothing in the user's cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEVID_CACHE"] = folder
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the repository, which is not part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recordings in {SHARED_DATA}, which are not part of the repository")
    return SHARED_DATA
