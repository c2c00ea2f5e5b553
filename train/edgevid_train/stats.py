"""What is in a data folder, from annotations and file headers; nothing is decoded."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.errors import InputError
from edgevid.sources import SourceInfo, open_source
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data


def look_at(path: Path, options: ReadOptions) -> dict[str, Any]:
    """Counts and distributions, ready for JSON. Missing and unreadable files are counted and named, not an error.

    Raises:
        InputError: no labelled videos, or malformed annotations.
    """
    records = read_data(path, options)
    infos: dict[Path, SourceInfo] = {}
    missing: list[str] = []
    unreadable: list[dict[str, str]] = []
    for file, name in {record.file: record.name for record in records}.items():
        if not file.exists():
            missing.append(name)
            continue
        try:
            with open_source(file, pace="fast") as source:
                infos[file] = source.info
        except InputError as error:
            unreadable.append({"file": name, "reason": str(error).removeprefix(f"{file}: ")})
    labels = Counter(label for record in records for label in record.labels)
    groups: dict[str, set[str]] = {}
    for record in records:
        for label in record.labels:
            groups.setdefault(label, set()).add(record.group)
    durations = {record: length for record in records if (length := _duration_s(record, infos)) is not None}
    return {
        "path": str(path),
        "clips": len(records),
        "files": len({record.file for record in records}),
        "groups": len({record.group for record in records}),
        "splits": dict(Counter(record.split or "none" for record in records)),
        "labels": {
            label: {
                "clips": count,
                "groups": len(groups[label]),
                "seconds": _spread([s for record, s in durations.items() if label in record.labels]),
            }
            for label, count in labels.most_common()
        },
        "seconds": _spread(list(durations.values())),
        "rates_hz": _spread([info.rate_hz for info in infos.values() if info.rate_hz is not None]),
        "sizes": dict(Counter(f"{info.width}x{info.height}" for info in infos.values()).most_common()),
        "missing": missing,
        "unreadable": unreadable,
        "leaks": _leaks(records),
    }


def show(found: dict[str, Any]) -> None:
    """Print it for a person."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("label", "clips", "groups", "seconds (least, median, most)", box=SIMPLE_HEAD, pad_edge=False)
    for label, row in found["labels"].items():
        table.add_row(Text(label), str(row["clips"]), str(row["groups"]), _three(row["seconds"]))
    console.print(table)
    lines = [
        f"{found['clips']} clips in {found['files']} files, {len(found['labels'])} labels, {found['groups']} groups",
        f"seconds {_three(found['seconds'])}, frames per second {_three(found['rates_hz'])}",
        "sizes " + (", ".join(f"{size} ({n})" for size, n in list(found["sizes"].items())[:5]) or "unknown"),
        "splits " + ", ".join(f"{split} ({n})" for split, n in found["splits"].items()),
    ]
    if found["missing"]:
        lines.append(f"missing: {len(found['missing'])} files, {found['missing'][0]} for one")
    lines += [f"unreadable: {entry['file']}: {entry['reason']}" for entry in found["unreadable"]]
    lines += [f"in one group only, so never both trained and tested: {label}" for label in _lonely(found)]
    lines += [f"leak: group {group} is in several splits" for group in found["leaks"]]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _duration_s(record: ClipRecord, infos: dict[Path, SourceInfo]) -> float | None:
    """Of the span; of the file where the record ends with it and the file says how long it is."""
    info = infos.get(record.file)
    end_s = record.end_s if record.end_s is not None else info.duration_s if info else None
    return None if end_s is None else end_s - record.start_s


def _leaks(records: Sequence[ClipRecord]) -> list[str]:
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.group, set()).add(record.split or "train")
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _lonely(found: dict[str, Any]) -> list[str]:
    return [label for label, row in found["labels"].items() if row["groups"] == 1]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"least": float(min(values)), "median": float(np.median(values)), "most": float(max(values))}


def _three(spread: dict[str, float] | None) -> str:
    return "unknown" if spread is None else " ".join(f"{value:.4g}" for value in spread.values())
