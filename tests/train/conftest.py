"""Training tests compute with one thread, and share one small folder of clips."""

import os
from pathlib import Path

import pytest
from tiny_run import RECIPE, write_clips


@pytest.fixture(scope="session", autouse=True)
def _no_patience() -> None:
    """No test waits for a server that it has stopped itself."""
    os.environ["EDGEVID_RETRY_S"] = "0"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 clips in 5 groups, each with one `left`, one `right` and one `other`. Not to be written to."""
    return write_clips(tmp_path_factory.mktemp("clips"), ["left", "right", "other"] * 5)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a tiny recipe."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path
