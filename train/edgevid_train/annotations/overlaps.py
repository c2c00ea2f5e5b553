"""Spans of one file that overlap: where labels do not exclude one another, one's are true of others too."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgevid.manifest import BACKGROUND
from edgevid_train.annotations.reading import Say
from edgevid_train.annotations.record import ClipRecord

HELD = 0.5
"""A label is a clip's when it holds for at least this share of it."""


def with_overlapping(records: Sequence[ClipRecord], say: Say) -> list[ClipRecord]:
    """Each record with the labels of all spans of its file that cover at least half of it, its own first.

    For labels that are independent of one another (Ego4D moments: "looks at phone" while "walks down a street").
    Without it a network is taught, and judged, as if what is annotated in a span of its own were not there.
    """
    by_file = defaultdict[Path, list[int]](list)
    for i, record in enumerate(records):
        by_file[record.file].append(i)
    found = list(records)
    for members in by_file.values():
        if len(members) == 1:
            continue
        starts_s = np.array([records[i].start_s for i in members])
        ends_s = np.array([np.inf if (end_s := records[i].end_s) is None else end_s for i in members])
        for k, i in enumerate(members):
            shared_s = np.minimum(ends_s, ends_s[k]) - np.maximum(starts_s, starts_s[k])
            length_s = ends_s[k] - starts_s[k]
            # Of a clip that goes on to the end of its file only what does too is known to hold for half of it.
            endless = np.isinf(shared_s) & (starts_s <= starts_s[k])
            held = shared_s >= HELD * length_s if np.isfinite(length_s) else endless
            held[k] = False
            labels = [label for j in np.flatnonzero(held) for label in records[members[j]].labels]
            more = [label for label in labels if label not in (*records[i].labels, BACKGROUND)]
            if more:
                own = [label for label in records[i].labels if label != BACKGROUND]
                found[i] = replace(records[i], labels=tuple(dict.fromkeys((*own, *more))))
    changed = sum(a is not b for a, b in zip(found, records, strict=True))
    if changed:
        clips = "1 clip bears" if changed == 1 else f"{changed} clips bear"
        say(f"{clips} labels of other spans too, which cover at least half of {'it' if changed == 1 else 'them'}")
    return found
