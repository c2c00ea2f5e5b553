"""Ego4D forecasting, hands and objects, its main file: `fho_main.json`."""

from collections import Counter
from pathlib import Path

from edgevid_train.annotations.ego4d import Action, optional_text, optional_uid, split_of, to_records
from edgevid_train.annotations.entry import Entry, read_object
from edgevid_train.annotations.media import annotation_files
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord

TARGETS = ("verb", "noun", "action")


def read_ego4d_fho(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """`videos[].annotated_intervals[].narrated_actions[]`, those that are valid and not rejected.

    The nouns are those of the objects of change that are boxed in the action's frames; there may be several.

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, ["fho_main*.json"], but=["*taxonomy*"])
    counts: Counter[str] = Counter()
    actions = []
    for file in files:
        whole = read_object(file)
        for video in whole.entries("videos"):
            split = split_of(file, video) or split_of(file, whole)
            for interval in video.entries("annotated_intervals"):
                for action in interval.entries("narrated_actions", optional=True):
                    if action.flag("is_rejected", default=False):
                        counts["rejected"] += 1
                    elif not action.flag("is_valid_action", default=True):
                        counts["not valid"] += 1
                    else:
                        labels = _labels(action, options.target)
                        actions.append(_action(video, interval, action, labels, split))
    for why, count in counts.items():
        say(f"{plural(count, 'action')} left out: {why}")
    return to_records(actions, files[0], root, say)


def _action(video: Entry, interval: Entry, action: Entry, labels: tuple[str, ...], split: str | None) -> Action:
    start_s, end_s = action.number("start_sec"), action.number("end_sec")
    clip_uid = optional_uid(action, "clip_uid") or optional_uid(interval, "clip_uid")
    clip_start_s = 0.0
    if clip_uid is not None:
        # its place in the video is said nowhere, but one moment is said in both clocks
        if action.has("clip_start_sec"):
            clip_start_s = start_s - action.number("clip_start_sec")
        else:
            clip_uid = None
    return Action(labels, video.identifier("video_uid"), start_s, end_s, action, split, clip_uid, clip_start_s)


def _labels(action: Entry, target: str | None) -> tuple[str, ...]:
    """None where the annotators had no word: `[other]`, or no object was boxed."""
    verb = optional_text(action, "structured_verb")
    verbs = () if verb in (None, "[other]") else (verb,)
    if target in (None, "verb"):
        return verbs
    nouns = dict.fromkeys(
        noun
        for frame in action.entries("frames", optional=True)
        for box in frame.entries("boxes", optional=True)
        if box.values.get("object_type") == "object_of_change"
        and (noun := optional_text(box, "structured_noun")) not in (None, "[other]")
    )
    if target == "noun":
        return tuple(nouns)
    return tuple(f"{verb} {noun}" for verb in verbs for noun in nouns)
