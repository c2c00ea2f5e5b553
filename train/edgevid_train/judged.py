"""What a cascade gets right of one file, once for each row of exit thresholds, by the product's own paths.

A stage that is skipped leaves its mark on what the network remembers, so a conditional model runs anew for each row.
Where every exit is computed at every step whatever decides, one run tells what any row would have decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import EdgevidError, InputError
from edgevid.frame import Frame
from edgevid.live import Options, Pipeline
from edgevid.manifest import BACKGROUND, Manifest
from edgevid.models.contract import StreamModel
from edgevid.recognise import ClipScores, score_clip
from edgevid.sinks.collected import Collected
from edgevid.sources import open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import RUNTIME_SHORT_SIDE, DecodedClip, DecodeError, decode_clip
from edgevid_train.evaluate.matching import Action, Found, match

Thresholds = tuple[float | None, ...]
"""Of every exit; None never decides, and the last always does."""


@dataclass(frozen=True)
class Judged:
    """One run over one file. `right`: of each labelled clip; `steps`: how many each exit decided, int64 `(exits,)`."""

    right: tuple[bool, ...]
    steps: NDArray[np.int64]


def judge_clips(clips: Sequence[ClipRecord], model: StreamModel, rows: Sequence[Thresholds]) -> list[Judged]:
    """Right is a clip whose highest score, as `classify` gives it, is its label's. One result for each of `rows`.

    Raises:
        DecodeError: a clip cannot be read.
        InputError: the model computed NaN or infinity.
    """
    found = [_scores_of_rows(decode_clip(clip, RUNTIME_SHORT_SIDE), model, rows) for clip in clips]
    labels = model.manifest.labels
    return [
        Judged(
            tuple(labels[int(scores.clip.argmax())] == clip.label for clip, scores in zip(clips, of_row, strict=True)),
            sum((_counted(scores.exits, model.manifest) for scores in of_row), np.zeros(1, np.int64)),
        )
        for of_row in zip(*found, strict=True)
    ]


def judge_events(clips: Sequence[ClipRecord], model: StreamModel, rows: Sequence[Thresholds]) -> list[Judged]:
    """Right is a clip whose action is found, and in which no event begins that is about no action.

    The clips are all of one file, which runs as a whole, as in `detect`. Of background nothing may be found. An event
    finds an action as in `edgevid_train.evaluate.matching`.

    Raises:
        DecodeError: the file cannot be read to its end.
        InputError: the model computed NaN or infinity.
    """
    judged = []
    for row in rows:
        found, steps = _events(clips[0], model.with_thresholds(row))
        judged.append(Judged(_right_by_events(clips, found), steps))
    return judged


def _scores_of_rows(clip: DecodedClip, model: StreamModel, rows: Sequence[Thresholds]) -> list[ClipScores]:
    frames = [Frame(pixels, float(clip.times_s[i]), i) for i, pixels in enumerate(clip.frames)]
    try:
        if model.manifest.conditional:
            return [score_clip(frames, model.with_thresholds(row))[0] for row in rows]
        every_exit = score_clip(frames, model)[0].steps
        return [ClipScores.of(every_exit, model.manifest.with_thresholds(row)) for row in rows]
    except EdgevidError as error:
        raise InputError(f"{clip.record.id}: {error}") from None


def _counted(exits: NDArray[np.intp], manifest: Manifest) -> NDArray[np.int64]:
    return np.bincount(exits, minlength=len(manifest.exits)).astype(np.int64)


def _events(clip: ClipRecord, model: StreamModel) -> tuple[list[Found], NDArray[np.int64]]:
    """Events of a whole file, and how many steps each exit decided."""
    collected = Collected()
    try:
        with open_source(clip.file, pace="fast") as source:
            options = Options(every_frame=True, paced=False, only_sampled=True)
            pipeline = Pipeline(source, model, options, [collected])
            while pipeline.read():
                while pipeline.compute(wait=False):
                    pass
            pipeline.finish()
            if source.fault is not None:
                raise DecodeError(source.fault)
    except InputError as error:
        raise DecodeError(str(error).removeprefix(f"{clip.file}: ")) from None
    except EdgevidError as error:
        raise InputError(f"{clip.name}: {error}") from None
    if collected.left_out:
        raise DecodeError(f"more than {len(collected.events)} events; cut it into shorter files")
    found = [
        Found(e.label, e.start_s, e.start_s if e.end_s is None else e.end_s, e.emitted_s) for e in collected.events
    ]
    return found, np.array(list(pipeline.exits.values()), np.int64)


def _right_by_events(clips: Sequence[ClipRecord], found: Sequence[Found]) -> tuple[bool, ...]:
    spans = [Action(c.label, c.start_s, float("inf") if c.end_s is None else c.end_s) for c in clips]
    actions = [i for i, span in enumerate(spans) if span.label != BACKGROUND]
    matched = match([spans[i] for i in actions], found)
    answered = {actions[i] for i in matched}
    stray = [event for j, event in enumerate(found) if j not in set(matched.values())]
    return tuple(
        (i in answered or span.label == BACKGROUND)
        and not any(span.start_s <= event.start_s < span.end_s for event in stray)
        for i, span in enumerate(spans)
    )
