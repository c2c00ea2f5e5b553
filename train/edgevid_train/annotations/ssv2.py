"""Something-Something v2: json lists of id, label, template, placeholders; videos `ID.webm`."""

from pathlib import Path

from edgevid.errors import InputError
from edgevid_train.annotations.entry import Entry, entries_of, read_json, read_object, shown
from edgevid_train.annotations.media import annotation_files, beside, find_media, holds_images, located, split_in
from edgevid_train.annotations.reading import ReadOptions, Say, plural
from edgevid_train.annotations.record import ClipRecord

FILES = tuple(f"*{split}*.json" for split in ("train", "val", "test"))
LABELS = ("labels.json", "something-something-v2-labels.json")
RATE_HZ = 12.0
"""Of folders of images, as the data set is published."""


def read_ssv2(path: Path, _: ReadOptions, say: Say) -> list[ClipRecord]:
    """The label is the template without its brackets: `Putting something on something`. Test sets have none.

    Raises:
        InputError: names the file, the entry and the field.
    """
    root, files = annotation_files(path, FILES, but=["*labels*"])
    labels_file = beside(files[0], root, *LABELS)
    labels = None if labels_file is None else read_object(labels_file).values
    unlabelled = 0
    clips: list[tuple[Entry, str, str | None]] = []
    for file in files:
        split = split_in(file.name)
        whole = read_json(file)
        if not isinstance(whole, list):
            raise InputError(f"{file}: not a list of clips")
        for entry in entries_of(whole, f"{file}: "):
            if split == "test" and not entry.has("template"):
                unlabelled += 1
                continue
            label = entry.text("template").replace("[", "").replace("]", "")
            if labels is not None and label not in labels:
                raise entry.fault("template", f": {shown(label)} is outside the taxonomy, {labels_file}")
            clips.append((entry, label, split))
    if unlabelled:
        say(f"{plural(unlabelled, 'clip')} of the test set left out: without a label")
    media = find_media(root, {entry.identifier("id") for entry, _, _ in clips})
    records = []
    for entry, label, split in clips:
        clip_id = entry.identifier("id")
        file, name = located(root, media.get(clip_id), f"{clip_id}.webm", entry.where, "id")
        rate_hz = RATE_HZ if holds_images(file) else None
        records.append(ClipRecord(file, name, (label,), clip_id, split=split, rate_hz=rate_hz))
    return records
