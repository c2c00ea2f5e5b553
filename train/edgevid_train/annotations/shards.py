"""Tar shards in WebDataset's layout: `000001.mp4` beside `000001.json`, `.cls` or `.txt`, which hold its label.

A shard is not streamed through from its beginning, as WebDataset's own library does, but indexed: its headers are read
once, and each clip is a range of bytes from then on, in a local file or behind an HTTP range. So the clips, their
labels and their lengths are known before the first step, as for files, and everything that follows from that works as
for files: splits by group, epochs that see every clip once, batches of like length, a run that goes on exactly where it
stopped, a ledger that names each clip that cannot be read. Reads stay in order nevertheless, since training shuffles
among few shards at a time (`edgevid_train.samples.sampler`).

`.json` holds `label` or `labels`, and perhaps `group`, `split`, `start_s` and `end_s`; or `clips`, a list of such
objects, for a video with several. A `.cls` or `.txt` holds the label itself. Where there are several, `.json` counts.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.clips_csv import SPLITS
from edgevid_train.annotations.entry import Entry, parsed, shown
from edgevid_train.annotations.paths import VIDEO_ENDINGS
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord, as_origin
from edgevid_train.annotations.table import read_lines
from edgevid_train.storage import ENDING, Member, address_of, is_written, named, read_shard, sign_as
from edgevid_train.storage import shown as shown_path

MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def names_shards(path: Path) -> bool:
    """Whether `path` is a shard, a pattern of them (`train-{000..009}.tar`), or a folder that holds some."""
    if path.suffix.lower() == ENDING:
        return True
    return address_of(path) is None and path.is_dir() and any(path.glob(f"*{ENDING}"))


def read_shards(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """The clips of a shard, of a pattern, of a folder of shards, or of those that a .txt names, one a line.

    Videos without a label, and labels without a video, are left out; so is what comes after a damage.

    Raises:
        InputError: a shard is missing or no tar file, a pattern names none, nothing in them has a label, or a label is
            malformed; names shard, member and field.
    """
    records: list[ClipRecord] = []
    unlabelled = alone = 0
    for shard, name, video, sayings in _read(path, say):
        if video is None or not sayings:
            unlabelled += video is not None
            alone += video is None
            continue
        where = f"{shown_path(shard)}: "
        records += _records(shard / video.name, f"{name}/{video.name}", sayings, where, options.group or "group")
    if unlabelled:
        say(f"{plural(unlabelled, 'video')} in shards without a label: left out")
    if alone:
        say(f"{plural(alone, 'sample')} in shards without a video: left out")
    if not records:
        what = "a video beside a .json, .cls or .txt of the same name, which holds its label"
        raise InputError(f"{shown_path(path)}: no labelled videos; each sample is {what}")
    return records


def shard_videos(path: Path, say: Say) -> list[ClipRecord]:
    """Every video of the same shards, whole, with its group where a `.json` says it; labels do not matter.

    Raises:
        InputError: as `read_shards`, or there is no video in them.
    """
    records = []
    for shard, name, video, sayings in _read(path, say):
        if video is None:
            continue
        member, group = sayings.get("json"), f"{name}/{video.name}"
        if member is not None and member.text is not None:
            value = parsed(member.text, where := f"{shown_path(shard)}: {member.name}")
            if isinstance(value, dict) and Entry(value, where).has("group"):
                group = Entry(value, where).text("group")
        records.append(ClipRecord(shard / video.name, f"{name}/{video.name}", ("",), group))
    if not records:
        raise InputError(f"{shown_path(path)}: no videos in the shards")
    return records


def _read(path: Path, say: Say) -> Iterator[tuple[Path, str, Member | None, dict[str, Member]]]:
    """Of every sample its shard, what reports call that, its video, and what is said about it."""
    from rich.console import Console
    from rich.progress import track

    shards = _shards(path)
    names = _names(shards)
    # What lies far away is read through once, which takes its time.
    console = Console(stderr=True)
    for shard in track(shards, "shards", console=console, transient=True, disable=not console.is_terminal):
        index = read_shard(shard)
        if index.fault is not None:
            say(f"{shown_path(shard)}: {index.fault}")
        for video, sayings in _samples(index.members.values()):
            yield shard, names[shard], video, sayings


def _names(shards: Sequence[Path]) -> dict[Path, str]:
    """Each shard from the folder on that holds them all; from its beginning where some are here and some far away."""
    try:
        root = Path(os.path.commonpath([shard.parent for shard in shards]))
    except ValueError:
        return {shard: shard.as_posix() for shard in shards}
    return {shard: shard.relative_to(root).as_posix() for shard in shards}


def _shards(path: Path) -> list[Path]:
    if path.suffix.lower() == ENDING:
        return _expanded(path)
    if path.suffix.lower() == ".txt":
        listed = [shard for _, line in read_lines(path) for shard in _expanded(_beside(path, line))]
        if not listed:
            raise InputError(f"{shown_path(path)}: names no shards")
        return listed
    found = sorted(path.glob(f"*{ENDING}")) if address_of(path) is None and path.is_dir() else []
    if not found:
        raise InputError(f"{shown_path(path)}: no {ENDING} files; expected a folder of them, a pattern or a .txt list")
    return found


def _beside(listed_in: Path, line: str) -> Path:
    """A line of a list: an address, or a path from the list's own folder."""
    file = named(line) if is_written(line) else listed_in.parent / line
    if address_of(listed_in) is not None and address_of(file) is None:
        raise InputError(f"{shown_path(listed_in)}: {shown(line)} is a file of this computer, which others cannot name")
    if not is_written(line):
        sign_as(file, listed_in)
    return file


