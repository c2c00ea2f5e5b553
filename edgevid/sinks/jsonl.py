"""Events as JSON lines, to a file that others may follow as it grows, or to standard output."""

import sys
from pathlib import Path
from typing import TextIO

from edgevid.errors import InputError
from edgevid.events import Event
from edgevid.files import exists
from edgevid.notice import Notice
from edgevid.sinks.contract import View


class JsonLines:
    """One event or notice a line, each flushed. Not renamed into place at the end: others read it while it grows."""

    wants_views = False

    def __init__(self, file: TextIO) -> None:
        self._file = file

    @classmethod
    def open(cls, target: str, *, sources: tuple[str, ...] = (), force: bool = False) -> "JsonLines":
        """`-` for standard output, else a file, made empty now.

        Raises:
            InputError: it cannot be written, it is one of `sources`, or it holds something that is no text and `force`
                is not given.
        """
        if target == "-":
            return cls(sys.stdout)
        path = Path(target)
        if any(exists(source) and exists(path) and path.samefile(source) for source in sources):
            raise InputError(f"cannot write events to {target}: it is the source")
        try:
            if path.is_file() and not force:
                with path.open("rb") as old:
                    if b"\0" in old.read(4096):
                        raise InputError(f"{target} exists and holds no events; give --force to replace it")
            return cls(path.open("w", encoding="utf-8", newline="\n"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise InputError(f"cannot write events to {target}: {reason or error}") from None

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
