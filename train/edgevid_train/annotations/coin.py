"""COIN: `COIN.json`, with `taxonomy.csv` for its domains (https://coin-dataset.github.io).

`taxonomy.csv` is the first sheet of its `taxonomy.xlsx`, saved as csv: columns Domains and Targets. Videos are called
by their YouTube id, anywhere below the data folder.
"""

from collections import Counter
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Entry, read_object, shown
from edgevid_train.annotations.media import SPLIT_NAMES, annotation_files, beside, find_media, located, within_video
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord
from edgevid_train.annotations.table import read_table

TARGETS = ("step", "task", "domain")
TAXONOMY = "taxonomy.csv"


def read_coin(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """The target is each annotated `step`; or the whole of what a video shows of its `task` (180) or `domain` (12).

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, ["COIN*.json"])
    domains = _domains(files[0], root) if options.target == "domain" else {}
    videos: list[tuple[str, Entry]] = []
    for file in files:
        database = read_object(file).entry("database")
        videos += [(video_id, database.entry(video_id)) for video_id in database.values]
    media = find_media(root, {video_id for video_id, _ in videos})
    counts: Counter[str] = Counter()
    records = []
    for video_id, video in videos:
        if "/" in video_id or "\\" in video_id:
            raise InputError(f"{video.where}: cannot be a file's name")
        file, name = located(root, media.get(video_id), f"videos/{video_id}.mp4", video.where, "database")
        split = _split(video)
        last_s = video.seconds("duration") if video.has("duration") else None
        for entry, label, start_s, end_s in _spans(video, options.target, domains):
            if end_s <= start_s:
                raise InputError(f"{entry.where}: the span ends at {end_s:g} s and begins at {start_s:g} s")
            span = within_video(start_s, end_s, last_s, counts)
            if span is not None:
                records.append(ClipRecord(file, name, (label,), video_id, *span, split))
    for what, count in counts.items():
        say(f"{plural(count, 'span')} {what}")
    return records


def _spans(video: Entry, target: str | None, domains: dict[str, str]) -> list[tuple[Entry, str, float, float]]:
    """Where it stands, label, start and end in seconds."""
    if target in ("task", "domain"):
        label = video.text("class")
        if target == "domain" and label not in domains:
            raise video.fault("class", f": {shown(label)} is outside the taxonomy, {TAXONOMY}")
        return [(video, domains.get(label, label), video.seconds("start"), video.seconds("end"))]
    return [(step, step.text("label"), *_segment(step)) for step in video.entries("annotation")]


def _segment(step: Entry) -> tuple[float, float]:
    pair = step.values.get("segment")
    if not isinstance(pair, list) or len(pair) != 2:
        raise step.fault("segment", "is not a pair of seconds")
    begin, end = Entry({"segment": pair[0]}, step.where), Entry({"segment": pair[1]}, step.where)
    return begin.seconds("segment"), end.seconds("segment")


def _split(video: Entry) -> str | None:
    if not video.has("subset"):
        return None
    subset = video.text("subset")
    if subset not in SPLIT_NAMES:
        raise video.fault("subset", f": {shown(subset)} is not one of {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[subset]


def _domains(annotations: Path, root: Path) -> dict[str, str]:
    """Task -> domain. A domain that is left out is that of the row above, as merged cells are saved."""
    path = beside(annotations, root, TAXONOMY)
    if path is None:
        raise InputError(f"{annotations}: --target domain needs {TAXONOMY} beside it, the first sheet of taxonomy.xlsx")
    domains: dict[str, str] = {}
    domain = None
    for row in read_table(path, ["Domains", "Targets"]):
        domain = row.text("Domains") if domain is None or row.has("Domains") else domain
        domains[row.text("Targets")] = domain
    return domains
