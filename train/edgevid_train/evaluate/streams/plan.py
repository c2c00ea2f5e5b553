"""How clips become long streams: which follows which, and what stands between them.

The clips of a group (a scene) stay together and in one stream, so that streams share nothing. Between actions stand
gaps: clips of the background label, pieces of negative video, and rests, where the scene before or after is held while
the camera moves slowly. Everything follows from the seed.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND
from edgevid.sources import open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE
from edgevid_train.storage import media

MOST_PART_S = 4.0
"""A longer gap is made of several parts."""
LEAST_NEGATIVE_S = 1.0
"""A shorter part is a rest, not a piece of negative video."""
LATEST_NEGATIVE_S = 60.0
"""A piece of negative video begins no later in its file: all before it has to be decoded."""
LAST_S = 1.5
"""A stream goes on for at least so long after its last action."""
LEAST_MINUTES = 0.01
"""Of a stream: as long as one short clip. Of shorter ones there would be more than can be counted."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How streams are laid out.

    Attributes:
        minutes: about how long each is; a group with more makes a longer one.
        gaps: share of the time between actions, background clips included.
        laps: how often every clip is shown, each time in another order and between other gaps.
    """

    minutes: float = 3.0
    gaps: float = 0.4
    laps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minutes) and self.minutes >= LEAST_MINUTES):
            raise InputError(f"--minutes is at least {LEAST_MINUTES:g}, not {self.minutes:g}")
        if not 0 <= self.gaps <= 0.5:
            raise InputError(f"gaps are at most half of the time, not {self.gaps:g} of it")


@dataclass(frozen=True, slots=True)
class Video:
    """What is known of a file before it is played. `width`, `height`: as the runtime gives its frames."""

    file: Path
    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A span of a video. `record`: the clip it is; None for a piece of negative video. `rate_hz`: at most that."""

    file: Path
    start_s: float
    end_s: float | None
    record: ClipRecord | None = None
    rate_hz: float = math.inf

    @property
    def is_action(self) -> bool:
        return self.record is not None and self.record.label != BACKGROUND


