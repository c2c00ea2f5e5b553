"""Events as JSON lines, to a file that others may follow as it grows, or to standard output."""

import contextlib
import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from edgevid.errors import InputError
from edgevid.events import Event
from edgevid.files import exists, passes_on, take_lock
from edgevid.notice import Notice
from edgevid.sinks.contract import View


@contextlib.contextmanager
def _writable(target: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"cannot write events to {target}: {reason or error}") from None


def _is_told(line: bytes) -> bool:
    """Whether it is what an earlier run wrote, an event or a notice."""
    try:
        told = json.loads(line)
    except ValueError:
        return False
    return isinstance(told, dict) and "schema" in told


class JsonLines:
    """One event or notice a line, each flushed. Not renamed into place at the end: others read it while it grows."""

    wants_views = False

    def __init__(self, file: TextIO) -> None:
        self._file = file

    @classmethod
    def open(cls, target: str) -> "JsonLines":
        """`-` for standard output, else a file, made empty now.

        Raises:
            InputError: it cannot be written, or another run is writing it.
        """
        if target == "-":
            return cls(sys.stdout)
        with _writable(target):
            path = Path(target)
            # At its end, wherever that is: who rotates logs copies the file and cuts it short
            file = path.open("w" if passes_on(path) else "a", encoding="utf-8", newline="\n")
            if file.mode == "a":
                try:
                    # Where the system, or the file's, knows no locks, it is written all the same
                    if isinstance(take_lock(file.fileno()), BlockingIOError):
                        raise BlockingIOError(errno.EAGAIN, "another run is writing it")
                    file.truncate(0)
                except BaseException:
                    file.close()
                    raise
            return cls(file)

    @staticmethod
    def check(target: str, *, sources: tuple[str, ...] = (), force: bool = False) -> None:
        """Fail now, with what is there as it was.

        Raises:
            InputError: it could not be written, it is one of `sources`, or it holds something else than events and
                `force` is not given.
        """
        if target == "-":
            return
        path = Path(target)
        if any(exists(source) and exists(path) and path.samefile(source) for source in sources):
            raise InputError(f"cannot write events to {target}: it is the source")
        with _writable(target):
            if not path.exists():
                with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent):
                    pass
            elif not passes_on(path):
                with path.open("rb+") as old:
                    first = old.readline(1 << 16)
                if first.strip() and not force and not _is_told(first):
                    raise InputError(f"{target} exists and holds no events; give --force to replace it")

    def event(self, event: Event) -> None:
        """Write one line and flush it."""
        self._write(event.to_json())

    def notice(self, notice: Notice) -> None:
        """Write one line and flush it."""
        self._write(notice.to_json())

    def view(self, view: View) -> None:
        """Nothing of a view is written."""

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._file is not sys.stdout:
            self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
