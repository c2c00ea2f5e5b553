"""OpenCV tells the terminal what we tell in a line of our own."""

import contextlib
from collections.abc import Iterator

from cv2.utils import logging


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """No log lines of OpenCV meanwhile; the level is the whole process's."""
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
