"""Ego4D Goal-Step: `goalstep_train.json`, `goalstep_val.json` (arXiv 2310.06845)."""

from collections.abc import Iterator
from pathlib import Path

from edgevid_train.annotations.ego4d import Action, split_of, to_records
from edgevid_train.annotations.entry import Entry, read_object
from edgevid_train.annotations.media import annotation_files
from edgevid_train.annotations.reading import ReadOptions, Say
from edgevid_train.annotations.record import ClipRecord

TARGETS = ("step", "substep", "any-step", "goal")

DEEPEST = 8


def read_ego4d_goalstep(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """`videos[].segments[]`, in seconds of the video; within a segment stand its parts.

    The target is what is done in the outer segments (`step`), in the inner ones (`substep`), in both, or what the outer
    ones are done for (`goal`, the video's).

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, ["goalstep_*.json"], but=["*unannotated*"])
    actions = []
    for file in files:
        whole = read_object(file)
        split = split_of(file, whole)
        for video in whole.entries("videos"):
            uid = video.identifier("video_uid")
            end_s = video.number("end_time") if video.has("end_time") else None
            for segment, depth in _segments(video, 0):
                if options.target == "any-step" or (options.target == "substep") == (depth > 0):
                    label = video.text("goal_category") if options.target == "goal" else segment.text("step_category")
                    start, end = segment.number("start_time"), segment.number("end_time")
                    actions.append(Action((label,), uid, start, end, segment, split, video_end_s=end_s))
    return to_records(actions, files[0], root, say)


def _segments(parent: Entry, depth: int) -> Iterator[tuple[Entry, int]]:
    if depth > DEEPEST:
        raise parent.fault("segments", f": more than {DEEPEST} of them within one another")
    for segment in parent.entries("segments", optional=depth > 0):
        yield segment, depth
        yield from _segments(segment, depth + 1)
