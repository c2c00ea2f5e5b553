"""`clips.csv`: `file,label[,group][,start_s,end_s][,split]`, `file` relative to the csv, other columns ignored."""

import csv
import io
import math
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.paths import inside
from edgevid_train.annotations.record import ClipRecord, label_fault

NAME = "clips.csv"
SPLITS = ("train", "val", "test")


def read_clips_csv(path: Path, group: str | None = None) -> list[ClipRecord]:
    """Read `path`. A byte-order mark, Windows line ends and blank lines are fine; the files need not exist.

    Args:
        group: name of the column that says what must not be split; by default `group`, and where there is none
            each video file is a group of its own.

    Raises:
        InputError: names the file, the row (1 is the header) and the field.
    """
    rows = _rows(path)
    header = [name.strip() for name in rows[0][1]] if rows else []
    for needed in ("file", "label", *([group] if group else [])):
        if header.count(needed) != 1:
            what = "is missing" if needed not in header else "occurs twice"
            raise InputError(f"{path}: row 1: column {needed!r} {what}; found: {_shown(header)}")
    records: list[ClipRecord] = []
    seen: dict[str, int] = {}
    for number, values in rows[1:]:
        where = f"{path}: row {number}"
        if len(values) != len(header):
            raise InputError(f"{where}: {len(values)} fields, the header has {len(header)}")
        row = {name: value.strip() for name, value in zip(header, values, strict=True)}
        record = _record(path.parent, row, group or "group", where)
        if record.id in seen:
            raise InputError(f"{where}: {record.id!r} stands in row {seen[record.id]} already")
        seen[record.id] = number
        records.append(record)
    return records


def _shown(header: list[str]) -> str:
    text = ", ".join(header) or "nothing"
    return text if text.isprintable() else repr(text)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and fields of each row that is not blank."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num}: {error}") from None


def _record(root: Path, row: dict[str, str], group: str, where: str) -> ClipRecord:
    for field in ("file", "label"):
        if not row[field]:
            raise InputError(f"{where}: field {field!r} is empty")
    fault = label_fault(row["label"])
    if fault is not None:
        raise InputError(f"{where}: field 'label': {fault}")
    file, name = inside(root, row["file"], where)
    start_s = _seconds(row, "start_s", where)
    end_s = _seconds(row, "end_s", where)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise InputError(f"{where}: end_s {end_s:g} is not after start_s {start_s or 0.0:g}")
    split = row.get("split") or None
    if split is not None and split not in SPLITS:
        raise InputError(f"{where}: field 'split': {split!r} is not one of {', '.join(SPLITS)}")
    return ClipRecord(file, name, (row["label"],), row.get(group) or name, start_s or 0.0, end_s, split)


def _seconds(row: dict[str, str], field: str, where: str) -> float | None:
    text = row.get(field)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{where}: field {field!r}: {text!r} is not a number of seconds")
    return value