@dataclass(frozen=True, slots=True)
class Rest:
    """A frame held while the camera moves: the last of the span `before`, or the first of the one that comes next."""

    seconds: float
    rate_hz: float
    before: bool
    seed: int


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream. `width`, `height`: of all its frames, those of most of its clips."""

    name: str
    width: int
    height: int
    pieces: tuple[Shown | Rest, ...]


@dataclass
class Plans:
    """All streams, and what is in none of them: file -> reason, and the actions among those."""

    streams: list[StreamPlan]
    skipped: dict[str, str] = field(default_factory=dict)
    unreadable: list[ClipRecord] = field(default_factory=list)
    left_out: list[ClipRecord] = field(default_factory=list)
    """Background clips for which the gaps had no room."""


def probe(file: Path, least_s: float = 0.0) -> Video:
    """Open a file and look at its first frame; one that does not say how long it is is read through.

    So is one that says that it ends before `least_s`, since what files say of that may be wrong.

    Raises:
        InputError: not a readable video.
    """
    with open_source(media(file), short_side=RUNTIME_SHORT_SIDE, pace="fast") as source:
        seconds, height, width = source.info.duration_s, 0, 0
        for frame in source:
            if frame.pixels.size:
                height, width = frame.pixels.shape[:2]
                source.wanted = lambda _: False
            if seconds is not None and seconds > least_s:
                break
        else:
            seconds = max(frame.time_s, seconds or 0.0)
        return Video(file, width, height, seconds)


def plan_streams(records: Sequence[ClipRecord], negatives: Sequence[Path], settings: StreamSettings) -> Plans:
    """Lay every clip out once a lap. What cannot be opened, or lies behind its file's end, is left out and named.

    Raises:
        InputError: no clip with an action can be opened.
    """
    plans = Plans([])
    videos: dict[Path, Video] = {}
    latest: dict[Path, float] = dict.fromkeys(negatives, 0.0)
    for record in records:
        latest[record.file] = max(latest.get(record.file, 0.0), record.start_s)
    for file, latest_s in latest.items():
        try:
            videos[file] = probe(file, latest_s)
        except InputError as error:
            plans.skipped[str(file)] = str(error).removeprefix(f"{file}: ")
    groups: dict[str, list[ClipRecord]] = defaultdict(list)
    for record in records:
        video = videos.get(record.file)
        if video is not None and (record.start_s == 0 or record.start_s < video.seconds):
            groups[record.group].append(record)
            continue
        if video is not None:
            plans.skipped[record.id] = f"no frames from {record.start_s:g} s on"
        if record.label != BACKGROUND:
            plans.unreadable.append(record)
    if all(record.label == BACKGROUND for members in groups.values() for record in members):
        raise InputError(f"none of {len(records)} clips shows an action and can be opened")
    outtakes = [videos[file] for file in negatives if file in videos]
    for lap in range(settings.laps):
        rng = np.random.default_rng([settings.seed, lap])
        for i, members in enumerate(_shared_out(groups, videos, settings, rng)):
            scenes = [record for group in members for record in _shuffled(groups[group], rng)]
            clips, left_out = _within_gaps(scenes, videos, settings)
            name = f"stream {i + 1}" if settings.laps == 1 else f"stream {lap + 1}.{i + 1}"
            plans.streams.append(_lay_out(name, clips, videos, outtakes, settings, rng))
            plans.left_out += left_out if lap == 0 else []
    return plans


def _length_s(record: ClipRecord, videos: dict[Path, Video]) -> float:
    last_s = videos[record.file].seconds
    return max(0.0, (last_s if record.end_s is None else min(record.end_s, last_s)) - record.start_s)


def _shuffled(records: Sequence[ClipRecord], rng: np.random.Generator) -> list[ClipRecord]:
    return [records[i] for i in rng.permutation(len(records))]


def _shared_out(
    groups: dict[str, list[ClipRecord]], videos: dict[Path, Video], settings: StreamSettings, rng: np.random.Generator
) -> list[list[str]]:
    """Groups of each stream: the longest first, each to the stream that is shortest so far.

    Groups of background clips alone come last: no stream is made of them.
    """
    lengths = {name: sum(_length_s(r, videos) for r in groups[name]) for name in groups}
    acting = [name for name in groups if any(record.label != BACKGROUND for record in groups[name])]
    wanted = round(sum(lengths.values()) / (1 - settings.gaps) / (60 * settings.minutes))
    streams: list[list[str]] = [[] for _ in range(max(1, min(wanted, len(acting))))]
    filled = [0.0] * len(streams)
    order = [acting[i] for i in rng.permutation(len(acting))]
    idle = [name for name in groups if name not in acting]
    for name in [*sorted(order, key=lambda name: -lengths[name]), *idle]:
        least = filled.index(min(filled))
        streams[least].append(name)
        filled[least] += lengths[name]
    return [[members[i] for i in rng.permutation(len(members))] for members in streams]


def _within_gaps(
    records: list[ClipRecord], videos: dict[Path, Video], settings: StreamSettings
) -> tuple[list[ClipRecord], list[ClipRecord]]:
    """Those that a stream shows, and the background clips that would make its gaps too long."""
    acting_s = sum(_length_s(record, videos) for record in records if record.label != BACKGROUND)
    room_s = acting_s * settings.gaps / (1 - settings.gaps)
    shown, left_out = [], []
    for record in records:
        if record.label == BACKGROUND:
            room_s -= _length_s(record, videos)
            if room_s < 0:
                room_s += _length_s(record, videos)
                left_out.append(record)
                continue
        shown.append(record)
    return shown, left_out


def _lay_out(
    name: str,
    clips: Sequence[ClipRecord],
    videos: dict[Path, Video],
    outtakes: Sequence[Video],
    settings: StreamSettings,
    rng: np.random.Generator,
) -> StreamPlan:
    """Clips in the given order, a gap before each and one at the end."""
    acting_s = sum(_length_s(record, videos) for record in clips if record.label != BACKGROUND)
    idle_s = sum(_length_s(record, videos) for record in clips if record.label == BACKGROUND)
    room_s = max(0.0, acting_s * settings.gaps / (1 - settings.gaps) - idle_s)
    shares = rng.uniform(0.2, 1.8, len(clips) + 1)
    gaps_s = room_s * shares / shares.sum()
    gaps_s[-1] = max(gaps_s[-1], LAST_S)
    pieces: list[Shown | Rest] = []
    for i, record in enumerate(clips):
        pieces += _gap(float(gaps_s[i]), outtakes, rng, first=i == 0, last=False)
        pieces.append(Shown(record.file, record.start_s, record.end_s, record))
    pieces += _gap(float(gaps_s[-1]), outtakes, rng, first=False, last=True)
    sizes = Counter((videos[record.file].width, videos[record.file].height) for record in clips)
    (width, height), _ = sizes.most_common(1)[0]
    return StreamPlan(name, width, height, tuple(pieces))


def _gap(
    seconds: float, outtakes: Sequence[Video], rng: np.random.Generator, *, first: bool, last: bool
) -> list[Shown | Rest]:
    """Parts that fill a gap of so many seconds. Nothing is before the `first`, and nothing comes after the `last`."""
    parts = max(1, math.ceil(seconds / MOST_PART_S))
    switch = parts if last else 0 if first else int(rng.integers(0, parts + 1))
    made: list[Shown | Rest] = []
    for i in range(parts):
        length_s, rate_hz = seconds / parts, float(rng.uniform(10, 30))
        if outtakes and length_s >= LEAST_NEGATIVE_S and rng.random() < 0.5:
            video = outtakes[int(rng.integers(len(outtakes)))]
            latest_s = min(max(0.0, video.seconds - length_s), LATEST_NEGATIVE_S)
            start_s = float(rng.uniform(0, latest_s))
            made.append(Shown(video.file, start_s, start_s + length_s, rate_hz=rate_hz))
        else:
            made.append(Rest(length_s, rate_hz, i < switch, int(rng.integers(2**31))))
    return made
