"""Jester: `id;label` lines (v1), or csv with video_id, label, … ; folders of JPEG images, or videos `ID.webm`."""

from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Row, shown
from edgevid_train.annotations.media import annotation_files, find_media, holds_images, located, split_in
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_lines, read_rows, read_table

FILES = tuple(f"*{word}*.csv" for split in ("train", "val", "test") for word in (split, split.title()))
RATE_HZ = 12.0
"""Of the folders of images, as the data set is published."""


def read_jester(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    """A clip a row. Where a file `…labels.csv` lies beside, a label must stand in it. Test sets have none.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, FILES, but=["*labels*"])
    labels_file = next(iter(sorted(files[0].parent.glob("*labels.csv"))), None)
    labels = None if labels_file is None else {line for _, line in read_lines(labels_file)}
    unlabelled = 0
    clips: list[tuple[Row, str | None]] = []
    for file in files:
        split = split_in(file.name)
        for row in _rows(file):
            if split == "test" and not row.has("label"):
                unlabelled += 1
                continue
            if labels is not None and row.text("label") not in labels:
                raise row.fault("label", f": {shown(row.text('label'))} is outside the taxonomy, {labels_file}")
            clips.append((row, split))
    if unlabelled:
        say(f"{plural(unlabelled, 'clip')} of the test set left out: without a label")
    media = find_media(root, {row.identifier("video_id") for row, _ in clips})
    records = []
    for row, split in clips:
        clip_id = row.identifier("video_id")
        found = media.get(clip_id)
        file, name = located(root, found, f"20bn-jester-v1/{clip_id}", row.where, "video_id")
        rate_hz = RATE_HZ if found is None or holds_images(found) else None
        records.append(ClipRecord(file, name, (row.text("label"),), clip_id, split=split, rate_hz=rate_hz))
    return records


def _rows(file: Path) -> list[Row]:
    rows = read_rows(file, ";")
    if rows and "," in rows[0][1][0]:
        return read_table(file, ["video_id"])
    for number, values in rows:
        if len(values) > 2:
            raise InputError(f"{file}: row {number}: {len(values)} fields, expected id;label")
    return [Row.of(["video_id", "label"][: len(row)], row, f"{file}: row {number}") for number, row in rows]
