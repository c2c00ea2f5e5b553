"""Kinetics: csv files with label, youtube_id, time_start, time_end, split.

Media: `YOUTUBE_000012_000022.mp4`, cut at these seconds, anywhere below the data folder; or whole videos `YOUTUBE.mp4`.
"""

from pathlib import Path

from edgevid_train.annotations.entry import Row, shown
from edgevid_train.annotations.media import SPLIT_NAMES, annotation_files, find_media, located, split_in
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_table

COLUMNS = ("youtube_id", "time_start", "time_end")


def read_kinetics(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """A clip a row; the video it was cut from is its group. Rows without a label, as in test sets, are left out.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, ["*train*.csv", "*val*.csv", "*test*.csv"])
    unlabelled = 0
    rows: list[tuple[Row, str, str | None]] = []
    for file in files:
        for row in read_table(file, [*COLUMNS, *([options.group] if options.group else [])]):
            split = _split(row, file)
            if split == "test" and not row.has("label"):
                unlabelled += 1
            else:
                rows.append((row, _cut_name(row), split))
    if unlabelled:
        say(f"{plural(unlabelled, 'clip')} of the test set left out: without a label")
    media = find_media(root, {cut for _, cut, _ in rows} | {row.identifier("youtube_id") for row, _, _ in rows})
    records = []
    for row, cut, split in rows:
        whole = media.get(row.identifier("youtube_id")) if cut not in media else None
        file, name = located(root, media.get(cut) or whole, f"{cut}.mp4", row.where, "youtube_id")
        start_s, end_s = (row.seconds("time_start"), row.seconds("time_end")) if whole else (0.0, None)
        group = row.text(options.group or "youtube_id")
        records.append(ClipRecord(file, name, (row.text("label"),), group, start_s, end_s, split))
    return records


def _cut_name(row: Row) -> str:
    start_s, end_s = row.whole("time_start"), row.whole("time_end")
    if end_s <= start_s:
        raise row.fault("time_end", f": {end_s} is not after time_start {start_s}")
    return f"{row.text('youtube_id')}_{start_s:06d}_{end_s:06d}"


def _split(row: Row, file: Path) -> str | None:
    if not row.has("split"):
        return split_in(file.name)
    if row.text("split") not in SPLIT_NAMES:
        raise row.fault("split", f": {shown(row.text('split'))} is not one of {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[row.text("split")]
