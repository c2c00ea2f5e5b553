"""OpenCV tells the terminal what we tell in a line of our own."""

import contextlib
import os
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


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Nothing at all on the process's standard error meanwhile: macOS's camera code writes there past every log.

    For moments in which no other thread has something to say.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
