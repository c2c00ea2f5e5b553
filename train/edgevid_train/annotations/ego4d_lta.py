"""Ego4D FHO, long-term anticipation: `fho_lta_train.json`, `fho_lta_val.json`, `fho_lta_taxonomy.json`."""

from pathlib import Path

from edgevid_train.annotations.ego4d import Action, check_words, optional_uid, split_of, taxonomy_word, to_records
from edgevid_train.annotations.entry import Entry, read_object
from edgevid_train.annotations.media import annotation_files, beside
from edgevid_train.annotations.reading import ReadOptions, Say
from edgevid_train.annotations.record import ClipRecord

TAXONOMY = "fho_lta_taxonomy.json"
TARGETS = ("verb", "noun", "action")


def read_ego4d_lta(path: Path, options: ReadOptions, say: Say) -> list[ClipRecord]:
    """`clips[]`: one action each, in seconds of its clip. Of the action `take cup` the target is `take`, `cup` or both.

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, ["fho_lta_*.json"], but=[TAXONOMY, "*unannotated*"])
    taxonomy = beside(files[0], root, TAXONOMY)
    words: dict[str, list[str] | None] = {"verb": None, "noun": None}
    if taxonomy is not None:
        whole = read_object(taxonomy)
        words = {field: check_words(whole, f"{field}s") for field in words}
    actions = []
    for file in files:
        whole = read_object(file)
        split = split_of(file, whole)
        for clip in whole.entries("clips"):
            label = " ".join(taxonomy_word(clip, field, words[field]) for field in _fields(options.target))
            actions.append(_action(clip, label, split))
    return to_records(actions, files[0], root, say)


def _fields(target: str | None) -> tuple[str, ...]:
    return ("verb", "noun") if target == "action" else (target or TARGETS[0],)


def _action(clip: Entry, label: str, split: str | None) -> Action:
    parent_s = clip.number("clip_parent_start_sec")
    parent_end_s = clip.number("clip_parent_end_sec") if clip.has("clip_parent_end_sec") else None
    return Action(
        (label,),
        clip.identifier("video_uid"),
        parent_s + clip.number("action_clip_start_sec"),
        parent_s + clip.number("action_clip_end_sec"),
        clip,
        split,
        optional_uid(clip, "clip_uid"),
        parent_s,
        parent_end_s,
    )
