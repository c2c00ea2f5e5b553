"""One sub-folder per class, with the videos in it; also `train/`, `val/` and `test/` above the classes."""

from pathlib import Path

from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.record import ClipRecord

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def read_class_folders(root: Path) -> list[ClipRecord]:
    """The label of a video is the folder it is in, directly or deeper; each video is a group of its own.

    Videos in `root` itself have no class and are left to the caller to refuse.
    """
    records = []
    for file in videos_below(root):
        name = file.relative_to(root).as_posix()
        *folders, _ = name.split("/")
        split = SPLITS.get(folders[0].lower()) if len(folders) > 1 else None
        if split is not None:
            folders = folders[1:]
        if folders:
            records.append(ClipRecord(file, name, (folders[0],), name, split=split))
    return records
