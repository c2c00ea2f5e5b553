"""What is in a data folder, from annotations and file headers; nothing is decoded but a first frame."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.errors import InputError
from edgevid.sources import SourceInfo, open_source
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.decode.chunks import chunks_of
from edgevid_train.review.quality import quality_of_all
from edgevid_train.storage import is_one_file, media, shown

BEYOND_S = 0.5
"""By so much a span may be longer than its file says that it is."""
SHOWN = 40
"""Labels that fit onto a screen; the file of --json has them all."""


@dataclass(frozen=True)
class Survey:
    """A data folder that was looked at.

    Attributes:
        infos: what the headers of the files say that could be opened.
        missing: names of files that are not there.
        unreadable: file and reason.
        notes: what the reader of the annotations left out, cut or guessed.
        quality: see `quality_of_all`; None where it was not asked for.
    """

    path: Path
    records: tuple[ClipRecord, ...]
    infos: dict[Path, SourceInfo]
    missing: tuple[str, ...]
    unreadable: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    quality: dict[str, Any] | None = None

    def duration_s(self, record: ClipRecord) -> float | None:
        """Of the span, as far as its file goes by its header; None where neither says, or nothing of it is there."""
        info = self.infos.get(record.file)
        ends = [end_s for end_s in (record.end_s, info.duration_s if info else None) if end_s is not None]
        return min(ends) - record.start_s if ends and min(ends) >= record.start_s else None

    def beyond(self) -> list[str]:
        """The clips that begin or end behind the end of their file, as far as its header knows that."""
        known = {file: info.duration_s for file, info in self.infos.items() if info.duration_s is not None}
        return [
            record.id
            for record in self.records
            if record.file in known and max(record.start_s, record.end_s or 0.0) > known[record.file] + BEYOND_S
        ]

    def to_json(self) -> dict[str, Any]:
        """Counts and distributions."""
        of_label: defaultdict[str, list[ClipRecord]] = defaultdict(list)
        for record in self.records:
            for label in record.labels:
                of_label[label].append(record)
        sizes = Counter(f"{info.width}x{info.height}" for info in self.infos.values())
        return {
            "path": shown(self.path),
            "clips": len(self.records),
            "files": len({record.file for record in self.records}),
            "groups": len({record.group for record in self.records}),
            "splits": dict(Counter(record.split or "none" for record in self.records)),
            "several_labels": sum(len(record.labels) > 1 for record in self.records),
            "labels": {
                label: {
                    "clips": len(found),
                    "groups": len({record.group for record in found}),
                    "seconds": self._seconds(found),
                }
                for label, found in sorted(of_label.items(), key=lambda item: -len(item[1]))
            },
            "seconds": self._seconds(self.records),
            "rates_hz": _spread([info.rate_hz for info in self.infos.values() if info.rate_hz is not None]),
            "sizes": dict(sizes.most_common()),
            "missing": list(self.missing),
            "unreadable": list(self.unreadable),
            "beyond": self.beyond(),
            "leaks": leaks(self.records),
            "notes": list(self.notes),
            **({} if self.quality is None else {"quality": self.quality}),
        }

    def _seconds(self, records: Sequence[ClipRecord]) -> dict[str, float] | None:
        return _spread([seconds for record in records if (seconds := self.duration_s(record)) is not None])


def look_at(path: Path, options: ReadOptions, *, quality: bool = False) -> Survey:
    """Read annotations and headers. Missing and unreadable files are counted and named, not an error.

    `quality`: decode every clip whose file is there too, and measure its picture.

    Raises:
        InputError: no labelled videos, or malformed annotations.
    """
    from rich.console import Console
    from rich.progress import track

    notes: list[str] = []
    records = read_data(path, options, notes.append)
    infos: dict[Path, SourceInfo] = {}
    missing: list[str] = []
    unreadable: list[dict[str, str]] = []
    files = {record.file: record for record in records}
    console = Console(stderr=True)
    bar: dict[str, Any] = {"console": console, "transient": True, "disable": not console.is_terminal}
    for file, record in track(files.items(), "files", **bar):
        if not file.exists() and not is_one_file(file):
            missing.append(record.name)
            continue
        try:
            infos[file] = _header(record)
        except InputError as error:
            unreadable.append({"file": record.name, "reason": str(error).removeprefix(f"{shown(file)}: ")})
    measured = None
    if quality:
        readable = [record for record in records if record.file in infos]
        measured = quality_of_all(track(readable, "quality", **bar))
    return Survey(path, tuple(records), infos, tuple(missing), tuple(unreadable), tuple(notes), measured)


def leaks(records: Sequence[ClipRecord]) -> list[str]:
    """Groups that are in several splits, and files, by whatever names, that are though their groups are not."""
    of_groups: defaultdict[str, set[str]] = defaultdict(set)
    of_files: defaultdict[str, set[str]] = defaultdict(set)
    of_file: defaultdict[str, list[ClipRecord]] = defaultdict(list)
    for record in records:
        file, split = os.path.realpath(record.file), record.split or "train"
        of_groups[record.group].add(split)
        of_files[file].add(split)
        of_file[file].append(record)
    groups = {group for group, found in of_groups.items() if len(found) > 1}
    files = {
        of_file[file][0].name
        for file, found in of_files.items()
        if len(found) > 1 and not groups.intersection(record.group for record in of_file[file])
    }
    return [*(f"group {group}" for group in sorted(groups)), *(f"file {file}" for file in sorted(files))]


def show(found: dict[str, Any]) -> None:
    """Print it for a person."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("label", "clips", "groups", "seconds (least, median, most)", box=SIMPLE_HEAD, pad_edge=False)
    labels = found["labels"]
    for label, row in list(labels.items())[:SHOWN]:
        table.add_row(Text(label), str(row["clips"]), str(row["groups"]), _three(row["seconds"]))
    console.print(table)
    more = [f"and {len(labels) - SHOWN} rarer labels; --json and --out have them all"] if len(labels) > SHOWN else []
    lines = [
        *more,
        f"{found['clips']} clips in {found['files']} files, {len(labels)} labels, {found['groups']} groups",
        f"seconds {_three(found['seconds'])}, frames per second {_three(found['rates_hz'])}",
        "sizes " + (", ".join(f"{size} ({n})" for size, n in list(found["sizes"].items())[:5]) or "unknown"),
        "splits " + ", ".join(f"{split} ({n})" for split, n in found["splits"].items()),
    ]
    if found["missing"]:
        lines.append(f"missing: {len(found['missing'])} files, {found['missing'][0]} for one")
    lines += _first([f"unreadable: {entry['file']}: {entry['reason']}" for entry in found["unreadable"]])
    lonely = [label for label, row in labels.items() if row["groups"] == 1]
    lines += _first([f"in one group only, so never both trained and tested: {label}" for label in lonely])
    lines += _first([f"begins or ends behind the end of its file: {clip}" for clip in found["beyond"]])
    lines += _first([f"leak: {what} is in several splits" for what in found["leaks"]])
    lines += _of_quality(found["quality"]) if "quality" in found else []
    lines += [f"note: {line}" for line in found["notes"]]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _of_quality(quality: dict[str, Any]) -> list[str]:
    clips = quality["clips"]
    faulty = [f"{clip['clip']}: {', '.join(clip['faults'])}" for clip in clips if clip["faults"]]
    counts = ", ".join(f"{n} {fault}" for fault, n in quality["faults"].items()) or "nothing to look at"
    bad = [f"cannot be decoded: {entry['clip']}: {entry['reason']}" for entry in quality["unreadable"]]
    return [f"quality of {len(clips)} clips: {counts}", *_first(faulty), *_first(bad)]


def _header(record: ClipRecord) -> SourceInfo:
    """Of the file; of a video in chunks that of the first one, which does not know how long all are.

    Raises:
        InputError: it cannot be opened.
    """
    chunks = chunks_of(record)
    file = chunks[0][1] if chunks else record.file
    with open_source(media(file), pace="fast", rate_hz=record.rate_hz) as source:
        return replace(source.info, duration_s=None) if chunks else source.info


def _first(lines: list[str], most: int = 10) -> list[str]:
    """The first of many like ones, and how many more there are."""
    return lines if len(lines) <= most else [*lines[:most], f"… and {len(lines) - most} more like this"]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"least": float(min(values)), "median": float(np.median(values)), "most": float(max(values))}


def _three(spread: dict[str, float] | None) -> str:
    return "unknown" if spread is None else " ".join(f"{value:.4g}" for value in spread.values())
