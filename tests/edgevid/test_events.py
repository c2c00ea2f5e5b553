"""The event rule: hysteresis, least duration, cooldown, once per action; and what holds for any scores at all."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.events import Change, Event, EventDetector
from edgevid.manifest import EventRule

LABELS = ("left", "right", "other")
BARE = EventRule(on=0.6, off=0.3, min_s=0.0, cooldown_s=0.0, smooth_s=0.0)


def softmaxed(left: float, right: float = 0.0) -> np.ndarray:
    return np.array([left, right, 1 - left - right], np.float32)


def run(rule: EventRule, lefts: list[float], step_s: float = 0.1) -> list[Change]:
    detector = EventDetector(rule, LABELS, background=2)
    changes: list[Change] = []
    for i, left in enumerate(lefts):
        changes += detector.update(i * step_s, softmaxed(left))
    return changes + detector.finish()


def brief(changes: list[Change]) -> list[tuple[str, str, float]]:
    return [(c.type, c.label, round(c.start_s if c.end_s is None else c.end_s, 3)) for c in changes]


def test_one_action_starts_where_the_score_rose_and_ends_below_off() -> None:
    changes = run(BARE, [0.1, 0.4, 0.5, 0.9, 0.5, 0.4, 0.2, 0.1])
    assert brief(changes) == [("start", "left", 0.1), ("end", "left", 0.6)]
    assert changes[1].score == pytest.approx(0.9)


def test_a_score_between_off_and_on_neither_starts_nor_ends() -> None:
    assert run(BARE, [0.5] * 20) == []
    assert brief(run(BARE, [0.9, 0.4, 0.9, 0.4, 0.9, 0.1])) == [("start", "left", 0.0), ("end", "left", 0.5)]


def test_a_level_reached_exactly_counts_as_reached() -> None:
    rule = BARE.model_copy(update={"on": 0.7, "off": 0.7})
    assert brief(run(rule, [0.7, 0.7, 0.6])) == [("start", "left", 0.0), ("end", "left", 0.2)]


def test_shorter_than_min_s_is_no_action() -> None:
    rule = BARE.model_copy(update={"min_s": 0.2})
    assert run(rule, [0.1, 0.9, 0.9, 0.1]) == []
    detector = EventDetector(rule, LABELS, 2)
    started = [bool(detector.update(i / 10, softmaxed(s))) for i, s in enumerate([0.1, 0.9, 0.9, 0.9])]
    assert started == [False, False, False, True]


def test_the_same_label_waits_for_the_cooldown_and_another_does_not() -> None:
    detector = EventDetector(BARE.model_copy(update={"cooldown_s": 0.5}), LABELS, 2)
    changes = []
    for i, scores in enumerate([(0.9, 0), (0.1, 0), (0.9, 0), (0.1, 0.8), (0.9, 0), (0.9, 0), (0.9, 0), (0.1, 0)]):
        changes += detector.update(i / 10, softmaxed(*scores))
    assert brief(changes) == [
        ("start", "left", 0.0),
        ("end", "left", 0.1),
        ("start", "right", 0.3),
        ("end", "right", 0.4),
        ("start", "left", 0.6),
        ("end", "left", 0.7),
    ]


def test_a_repeated_action_is_a_second_event() -> None:
    changes = run(BARE.model_copy(update={"cooldown_s": 0.2}), [0.9, 0.1, 0.1, 0.9, 0.1])
    assert [c.number for c in changes] == [0, 0, 1, 1]


def test_smoothing_swallows_one_wild_step() -> None:
    rule = BARE.model_copy(update={"smooth_s": 0.3})
    assert run(rule, [0.1, 0.1, 0.95, 0.1, 0.1]) == []
    assert run(rule, [0.1, 0.1, 0.95, 0.95, 0.95, 0.1]) != []


def test_smoothing_takes_the_steps_that_the_clip_score_takes() -> None:
    from edgevid.models.scores import smooth

    scores = np.stack([softmaxed(s) for s in np.random.default_rng(0).random(30)])
    for smooth_s, steps in ((0.0, 1), (0.1, 1), (0.2, 2), (0.5, 5)):
        detector = EventDetector(BARE.model_copy(update={"smooth_s": smooth_s}), LABELS, 2)
        seen = []
        for i, row in enumerate(scores):
            detector.update(i * 0.1, row)
            seen.append(detector.smoothed)
        np.testing.assert_allclose(seen, smooth(scores, steps), atol=1e-6)


def test_softmax_hands_over_without_overlap_and_sigmoid_overlaps() -> None:
    rule = BARE.model_copy(update={"on": 0.5, "off": 0.2})
    steps = [(0.9, 0.0), (0.7, 0.1), (0.6, 0.3), (0.4, 0.6), (0.1, 0.8), (0.1, 0.1)]
    exclusive = EventDetector(rule, LABELS, 2)
    changes = [c for i, s in enumerate(steps) for c in exclusive.update(i / 10, softmaxed(*s))]
    assert brief(changes) == [
        ("start", "left", 0.0),
        ("end", "left", 0.2),
        ("start", "right", 0.2),
        ("end", "right", 0.5),
    ]
    several = EventDetector(rule, LABELS, 2, activation="sigmoid")
    changes = [c for i, s in enumerate(steps) for c in several.update(i / 10, softmaxed(*s))]
    assert brief([c for c in changes if c.type != "update"]) == [
        ("start", "left", 0.0),
        ("start", "right", 0.2),
        ("end", "left", 0.4),
        ("end", "right", 0.5),
    ]


def test_updates_come_when_the_score_has_grown_and_not_more_often_than_four_a_second() -> None:
    changes = run(BARE, [0.6, 0.66, 0.72, 0.78, 0.84, 0.9, 0.9, 0.9, 0.9, 0.1])
    assert [(c.type, round(c.score, 2)) for c in changes] == [
        ("start", 0.6),
        ("update", 0.78),
        ("update", 0.9),
        ("end", 0.9),
    ]


def test_background_is_never_an_event_and_a_model_may_have_none() -> None:
    detector = EventDetector(BARE, LABELS, background=2)
    assert [c for i in range(50) for c in detector.update(i / 10, softmaxed(0.0))] == []
    detector = EventDetector(BARE, LABELS, background=None)
    assert detector.update(0, softmaxed(0.0))[0].label == "other"


def test_the_end_of_the_source_ends_open_events_at_its_last_step() -> None:
    assert brief(run(BARE, [0.1, 0.9, 0.9])) == [("start", "left", 0.1), ("end", "left", 0.2)]


def test_after_a_gap_nothing_before_it_counts() -> None:
    detector = EventDetector(BARE.model_copy(update={"smooth_s": 1.0, "min_s": 0.2}), LABELS, 2)
    for i in range(3):
        detector.update(i / 10, softmaxed(0.9))
    assert brief(detector.finish()) == [("end", "left", 0.2)]
    assert not detector.smoothed.any()
    assert detector.rest(5.0) == []  # there is no score to hold
    assert detector.update(5.1, softmaxed(0.9)) == []  # the first step after the gap is not yet min_s long
    assert detector.update(5.3, softmaxed(0.9))[0].number == 1


def test_held_scores_advance_the_clock() -> None:
    detector = EventDetector(BARE.model_copy(update={"min_s": 0.5}), LABELS, 2)
    assert detector.update(0.0, softmaxed(0.9)) == []
    assert detector.rest(0.4) == []
    assert brief(detector.rest(0.5)) == [("start", "left", 0.0)]


def test_time_that_goes_back_and_scores_of_another_model_are_refused() -> None:
    detector = EventDetector(BARE, LABELS, 2)
    detector.update(1.0, softmaxed(0.1))
    with pytest.raises(ValueError, match="time went back"):
        detector.update(0.9, softmaxed(0.1))
    with pytest.raises(ValueError, match="3 labels"):
        detector.update(1.1, np.zeros(4, np.float32))


def test_an_event_is_one_line_of_json_with_the_documented_fields() -> None:
    event = Event("start", "a1-0", "naïve\nlabel", 0.91234567, 1.23456, None, 1.3, "2026", 4.0, "end", 0, "demo", "m@1")
    line = event.to_json()
    assert "\n" not in line
    fields = json.loads(line)
    names = "schema type id label score start_s end_s emitted_s utc latency_ms exit dropped_frames source model"
    assert " ".join(fields) == names
    assert (fields["schema"], fields["label"], fields["score"], fields["start_s"], fields["end_s"]) == (
        1,
        "naïve\nlabel",
        0.9123,
        1.235,
        None,
    )


rules = st.builds(
    lambda levels, min_s, cooldown_s, smooth_s: EventRule(
        on=max(levels), off=min(levels), min_s=min_s, cooldown_s=cooldown_s, smooth_s=smooth_s
    ),
    st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
    *[st.sampled_from([0.0, 0.1, 0.25, 0.7])] * 3,
)
steps = st.lists(
    st.tuples(st.floats(0.001, 0.5), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 19)),
    max_size=60,
)


@given(rule=rules, steps=steps, activation=st.sampled_from(["softmax", "sigmoid"]))
@settings(max_examples=300, deadline=None)
def test_what_holds_for_any_scores(
    rule: EventRule, steps: list[tuple[float, int, int, int, int]], activation: str
) -> None:
    detector = EventDetector(rule, LABELS, 2, activation)
    time_s, emitted = 0.0, []
    for delta_s, left, right, other, dice in steps:
        time_s += delta_s
        scores = np.array([left, right, other], np.float32) / (max(1, left + right + other))
        if activation == "sigmoid":
            scores = np.array([left, right, other], np.float32) / 9
        changes = (
            detector.finish() if dice == 0 else detector.rest(time_s) if dice < 3 else detector.update(time_s, scores)
        )
        emitted += [(time_s, c) for c in changes]
        if activation == "softmax":
            assert len(detector.open_labels) <= 1
    emitted += [(time_s, c) for c in detector.finish()]
    assert detector.open_labels == ()

    by_number: dict[int, list[tuple[float, Change]]] = {}
    for at_s, change in emitted:
        assert change.label != "other"
        assert change.start_s <= at_s
        assert 0 <= change.score <= 1
        by_number.setdefault(change.number, []).append((at_s, change))
    assert sorted(by_number) == list(range(len(by_number)))
    actions = []
    for changes_of_one in by_number.values():
        types = [c.type for _, c in changes_of_one]
        assert types == ["start"] + ["update"] * (len(types) - 2) + ["end"]
        first, last = changes_of_one[0][1], changes_of_one[-1][1]
        assert len({(c.label, c.start_s) for _, c in changes_of_one}) == 1
        scores_of_one = [c.score for _, c in changes_of_one]
        assert scores_of_one == sorted(scores_of_one)
        assert first.score >= rule.on - 1e-5
        assert last.end_s is not None
        assert first.start_s <= last.end_s <= changes_of_one[-1][0]
        for (before_s, _), (after_s, change) in pairwise(changes_of_one):
            if change.type == "update":
                assert after_s - before_s >= 0.25 - 1e-5
        actions.append((first.label, first.start_s, last.end_s))
    for label in ("left", "right"):
        mine = [(start_s, end_s) for of, start_s, end_s in actions if of == label]
        for (_, end_s), (start_s, _) in pairwise(mine):
            assert start_s >= end_s + rule.cooldown_s - 1e-5
    if activation == "softmax":
        for (_, _, end_s), (_, start_s, _) in pairwise(actions):
            assert start_s >= end_s - 1e-5


@given(
    segments=st.lists(st.tuples(st.sampled_from([0.05, 0.45, 0.9]), st.integers(5, 20)), min_size=1, max_size=8),
    fast_hz=st.sampled_from([20, 30, 60]),
    min_s=st.sampled_from([0.0, 0.15]),
    smooth_s=st.sampled_from([0.0, 0.15]),
)
@settings(max_examples=200, deadline=None)
def test_the_same_signal_at_another_rate_gives_the_same_events(
    segments: list[tuple[float, int]], fast_hz: int, min_s: float, smooth_s: float
) -> None:
    rule = EventRule(on=0.6, off=0.3, min_s=min_s, cooldown_s=0.05, smooth_s=smooth_s)
    edges_s = np.cumsum([tenths / 10 for _, tenths in segments])

    def at(rate_hz: int) -> list[Change]:
        scores = [
            segments[int(np.searchsorted(edges_s, i / rate_hz + 1e-9, side="right"))][0]
            for i in range(int(edges_s[-1] * rate_hz))
        ]
        return [c for c in run(rule, scores, 1 / rate_hz) if c.type != "update"]

    slow, fast = at(10), at(fast_hz)
    assert [(c.type, c.number) for c in slow] == [(c.type, c.number) for c in fast]
    for a, b in zip(slow, fast, strict=True):
        assert a.start_s == pytest.approx(b.start_s, abs=0.2)
        assert (a.end_s or 0) == pytest.approx(b.end_s or 0, abs=0.2)
