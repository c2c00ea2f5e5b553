"""EPIC-KITCHENS-100: `EPIC_100_train.csv`, `EPIC_100_validation.csv`, with classes and `EPIC_100_video_info.csv`.

Media: `P01/videos/P01_01.MP4`, or folders of images `P01/rgb_frames/P01_01` (https://epic-kitchens.github.io).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgevid_train.annotations.entry import Row, shown
from edgevid_train.annotations.media import (
    annotation_files,
    beside,
    find_media,
    holds_images,
    located,
    split_in,
    within_video,
)
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_table

TARGETS = ("verb", "noun", "action")
VIDEO_INFO = "EPIC_100_video_info.csv"
CLASSES = {
    "verb": ("EPIC_100_verb_classes.csv",),
    "noun": ("EPIC_100_noun_classes_v2.csv", "EPIC_100_noun_classes.csv"),
}
_COLUMNS = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp")
_TIMESTAMP = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)", re.ASCII)


def read_epic(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """One action a row, in seconds of its video; verb and noun are those of their class, not the narrator's own words.

    A participant is a group, since each films in a kitchen of their own; `--group video_id` is less strict.

    Raises:
        InputError: names the file, the row and the field.
    """
    root, files = annotation_files(path, ["EPIC_100_train.csv", "EPIC_100_validation.csv"])
    fields = ("verb", "noun") if options.target == "action" else (options.target or TARGETS[0],)
    needed = [*_COLUMNS, *(f"{field}{end}" for field in fields for end in ("", "_class"))]
    group = options.group or "participant_id"
    tables = [(split_in(file.name), read_table(file, [*dict.fromkeys([*needed, group])])) for file in files]
    rows = [row for _, table in tables for row in table]
    words = {field: _words(field, rows, files[0], root, say) for field in fields}
    info = beside(files[0], root, VIDEO_INFO)
    videos = {} if info is None else {row.identifier("video_id"): row for row in read_table(info, ["video_id"])}
    media = find_media(root, {row.identifier("video_id") for row in rows})
    counts: Counter[str] = Counter()
    records = []
    for split, table in tables:
        for row in table:
            label = " ".join(_word(row, field, words[field]) for field in fields)
            video_id = row.identifier("video_id")
            start_s, end_s = (_seconds(row, field) for field in ("start_timestamp", "stop_timestamp"))
            video = videos.get(video_id)
            last_s = video.seconds("duration") if video is not None and "duration" in video.values else None
            if end_s <= start_s:
                raise row.fault("stop_timestamp", f": {row.text('stop_timestamp')} is not after start_timestamp")
            span = within_video(start_s, end_s, last_s, counts)
            if span is None:
                continue
            expected = f"{video_id.partition('_')[0]}/videos/{video_id}.MP4"
            file, name = located(root, media.get(video_id), expected, row.where, "video_id")
            rate_hz = _rate_hz(row, video) if holds_images(file) else None
            records.append(ClipRecord(file, name, (label,), row.text(group), *span, split, rate_hz))
    for what, count in counts.items():
        say(f"{plural(count, 'span')} {what}")
    return records


def _words(field: str, rows: Sequence[Row], annotations: Path, root: Path, say: Say) -> dict[int, str]:
    """Name of each class: EPIC's own, else the verb or noun that its narrators used most."""
    path = beside(annotations, root, *CLASSES[field])
    if path is not None:
        return {row.whole("id"): row.text("key") for row in read_table(path, ["id", "key"])}
    say(f"{CLASSES[field][0]} is not there: classes bear the {field} that narrators used most")
    used: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        used[row.whole(f"{field}_class")][row.text(field)] += 1
    return {number: words.most_common(1)[0][0] for number, words in used.items()}


def _word(row: Row, field: str, words: Mapping[int, str]) -> str:
    number = row.whole(f"{field}_class")
    if number not in words:
        raise row.fault(f"{field}_class", f": {number} is outside the taxonomy, which has {len(words)} classes")
    return words[number]


def _seconds(row: Row, field: str) -> float:
    text = row.text(field)
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise row.fault(field, f": {shown(text)} is not a time as in 00:01:02.34")
    return round(int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]), 6)


def _rate_hz(row: Row, video: Row | None) -> float:
    """Of a folder of images, which does not know it."""
    if video is None:
        raise row.fault("video_id", f": {VIDEO_INFO} does not say how many images a second its folder holds")
    rate_hz = video.number("fps")
    if rate_hz <= 0:
        raise video.fault("fps", f": {rate_hz:g} is not a rate")
    return rate_hz
