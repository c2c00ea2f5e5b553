"""A clip and what is said about it: what every reader of annotations gives."""

import re
from dataclasses import dataclass
from pathlib import Path

from edgevid.manifest import LABEL


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One labelled span of a video file.

    Attributes:
        file: the video file; or a folder of images; or one of a video's chunks, `0.mp4`, `15.mp4`, …, which are named
            by the second at which they begin.
        name: `file` relative to the data folder, with forward slashes: what reports call the clip.
        labels: what is done in it; one, unless the data is multi-label.
        group: what must not be split across training and validation (a person, a scene, a source video).
        start_s, end_s: the span, in seconds from the file's first frame; end exclusive, None for the end of the file.
        split: `train`, `val` or `test` where the data says so.
        rate_hz: images a second where `file` is a folder of images, the first of them at 0 s; None for everything else,
            which has times of its own.
        origin: the mark (`edgevid_train.marks`) of the file that `file` was re-encoded from; None where it was not.
    """

    file: Path
    name: str
    labels: tuple[str, ...]
    group: str
    start_s: float = 0.0
    end_s: float | None = None
    split: str | None = None
    rate_hz: float | None = None
    origin: str | None = None

    @property
    def label(self) -> str:
        """The first label; the only one where the data has one label a clip."""
        return self.labels[0]

    @property
    def id(self) -> str:
        """`name`, with the span where it is not the whole file: unique within a data folder."""
        return clip_id(self.name, self.start_s, self.end_s)

    @property
    def seconds(self) -> float | None:
        """How long the span is; None where it ends with the file."""
        return None if self.end_s is None else self.end_s - self.start_s


def clip_id(name: str, start_s: float = 0.0, end_s: float | None = None) -> str:
    """What a clip is called: its file's name, with the span where it is not the whole file."""
    if start_s == 0 and end_s is None:
        return name
    return f"{name}[{start_s:.9g}:{'' if end_s is None else f'{end_s:.9g}'}]"


def as_origin(value: object) -> str | None:
    """`value` where it is a file's mark; a column of that name may be somebody else's."""
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{12}", value) else None


def label_fault(label: str) -> str | None:
    """Why `label` cannot be a model's label (the manifest's rule), or None when it can."""
    if not label.isprintable():
        return f"label {label!r} holds characters that cannot be printed"
    if not 0 < len(label) <= 128:
        return f"a label has 1 to 128 characters, this one {len(label)}"
    if re.fullmatch(LABEL, label) is None:
        return f"label {label!r} begins or ends with a space"
    return None
