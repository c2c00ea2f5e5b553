"""One sub-folder per class, with the videos in it; also `train/`, `val/` and `test/` above the classes."""

from pathlib import Path, PurePosixPath

from edgevid.sources.images import IMAGE_ENDINGS
from edgevid_train.annotations.media import SPLIT_NAMES
from edgevid_train.annotations.paths import videos_below
from edgevid_train.annotations.reading import Say, plural, some
from edgevid_train.annotations.record import ClipRecord

_NO_VIDEOS = IMAGE_ENDINGS | {"", ".csv", ".json", ".md", ".npz", ".pdf", ".txt"}


def read_class_folders(root: Path, say: Say) -> list[ClipRecord]:
    """The label of a video is the folder it is in, directly or deeper; each video is a group of its own.

    Videos in `root` itself have no class and are left out; folders of classes without a video are named.

    Raises:
        InputError: as `videos_below`.
    """
    records = []
    without = 0
    others: list[Path] = []
    for file in videos_below(root, others.append):
        name = file.relative_to(root).as_posix()
        *folders, _ = name.split("/")
        split = SPLIT_NAMES.get(folders[0].lower()) if len(folders) > 1 else None
        if split is not None:
            folders = folders[1:]
        without += not folders
        if folders:
            records.append(ClipRecord(file, name, (folders[0],), name, split=split))
    endings = [ending for file in others if (ending := file.suffix.lower()) not in _NO_VIDEOS]
    if endings and records:
        say(f"{plural(len(endings), 'file')} left out: no ending of a video's: {', '.join(sorted(set(endings))[:5])}")
    if without and records:
        say(f"{plural(without, 'video')} left out: in no class folder")
    empty = sorted(_folders_of(root) - {PurePosixPath(record.name).parts[0] for record in records})
    if empty and records:
        say(f"no video in {plural(len(empty), 'folder')}: {some(empty)}")
    return records


def _folders_of(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
