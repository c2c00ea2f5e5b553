"""What a cascade gets right of one file, once for each row of exit thresholds, by the product's own paths.

A stage that is skipped leaves its mark on what the network remembers, so a conditional model runs anew for each row.
Where every exit is computed at every step whatever decides, one run tells what any row would have decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import EdgevidError, InputError
from edgevid.frame import Frame
from edgevid.manifest import BACKGROUND, Manifest
from edgevid.models.contract import StreamModel
from edgevid.pipeline import Options, Pipeline
from edgevid.recognise import ClipScores, score_clip
from edgevid.sinks.collected import Collected
from edgevid.sources import Source, SourceInfo, open_source
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import NO_FRAMES, RUNTIME_SHORT_SIDE, DecodedClip, DecodeError, decode_clip
from edgevid_train.evaluate.streams.matching import Action, Found, match
from edgevid_train.storage import media, shown

Thresholds = tuple[float | None, ...]
"""Of every exit; None never decides, and the last always does."""


@dataclass(frozen=True)
class Judged:
    """One run over one file.

    `right`: of each labelled clip; `steps`: how many each exit decided, int64 `(exits,)`; `held`: how many the memory
    took alone, and `rested`: how many nothing did, because nothing had moved.
    """

    right: tuple[bool, ...]
    steps: NDArray[np.int64]
    held: int = 0
    rested: int = 0


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
    finds an action as in `edgevid_train.evaluate.streams.matching`. The motion gate is a part of the cascade: only the
    first of `rows`, to which the others are compared, computes every step.

    Raises:
        DecodeError: the file cannot be read to its end, or a clip lies behind it.
        InputError: the model computed NaN or infinity.
    """
    collected = [Collected() for _ in rows]
    try:
        with open_source(media(clips[0].file), pace="fast") as source:
            pipelines = _run_together(source, model, rows, collected)
            if source.fault is not None:
                raise DecodeError(source.fault)
    except InputError as error:
        raise DecodeError(str(error).removeprefix(f"{shown(clips[0].file)}: ")) from None
    except EdgevidError as error:
        raise InputError(f"{clips[0].name}: {error}") from None
    for clip in clips:
        if clip.start_s > pipelines[0].time_s:  # nothing could be found there, by the whole network neither
            raise DecodeError(NO_FRAMES.format(clip.start_s))
    if any(sink.left_out for sink in collected):
        raise DecodeError("it has more events than are kept; cut it into shorter files")
    return [
        Judged(
            _right_by_events(
                clips, [Found(e.label, e.start_s, e.end_s or e.start_s, e.emitted_s) for e in sink.events]
            ),
            np.array(list(pipeline.exits.values()), np.int64),
            pipeline.held,
            pipeline.rested,
        )
        for sink, pipeline in zip(collected, pipelines, strict=True)
    ]


class _Handed(Source):
    """A source whose frames are handed over one by one, so that several runs share the decoding of one file."""

    def __init__(self, info: SourceInfo) -> None:
        super().__init__()
        self.info = info
        self.frame: Frame | None = None

    def _read(self) -> Frame | None:
        frame, self.frame = self.frame, None
        return frame

    def _release(self) -> None:
        """There is nothing to let go of."""


def _run_together(
    source: Source, model: StreamModel, rows: Sequence[Thresholds], sinks: Sequence[Collected]
) -> list[Pipeline]:
    """Run the live path over `source` once for each row, side by side; the first row without the gate."""
    info = replace(source.info, rate_hz=model.manifest.rate_hz)  # of the frames with pixels, which is what rings keep
    handed = [_Handed(info) for _ in rows]
    pipelines = [
        Pipeline(feed, model.with_thresholds(row), Options(every_frame=True, paced=False, gate=i > 0), [sinks[i]])
        for i, (feed, row) in enumerate(zip(handed, rows, strict=True))
    ]
    source.wanted = pipelines[0].flow.wants  # all have the same schedule
    for frame in source:
        for feed, pipeline in zip(handed, pipelines, strict=True):
            feed.frame = frame
            pipeline.read()
            while pipeline.compute(wait=False):
                pass
    for pipeline in pipelines:
        pipeline.finish()
    return pipelines


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
