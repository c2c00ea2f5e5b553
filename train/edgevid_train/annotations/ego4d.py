"""What all annotations of Ego4D share: where its media lie, what its `ego4d.json` says, times of clips in videos.

Media as its own command downloads them: `clips/CLIP_UID.mp4`, `full_scale/VIDEO_UID.mp4`,
`video_540ss/VIDEO_UID.mp4`; or, as those who train on it cut them, a folder `UID.mp4` of chunks named by the second at
which they begin: `0.mp4`, `15.mp4`, … (https://ego4d-data.org/docs).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Entry, read_object
from edgevid_train.annotations.media import beside, find_media, located, split_in, within_video
from edgevid_train.annotations.reading import Say, plural
from edgevid_train.annotations.record import ClipRecord

METADATA = "ego4d.json"


@dataclass(frozen=True, slots=True)
class Action:
    """A labelled span.

    Attributes:
        labels: what is done; none where the annotation has no word for it.
        start_s, end_s: in seconds of the video, end exclusive.
        clip_uid: the clip of the video that holds it, None where there is none.
        clip_start_s, clip_end_s: where in the video that clip lies; None where the annotation does not say.
        entry: where it stands.
    """

    labels: tuple[str, ...]
    video_uid: str
    start_s: float
    end_s: float
    entry: Entry
    split: str | None
    clip_uid: str | None = None
    clip_start_s: float = 0.0
    clip_end_s: float | None = None
    video_end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Video:
    """What `ego4d.json` says of a video; `redacted`: spans in seconds of which the pictures were taken out."""

    end_s: float | None
    redacted: tuple[tuple[float, float], ...]


def optional_text(entry: Entry, field: str) -> str | None:
    return entry.text(field) if entry.has(field) else None


def optional_uid(entry: Entry, field: str) -> str | None:
    return entry.identifier(field) if entry.has(field) else None


def split_of(file: Path, whole: Entry) -> str | None:
    """What the file says of itself, else what its name does."""
    return split_in(whole.text("split")) if whole.has("split") else split_in(file.name)


def to_records(actions: Sequence[Action], annotations: Path, root: Path, say: Say) -> list[ClipRecord]:
    """Find the media of `actions`; leave out what is redacted or beyond the end, cut what reaches over it, and say so.

    Times are those of the file found: of the clip where it is there, else of the video. Without media the file that is
    missing is named where Ego4D's own command would have put it.

    Raises:
        InputError: `ego4d.json` is malformed, or an id is no file's name.
    """
    path = beside(annotations, root, METADATA)
    videos = {} if path is None else _videos(path)
    if path is None:
        say(f"{METADATA} is not there: which spans are redacted is not known")
    media = find_media(root, {uid for action in actions for uid in (action.clip_uid, action.video_uid) if uid})
    counts: Counter[str] = Counter()
    records = []
    for action in actions:
        if not action.labels:
            counts["without a label, left out"] += 1
        elif (span := _span(action, videos.get(action.video_uid), counts)) is not None:
            records.append(_record(action, span, media, root))
    for what, count in counts.items():
        say(f"{plural(count, 'span')} {what}")
    return records


def _span(action: Action, video: Video | None, counts: Counter[str]) -> tuple[float, float] | None:
    """In seconds of the video, or None where nothing of it can be used."""
    start_s, end_s = max(0.0, action.start_s), action.end_s
    ends = [action.video_end_s, action.clip_end_s, video.end_s if video else None]
    last_s = min((end for end in ends if end is not None), default=end_s)
    if end_s <= start_s:
        counts["ending before they begin, left out"] += 1
        return None
    used_s = min(end_s, last_s)
    if video and any(start_s < end and used_s > start for start, end in video.redacted):
        counts["touching redacted intervals, left out"] += 1
        return None
    return within_video(start_s, end_s, last_s, counts)


def _record(action: Action, span: tuple[float, float], media: dict[str, Path], root: Path) -> ClipRecord:
    start_s, end_s = span
    found, offset_s = media.get(action.video_uid), 0.0
    expected, field = f"full_scale/{action.video_uid}.mp4", "video_uid"
    if action.clip_uid is not None and (action.clip_uid in media or found is None):
        found, offset_s = media.get(action.clip_uid), action.clip_start_s
        expected, field = f"clips/{action.clip_uid}.mp4", "clip_uid"
    file, name = located(root, found, expected, action.entry.where, field)
    start_s, end_s = (round(max(0.0, t - offset_s), 6) for t in (start_s, end_s))
    return ClipRecord(file, name, action.labels, action.video_uid, start_s, end_s, action.split)


def _videos(path: Path) -> dict[str, Video]:
    videos = {}
    for entry in read_object(path).entries("videos"):
        parts = entry.entries("redacted_intervals", optional=True)
        redacted = [(part.number("start_sec"), part.number("end_sec")) for part in parts]
        end_s = entry.number("duration_sec") if entry.has("duration_sec") else None
        videos[entry.text("video_uid")] = Video(end_s, tuple(redacted))
    return videos


def taxonomy_word(entry: Entry, field: str, words: Sequence[str] | None) -> str:
    """The word that `field`_label counts to in a taxonomy; without one, what `field` says.

    Raises:
        InputError: the number is outside the taxonomy.
    """
    if words is None:
        return entry.text(field)
    number = entry.whole(f"{field}_label")
    if number >= len(words):
        raise entry.fault(f"{field}_label", f": {number} is outside the taxonomy, which has {len(words)} {field}s")
    return words[number]


def check_words(whole: Entry, field: str) -> list[str]:
    """A list of words in a taxonomy. Raises InputError."""
    words = whole.values.get(field)
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise InputError(f"{whole.where} field {field!r} is not a list of words")
    return words
