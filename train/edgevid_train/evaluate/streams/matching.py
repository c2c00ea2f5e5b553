"""Events against the actions that really happened: which found which, and the figures that follow.

An event matches a true action when the label is the same and the intervals overlap within 0.5 s, one to one. Of the
events that match nothing one is `doubled` (the action has its event already), `mistaken` (an action of another label
was going on) or `false` (none was).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from edgevid_train.evaluate.figures.metrics import grouped_interval
from edgevid_train.evaluate.figures.resampling import DRAWS, draw, middle_95

TOLERANCE_S = 0.5
"""Intervals this far apart still overlap."""

Verdict = Literal["matched", "doubled", "mistaken", "false"]


class LabelledSpan(Protocol):
    """Something with a label that goes on for some time."""

    @property
    def label(self) -> str: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Action:
    """What really happened, in seconds of a stream's clock. `unit`: what it is independent of others by (its scene)."""

    label: str
    start_s: float
    end_s: float
    unit: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An event as a whole. `emitted_s`: when it was first told of."""

    label: str
    start_s: float
    end_s: float
    emitted_s: float
    score: float = 1.0


@dataclass(frozen=True)
class Stream:
    """One recording, judged: what happened in it, what was found, in the order of time, and its length."""

    name: str
    seconds: float
    actions: tuple[Action, ...]
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """Of some actions and the events about them. `extra`: events that match nothing."""

    matched: int = 0
    missed: int = 0
    extra: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.matched + other.matched, self.missed + other.missed, self.extra + other.extra)

    @property
    def precision(self) -> float:
        """Share of events that are right; 0 without events."""
        return self.matched / max(1, self.matched + self.extra)

    @property
    def recall(self) -> float:
        """Share of actions found; 0 without actions."""
        return self.matched / max(1, self.matched + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 when there is neither action nor event."""
        return 2 * self.matched / max(1, 2 * self.matched + self.missed + self.extra)


def near(a: LabelledSpan, b: LabelledSpan, tolerance_s: float = TOLERANCE_S) -> bool:
    """Whether two intervals overlap, or lie at most `tolerance_s` apart."""
    return a.start_s <= b.end_s + tolerance_s and b.start_s <= a.end_s + tolerance_s


def match(
    actions: Sequence[LabelledSpan], found: Sequence[LabelledSpan], tolerance_s: float = TOLERANCE_S
) -> dict[int, int]:
    """The largest one-to-one matching: index of an action -> index of its event. No interval ends before it starts.

    Take the interval that ends first of all. What it is near to ends later and begins no more than `tolerance_s` after
    that end, so what is left is near to one of those whenever it begins early enough; so of two of those the one that
    ends first is near to nothing that the other is not near to, and to give that one away is never worse.
    """
    matched: dict[int, int] = {}
    sides: tuple[Sequence[LabelledSpan], Sequence[LabelledSpan]] = (actions, found)
    waiting = sorted(((s, i) for s in (0, 1) for i in range(len(sides[s]))), key=lambda k: sides[k[0]][k[1]].end_s)
    while waiting:
        side, index = waiting.pop(0)
        one = sides[side][index]
        for place, (other_side, other_index) in enumerate(waiting):
            other = sides[other_side][other_index]
            if other_side != side and other.label == one.label and near(one, other, tolerance_s):
                del waiting[place]
                matched[index if side == 0 else other_index] = other_index if side == 0 else index
                break
    return matched


def verdicts(
    actions: Sequence[LabelledSpan], found: Sequence[LabelledSpan], tolerance_s: float = TOLERANCE_S
) -> list[Verdict]:
    """What each event is."""
    right = set(match(actions, found, tolerance_s).values())
    told: list[Verdict] = []
    for j, event in enumerate(found):
        around = [action for action in actions if near(action, event, tolerance_s)]
        if j in right:
            told.append("matched")
        elif any(action.label == event.label for action in around):
            told.append("doubled")
        else:
            told.append("mistaken" if around else "false")
    return told


def count(stream: Stream) -> Tally:
    """All of a stream."""
    matched = len(match(stream.actions, stream.found))
    return Tally(matched, len(stream.actions) - matched, len(stream.found) - matched)


def count_by_unit(stream: Stream) -> dict[str, Tally]:
    """The same by what is independent: an extra event belongs to the unit of the last action begun before it."""
    pairs = match(stream.actions, stream.found)
    units = dict.fromkeys((action.unit for action in stream.actions), Tally())
    for i, action in enumerate(stream.actions):
        units[action.unit] += Tally(matched=1) if i in pairs else Tally(missed=1)
    right = set(pairs.values())
    for j, event in enumerate(stream.found):
        if j not in right:
            begun = [action for action in stream.actions if action.start_s <= event.start_s] or stream.actions[:1]
            unit = begun[-1].unit if begun else stream.name
            units[unit] = units.get(unit, Tally()) + Tally(extra=1)
    return units


