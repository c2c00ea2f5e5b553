"""Ego4D moments: `moments_train.json`, `moments_val.json`."""

from pathlib import Path

from edgevid_train.annotations.ego4d import Action, optional_uid, split_of, to_records
from edgevid_train.annotations.entry import Entry, read_object
from edgevid_train.annotations.media import annotation_files
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord

TARGETS = ("primary", "all")


def read_ego4d_moments(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """`videos[].clips[].annotations[].labels[]`, in seconds of the clip.

    Of the labels that several annotators gave, `primary` are those that Ego4D evaluates on; others are left out, unless
    the target is `all`. The same span may bear several labels.

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, ["moments_*.json"], but=["*unannotated*", "*taxonomy*"])
    actions = []
    secondary = 0
    for file in files:
        whole = read_object(file)
        for video in whole.entries("videos"):
            split = split_of(file, video) or split_of(file, whole)
            for clip in video.entries("clips"):
                for annotation in clip.entries("annotations", optional=True):
                    for label in annotation.entries("labels", optional=True):
                        if options.target == "all" or label.flag("primary", default=True):
                            actions.append(_action(video, clip, label, split))
                        else:
                            secondary += 1
    if secondary:
        say(f"{plural(secondary, 'label')} left out: not primary (--target all takes them too)")
    return to_records(actions, files[0], root, say)


def _action(video: Entry, clip: Entry, label: Entry, split: str | None) -> Action:
    clip_s = clip.number("video_start_sec") if clip.has("video_start_sec") else 0.0
    return Action(
        (label.text("label"),),
        video.identifier("video_uid"),
        clip_s + label.number("start_time"),
        clip_s + label.number("end_time"),
        label,
        split,
        optional_uid(clip, "clip_uid"),
        clip_s,
        clip.number("video_end_sec") if clip.has("video_end_sec") else None,
    )
