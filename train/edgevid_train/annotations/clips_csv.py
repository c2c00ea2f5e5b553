"""`clips.csv`: `file,label[,group][,start_s,end_s][,split]`, other columns ignored.

`file` is relative to the csv, or an address of its own, which may be signed. `edgevid data prepare` writes a column
`origin`, too, by which a network knows again what it was trained on, or is evaluated on, in another encoding.
"""

import re
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Row, shown
from edgevid_train.annotations.paths import inside
from edgevid_train.annotations.record import ClipRecord, as_origin, label_fault
from edgevid_train.annotations.table import read_table
from edgevid_train.storage import address_of, is_written, named, sign_as
from edgevid_train.storage import shown as shown_path

NAME = "clips.csv"
SPLITS = ("train", "val", "test")
OPTIONAL = ("group", "start_s", "end_s", "split")
_NEARLY = {
    **dict.fromkeys(("start", "begin", "start_sec", "start_time", "start_seconds"), "start_s"),
    **dict.fromkeys(("end", "stop", "end_sec", "end_time", "end_seconds"), "end_s"),
}


def read_clips_csv(path: Path, group: str | None = None) -> list[ClipRecord]:
    """Read `path`. A byte-order mark, Windows line ends and blank lines are fine; the files need not exist.

    A clip with several labels has them in a column `labels`, which then stands for `label`, with `;` or `|` between;
    in a column `label` these are characters like any other.

    Args:
        group: name of the column that says what must not be split; by default `group`, and where there is none
            each video file is a group of its own.

    Raises:
        InputError: names the file, the row (1 is the header) and the field.
    """
    records: list[ClipRecord] = []
    seen: dict[str, tuple[str, tuple[str, ...]]] = {}
    for row in read_table(path, ["file", *([group] if group else [])], ("label", "labels"), OPTIONAL):
        if not records:
            _check_columns(row, group)
        record = _record(path, row, group or "group")
        if record.id in seen:
            before, labels = seen[record.id]
            hint = "" if labels == record.labels else "; a clip with several labels has them in a column labels: a;b"
            raise InputError(f"{row.where}: {record.id!r} stands in {before} already{hint}")
        seen[record.id] = row.where.rpartition(": ")[2], record.labels
        records.append(record)
    return records


def _check_columns(row: Row, group: str | None) -> None:
    """Other columns are ignored, but not one that is nearly right."""
    known = {"file", "label", "labels", *OPTIONAL, *([group] if group else [])}
    for column in (name for name in row.values if name not in known):
        meant = _NEARLY.get(column.strip().lower(), column.strip().lower())
        if meant in known and not row.has(meant):
            raise InputError(f"{row.where}: there is a column {shown(column)}; is {meant!r} meant? Rename one of them")


def _record(table: Path, row: Row, group: str) -> ClipRecord:
    file, name = _file(table, row)
    start_s = row.seconds("start_s") if row.has("start_s") else 0.0
    end_s = row.seconds("end_s") if row.has("end_s") else None
    if end_s is not None and end_s <= start_s:
        raise InputError(f"{row.where}: end_s {end_s:g} is not after start_s {start_s:g}")
    split = row.values.get("split") or None
    if split is not None and split not in SPLITS:
        raise row.fault("split", f": {shown(split)} is not one of {', '.join(SPLITS)}")
    return ClipRecord(
        file,
        name,
        _labels(row),
        row.text(group) if row.has(group) else name,
        start_s,
        end_s,
        split,
        origin=as_origin(row.values.get("origin")),
    )


def _file(table: Path, row: Row) -> tuple[Path, str]:
    """A file in the table's own folder, or whatever is at an address."""
    text = row.text("file")
    if is_written(text):
        try:
            file = named(text)
        except InputError as error:
            raise row.fault("file", f": {error}") from None
        address = address_of(file)
        if address is not None:
            return file, shown_path(file).partition("://")[2]
        text = str(file)
    file, name = inside(table.parent, text, row.where)
    sign_as(file, table)
    return file, name


def _labels(row: Row) -> tuple[str, ...]:
    column = "labels" if "labels" in row.values else "label"
    text = row.text(column)
    labels = (text,) if column == "label" else tuple(dict.fromkeys(part.strip() for part in re.split("[;|]", text)))
    for label in labels:
        fault = label_fault(label)
        if fault is not None:
            raise row.fault(column, f": {fault}")
    return labels