def f1_interval(units: Sequence[Tally], seed: int = 0) -> tuple[float, float]:
    """The 95% interval of F1 by drawing whole units again (percentile bootstrap); `(0, 1)` for fewer than two."""
    if len(units) < 2:
        return 0.0, 1.0
    table = np.array([(c.matched, c.missed, c.extra) for c in units], np.int64)
    matched, missed, extra = (draw(np.random.default_rng(seed), len(units), DRAWS) @ table).T
    return middle_95(2 * matched / np.maximum(1, 2 * matched + missed + extra))


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Least insertions, deletions and replacements that make one sequence of the other (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def delays_s(stream: Stream) -> list[float]:
    """Of every action found: when its event was first told of, minus when the action ended. Below 0: before its end."""
    pairs = match(stream.actions, stream.found)
    return [stream.found[j].emitted_s - stream.actions[i].end_s for i, j in sorted(pairs.items())]


def flickers(stream: Stream) -> int:
    """Changes of the label shown that no true change explains; the label shown is the open event's, or none.

    An action explains two changes: to its label and away from it, those of the event that matches it.
    """
    right = set(match(stream.actions, stream.found).values())
    explained: dict[float, bool] = {}  # time of a change -> whether a true one stands behind it
    for j, event in enumerate(stream.found):
        for time_s in (event.start_s, event.end_s):
            explained[time_s] = explained.get(time_s, False) or j in right
    return sum(not true for true in explained.values())


def summarise_streams(
    streams: Sequence[Stream], unreadable: Sequence[tuple[str, str]] = (), seed: int = 0, laps: int = 1
) -> dict[str, Any]:
    """All figures over all streams; `unreadable`: label and unit of actions that no stream could show: they are missed.

    Intervals at 95% over units: of precision and recall by `grouped_interval`, of F1 by drawing units again.
    `laps`: how often every clip was shown.
    """
    by_unit: dict[str, Tally] = {}
    for _, unit in unreadable:
        by_unit[unit] = by_unit.get(unit, Tally()) + Tally(missed=1)
    for stream in streams:
        for unit, part in count_by_unit(stream).items():
            by_unit[unit] = by_unit.get(unit, Tally()) + part
    units = list(by_unit.values())
    total = sum(units, Tally())
    minutes = sum(stream.seconds for stream in streams) / 60
    told = [verdict for stream in streams for verdict in verdicts(stream.actions, stream.found)]
    late = [delay_s for stream in streams for delay_s in delays_s(stream)]
    wrong = sum(edit_distance(_labels(s.actions), _labels(s.found)) for s in streams) + len(unreadable)
    actions = total.matched + total.missed
    f1_low, f1_high = f1_interval(units, seed)
    matched = [part.matched for part in units]
    precision, recall = (
        grouped_interval(matched, [part.matched + part.extra for part in units], laps),
        grouped_interval(matched, [part.matched + part.missed for part in units], laps),
    )
    return {
        "actions": actions,
        "events": total.matched + total.extra,
        "minutes": minutes,
        "precision": total.precision,
        "precision_low": precision[0],
        "precision_high": precision[1],
        "recall": total.recall,
        "recall_low": recall[0],
        "recall_high": recall[1],
        "f1": total.f1,
        "f1_low": f1_low,
        "f1_high": f1_high,
        "units": len(units),
        **{verdict: told.count(verdict) for verdict in ("matched", "doubled", "mistaken", "false")},
        "missed": total.missed,
        "delay_s": {"p50": float(np.median(late)), "p95": float(np.quantile(late, 0.95))} if late else None,
        "flicker_per_min": sum(map(flickers, streams)) / minutes if minutes else 0.0,
        "levenshtein_accuracy": 1 - wrong / actions if actions else None,
        "per_label": _per_label(streams, [label for label, _ in unreadable]),
    }


def _per_label(streams: Sequence[Stream], unreadable: Sequence[str]) -> dict[str, dict[str, float]]:
    names = set(unreadable)
    for stream in streams:
        names |= {action.label for action in stream.actions} | {event.label for event in stream.found}
    rows = {}
    for label in sorted(names):
        counts = Tally(missed=list(unreadable).count(label))
        for stream in streams:
            actions = tuple(action for action in stream.actions if action.label == label)
            found = tuple(event for event in stream.found if event.label == label)
            counts += count(Stream(stream.name, stream.seconds, actions, found))
        rows[label] = {
            "actions": counts.matched + counts.missed,
            "events": counts.matched + counts.extra,
            "precision": counts.precision,
            "recall": counts.recall,
            "f1": counts.f1,
        }
    return rows


def _labels(items: Sequence[LabelledSpan]) -> list[str]:
    return [item.label for item in sorted(items, key=lambda item: item.start_s)]
