"""One sub-folder per class, with the videos in it; also `train/`, `val/` and `test/` above the classes."""

from pathlib import Path

from edgevid_train.annotations.media import SPLIT_NAMES
from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.reading import Say, plural
from edgevid_train.annotations.record import ClipRecord


def read_class_folders(root: Path, say: Say) -> list[ClipRecord]:
    """The label of a video is the folder it is in, directly or deeper; each video is a group of its own.

    Videos in `root` itself have no class and are left out.
    """
    records = []
    without = 0
    for file in videos_below(root):
        name = file.relative_to(root).as_posix()
        *folders, _ = name.split("/")
        split = SPLIT_NAMES.get(folders[0].lower()) if len(folders) > 1 else None
        if split is not None:
            folders = folders[1:]
        without += not folders
        if folders:
            records.append(ClipRecord(file, name, (folders[0],), name, split=split))
    if without and records:
        say(f"{plural(without, 'video')} left out: in no class folder")
    return records