def _expanded(path: Path) -> list[Path]:
    """`{000..009}` and `{a,b}`, as in a shell; a range keeps its zeros."""
    parts = _BRACES.split(str(path))
    choices = [_choices(part, shown_path(path)) if i % 2 else [part] for i, part in enumerate(parts)]
    shards = [Path("".join(chosen)) for chosen in itertools.islice(itertools.product(*choices), MOST_SHARDS + 1)]
    if len(shards) > MOST_SHARDS:
        raise InputError(f"{shown_path(path)}: more than {MOST_SHARDS} shards")
    for shard in shards:
        sign_as(shard, path)
    return shards


def _choices(text: str, where: str) -> list[str]:
    found = _RANGE.fullmatch(text)
    choices = text.split(",")
    if found is None and (len(choices) < 2 or ".." in text):
        raise InputError(f"{where}: {{{text}}} is neither a range like {{000..009}} nor a choice like {{a,b}}")
    if found is None:
        return choices
    first, last = found.groups()
    if int(last) < int(first):
        raise InputError(f"{where}: {{{text}}} ends before it begins")
    stop = min(int(last), int(first) + MOST_SHARDS)
    return [str(number).zfill(len(first)) for number in range(int(first), stop + 1)]


def _samples(members: Iterable[Member]) -> Iterator[tuple[Member | None, dict[str, Member]]]:
    """The video of each sample, and what is said about it, by ending; members of a sample share a name up to a dot."""
    samples: dict[str, tuple[list[Member], dict[str, Member]]] = {}
    for member in members:
        folder, _, base = member.name.rpartition("/")
        stem, dot, ending = base.partition(".")
        if not dot or base.startswith("."):
            continue
        videos, sayings = samples.setdefault(f"{folder}/{stem}", ([], {}))
        last = f".{ending.lower().rpartition('.')[2]}"
        if last in VIDEO_ENDINGS:
            videos.append(member)
        elif f".{ending.lower()}" in (".json", ".cls", ".txt"):
            sayings[ending.lower()] = member
    for videos, sayings in samples.values():
        for video in videos:
            yield video, sayings
        if not videos and sayings:
            yield None, sayings


def _records(file: Path, name: str, sayings: dict[str, Member], shard: str, group: str) -> list[ClipRecord]:
    kind = next(kind for kind in ("json", "cls", "txt") if kind in sayings)
    member = sayings[kind]
    where = f"{shard}{member.name}"
    if member.text is None:
        raise InputError(f"{where}: not UTF-8 text, or too much of it")
    if kind != "json":
        return [ClipRecord(file, name, (Entry({"label": member.text.strip()}, where).text("label"),), name)]
    value = parsed(member.text, where)
    if not isinstance(value, dict):
        raise InputError(f"{where}: {shown(value)} is not an object")
    whole = Entry(value, where)
    return [_record(file, name, clip, group) for clip in (whole.entries("clips") if whole.has("clips") else [whole])]


def _record(file: Path, name: str, entry: Entry, group: str) -> ClipRecord:
    start_s = entry.seconds("start_s") if entry.has("start_s") else 0.0
    end_s = entry.seconds("end_s") if entry.has("end_s") else None
    if end_s is not None and end_s <= start_s:
        raise entry.fault("end_s", f": {end_s:g} is not after start_s {start_s:g}")
    split = entry.text("split") if entry.has("split") else None
    if split is not None and split not in SPLITS:
        raise entry.fault("split", f": {shown(split)} is not one of {', '.join(SPLITS)}")
    group_name = entry.text(group) if entry.has(group) else name
    origin = as_origin(entry.values.get("origin"))
    return ClipRecord(file, name, _labels(entry), group_name, start_s, end_s, split, origin=origin)


def _labels(entry: Entry) -> tuple[str, ...]:
    if not entry.has("labels"):
        return (entry.text("label"),)
    values = entry.values["labels"]
    if not isinstance(values, list) or not values:
        raise entry.fault("labels", f": {shown(values)} is not a list of labels")
    return tuple(dict.fromkeys(Entry({"labels": value}, entry.where).text("labels") for value in values))
