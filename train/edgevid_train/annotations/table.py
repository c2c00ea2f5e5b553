"""Tables of text: comma-separated values and lists of lines, with the number of the row they stand in."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Row, read_text, shown
from edgevid_train.storage import shown as shown_path


def read_rows(path: Path, separator: str = ",") -> list[tuple[int, list[str]]]:
    """Line number (from 1) and fields of each row that is not blank. Raises InputError."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    except csv.Error as error:
        raise InputError(f"{shown_path(path)}: row {reader.line_num}: {error}") from None


def read_table(
    path: Path, needed: Sequence[str], one_of: Sequence[str] = (), optional: Sequence[str] = ()
) -> list[Row]:
    """The rows of a csv file under its header; a byte-order mark, Windows line ends and blank lines are fine.

    Raises:
        InputError: a column of `needed`, or each of `one_of`, is missing; one of them, or of `optional`, occurs twice;
            or a row has not as many fields as the header.
    """
    rows = read_rows(path)
    header = [name.strip() for name in rows[0][1]] if rows else []
    there = [name for name in optional if name in header]
    for name in [*needed, *([name for name in one_of if name in header] or one_of[:1]), *there]:
        if header.count(name) != 1:
            what = "is missing" if name not in header else "occurs twice"
            raise InputError(f"{shown_path(path)}: row 1: column {name!r} {what}; found: {_names(header)}")
    return [Row.of(header, values, f"{shown_path(path)}: row {number}") for number, values in rows[1:]]


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank. Raises InputError."""
    lines = enumerate(read_text(path).splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _names(header: list[str]) -> str:
    text = ", ".join(header) or "nothing"
    return text if text.isprintable() and len(text) <= 300 else shown(text)
