"""Several views of a clip, averaged: parts of its time, crops of its picture, and its mirror image.

What is right for a deployed score is one view; more of them say what the network could know (Feichtenhofer et al. 2019,
SlowFast, sec. 4, test with 10 parts of the time and 3 crops).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.manifest import BACKGROUND, InputSpec
from edgevid.models.scores import Scores
from edgevid.sampling import TOLERANCE_S
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.looks import Looks
from edgevid_train.evaluate.subjects.contract import Answer, Curves, Percentiles, Subject
from edgevid_train.marks import Seen


@dataclass(frozen=True)
class ViewPlan:
    """What is looked at of a clip: `times` parts of its time, `crops` of its picture, 1 or 3; `flip`: mirrored too.

    A part is as long as what the network looks at at once. Of what sees a clip as a whole, a stream or a teacher that
    spreads its frames, parts are shorter by one step than the clip: they differ in the moments that are looked at.
    """

    times: int = 1
    crops: int = 1
    flip: bool = False

    @property
    def most(self) -> int:
        return self.times * self.crops * (1 + self.flip)

    def __str__(self) -> str:
        parts = [f"{self.times} in time"] * (self.times > 1) + [f"{self.crops} crops"] * (self.crops > 1)
        return f"{self.most} views: {', '.join(parts + ['mirrored too'] * self.flip)}"


ONE_VIEW = ViewPlan()
"""That of a device."""


class ManyViews:
    """A subject whose answer is the mean of its scores for several views; all else is the subject's own.

    Raises:
        InputError: the views are to be mirrored, and nobody knows what every label then becomes.
    """

    def __init__(self, subject: Subject, plan: ViewPlan) -> None:
        self.subject, self.plan = subject, plan
        self.name, self.labels, self.several = subject.name, subject.labels, subject.several
        self.exits, self.rate_hz, self.macs, self.weights = (
            subject.exits,
            subject.rate_hz,
            subject.macs,
            subject.weights,
        )
        self.input, self.runs_on, self.no_looks = subject.input, subject.runs_on, subject.no_looks
        self.mirrored = subject.mirrored
        self._order = mirrored_order(subject) if plan.flip else []

    def seen(self, records: Sequence[ClipRecord]) -> Seen | None:
        return self.subject.seen(records)

    def answer(self, clip: DecodedClip) -> Answer:
        parts: list[tuple[float, list[Answer]]] = []
        given: list[Answer] = []
        for begins_s, views in self._views(clip):
            answers = [self.subject.answer(view) for view, _ in views]
            given += answers
            turned = [self._turned(answer, flipped) for answer, (_, flipped) in zip(answers, views, strict=True)]
            parts.append((begins_s, turned))
        every = [answer for _, answers in parts for answer in answers]
        times_s = np.concatenate([answers[0].times_s + begins_s for begins_s, answers in parts])
        steps = np.concatenate([np.mean([answer.steps for answer in answers], axis=0) for _, answers in parts])
        order = np.argsort(times_s, kind="stable")
        return Answer(
            _mean([answer.scores for answer in every]),
            steps[order],
            times_s[order],
            np.concatenate([answer.exits for answer in every]),
            _mean([answer.embedding for answer in every]),
            computed=sum(answer.computed for answer in every),
            views=tuple(given),
        )

    def answer_by_exit(self, clip: DecodedClip, answer: Answer) -> list[Scores]:
        found = []
        every = [view for _, views in self._views(clip) for view in views]
        for (view, flipped), of_view in zip(every, answer.views, strict=True):
            scores = self.subject.answer_by_exit(view, of_view)
            found.append([x[self._order] if flipped else x for x in scores])
        return [_mean(list(of_exit)) for of_exit in zip(*found, strict=True)]

    def looks(self, clip: DecodedClip, label: str) -> Looks:
        return self.subject.looks(clip, label)

    def window_s(self, length_s: float) -> float:
        return self.subject.window_s(length_s)

    def latencies(self) -> Mapping[str, Percentiles]:
        return self.subject.latencies()

    def curves(self) -> Curves:
        return self.subject.curves()

    def _views(self, clip: DecodedClip) -> Iterator[tuple[float, list[tuple[DecodedClip, bool]]]]:
        """For every part of the time: its start from the clip's first frame, and its views, each with `flipped`."""
        for part in parts_of(clip, self.plan.times, self.subject):
            crops = crops_of(part, self.input) if self.plan.crops > 1 else [part]
            views = [(crop, False) for crop in crops]
            views += [(replace(crop, frames=crop.frames[:, :, ::-1]), True) for crop in crops if self.plan.flip]
            yield float(part.times_s[0] - clip.times_s[0]), views

    def _turned(self, answer: Answer, flipped: bool) -> Answer:
        if not flipped:
            return answer
        return replace(answer, scores=answer.scores[self._order], steps=answer.steps[:, self._order], every_exit=None)


def parts_of(clip: DecodedClip, count: int, subject: Subject) -> list[DecodedClip]:
    """Up to `count` parts of a clip's time, evenly spread; fewer where it is no longer than what is looked at."""
    if count == 1:
        return [clip]
    begin_s, end_s = float(clip.times_s[0]), float(clip.times_s[-1])
    window_s = subject.window_s(end_s - begin_s)
    starts = np.searchsorted(clip.times_s, view_starts(begin_s, end_s, window_s, count) - TOLERANCE_S)
    parts = []
    for first in dict.fromkeys(starts.tolist()):
        last = int(np.searchsorted(clip.times_s, clip.times_s[first] + window_s + TOLERANCE_S))
        inside = slice(first, max(last, first + 1))
        parts.append(replace(clip, frames=clip.frames[inside], times_s=clip.times_s[inside], first=clip.first + first))
    return parts


def view_starts(start_s: float, end_s: float, window_s: float, views: int) -> NDArray[np.float64]:
    """Where each of `views` windows, at least two, begins that stand evenly in a span, in seconds, rising: `(views,)`.

    The first stands at the span's start, the last at its end; all at its start where a window is not shorter.
    """
    return np.asarray(start_s + max(0.0, end_s - start_s - window_s) * np.linspace(0, 1, views), np.float64)


def crops_of(clip: DecodedClip, spec: InputSpec) -> list[DecodedClip]:
    """The first, middle and last crop of the input's shape along the longer side; one where that is the picture's."""
    height, width = clip.frames.shape[1:3]
    keep = min(width / spec.width, height / spec.height)
    w, h = min(width, round(spec.width * keep)), min(height, round(spec.height * keep))
    places = dict.fromkeys((round((height - h) * share), round((width - w) * share)) for share in (0, 0.5, 1))
    return [replace(clip, frames=clip.frames[:, top : top + h, left : left + w]) for top, left in places]


def mirrored_order(subject: Subject) -> list[int]:
    """For every label the index of the one that it becomes in a mirror.

    Raises:
        InputError: a model file, which does not say; or the recipe says nothing of a label.
    """
    if subject.mirrored is None:
        raise InputError(f"--flip: {subject.name} does not say what its labels become in a mirror; its checkpoint does")
    # where every action becomes one of them, and no two the same, the background has nothing to become
    known = {BACKGROUND: BACKGROUND, **subject.mirrored}
    unknown = [label for label in subject.labels if label not in known]
    if unknown:
        raise InputError(
            f"--flip: augment.flip in the recipe of {subject.name} says nothing of {', '.join(unknown)}: "
            "in a mirror they may be something else"
        )
    return [subject.labels.index(known[label]) for label in subject.labels]


def _mean(values: list[NDArray[Any]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(values, axis=0), np.float32)
