"""Reading `.npz` files that people give: whatever is wrong with one is one kind of error."""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import first_line

UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError),
)
"""What numpy, zipfile and zlib are known to raise for bytes that are none of theirs."""


class NpzError(Exception):
    """The file is there and is no `.npz` of plain arrays, or is damaged; says what is wrong."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Every array in it, by name.

    Raises:
        FileNotFoundError, PermissionError: there is no such file, or nobody may look.
        NpzError: it cannot be read as one.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, PermissionError):
        raise
    except UNREADABLE as error:
        raise NpzError(first_line(error) if str(error) else "it is empty") from None
