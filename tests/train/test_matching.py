"""Events against what really happened: the matching is the largest there is, and the figures are those of hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from edgevid_train.evaluate.streams.matching import (
    Action,
    Found,
    Stream,
    Tally,
    count,
    count_by_unit,
    delays_s,
    edit_distance,
    f1_interval,
    flickers,
    match,
    near,
    summarise_streams,
    verdicts,
)


def action(label: str, start_s: float, end_s: float, unit: str = "room") -> Action:
    return Action(label, start_s, end_s, unit)


def event(label: str, start_s: float, end_s: float, emitted_s: float | None = None) -> Found:
    return Found(label, start_s, end_s, start_s if emitted_s is None else emitted_s)


intervals = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 25)).map(
        lambda t: Action(t[0], t[1] / 4, (t[1] + t[2]) / 4)
    ),
    max_size=12,
)


@given(intervals, intervals)
def test_the_matching_is_the_largest_there_is(actions: list[Action], found: list[Action]) -> None:
    """Against Hopcroft and Karp's algorithm (scipy), for intervals that overlap in any way."""
    pairs = match(actions, found)
    assert len(set(pairs.values())) == len(pairs)
    for i, j in pairs.items():
        assert actions[i].label == found[j].label
        assert near(actions[i], found[j])
    edges = np.array([[a.label == e.label and near(a, e) for e in found] for a in actions], int)
    most = 0
    if actions and found:
        most = int((maximum_bipartite_matching(csr_array(edges), perm_type="column") >= 0).sum())
    assert len(pairs) == most
    assert len(match(found, actions)) == most


@given(intervals, intervals)
def test_every_event_has_one_verdict_and_every_figure_follows(actions: list[Action], found: list[Action]) -> None:
    events = tuple(event(f.label, f.start_s, f.end_s) for f in found)
    stream = Stream("s", 60.0, tuple(actions), events)
    told = verdicts(stream.actions, stream.found)
    counts = count(stream)
    assert told.count("matched") == counts.matched == len(actions) - counts.missed
    assert len(told) - told.count("matched") == counts.extra
    assert sum(count_by_unit(stream).values(), Tally()) == counts
    assert 0 <= counts.f1 <= 1
    assert len(delays_s(stream)) == counts.matched
    assert flickers(stream) <= 2 * counts.extra
    summary = summarise_streams([stream, Stream("empty", 30.0, (), ())])
    assert summary["f1"] == counts.f1
    for name in ("precision", "recall"):
        assert summary[f"{name}_low"] <= summary[name] <= summary[f"{name}_high"] or not (actions and found)
    rows = summary["per_label"].values()
    assert sum(row["actions"] for row in rows) == len(actions)
    assert sum(row["events"] for row in rows) == len(found)


@pytest.mark.parametrize(
    ("start_s", "end_s", "matches"),
    [(5.5, 6, True), (5.51, 6, False), (0, 1.5, True), (0, 1.49, False), (3, 3, True), (0, 9, True)],
)
def test_half_a_second_apart_still_overlaps(start_s: float, end_s: float, matches: bool) -> None:
    assert bool(match([action("a", 2, 5)], [event("a", start_s, end_s)])) is matches


def test_verdicts_by_hand() -> None:
    actions = [action("a", 0, 2), action("b", 4, 6), action("a", 10, 12)]
    found = [
        event("a", 1, 2),
        event("a", 2.2, 2.4),  # of an action that has its event
        event("a", 4, 5),  # while another goes on
        event("b", 6.4, 7),
        event("b", 8, 9),  # while none does
    ]
    assert verdicts(actions, found) == ["matched", "doubled", "mistaken", "matched", "false"]


def test_one_event_does_not_find_two_actions() -> None:
    assert count(Stream("s", 9, (action("a", 0, 2), action("a", 2.5, 4)), (event("a", 1, 3),))) == Tally(1, 1, 0)


def test_summary_by_hand() -> None:
    one = Stream(
        "one",
        60.0,
        (action("a", 0, 2, "hall"), action("b", 4, 6, "hall"), action("a", 10, 12, "park")),
        (event("a", 1, 2.5, 1.9), event("b", 5, 7, 6.3), event("b", 8, 9), event("a", 11, 12, 12.5)),
    )
    two = Stream("two", 120.0, (action("c", 5, 6, "park"),), ())
    found = summarise_streams([one, two], unreadable=[("c", "hall")])
    assert (found["actions"], found["events"], found["matched"], found["missed"]) == (5, 4, 3, 2)
    assert (found["precision"], found["recall"]) == (3 / 4, 3 / 5)
    assert found["f1"] == pytest.approx(2 * 3 / (5 + 4))
    assert found["f1_low"] <= found["f1"] <= found["f1_high"]
    assert (found["doubled"], found["mistaken"], found["false"], found["units"]) == (0, 0, 1, 2)
    assert found["delay_s"]["p50"] == pytest.approx(0.3)
    assert found["delay_s"]["p95"] == pytest.approx(0.48)
    assert found["flicker_per_min"] == pytest.approx(2 / 3)
    assert found["levenshtein_accuracy"] == pytest.approx(1 - 3 / 5)  # a b a -> a b b a, c missed, c unreadable
    assert found["per_label"]["c"] == {"actions": 2, "events": 0, "precision": 0, "recall": 0, "f1": 0}


def test_what_cannot_be_read_is_in_the_interval_too() -> None:
    found = summarise_streams(
        [Stream(f"{i}", 9.0, (action("a", 0, 2, f"hall{i}"),), (event("a", 0, 2, 2.1),)) for i in range(10)],
        unreadable=[("a", f"yard{i}") for i in range(10)],
    )
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["f1_low"] < found["f1"] < found["f1_high"]


def test_a_clip_shown_again_makes_no_interval_narrower() -> None:
    one = [Stream(f"{i}", 9.0, (action("a", 0, 2, f"hall{i}"),), ()) for i in range(4)]
    one += [Stream(f"{i}", 9.0, (action("a", 0, 2, f"hall{i}"),), (event("a", 0, 2, 2.1),)) for i in range(4, 20)]
    once, thrice = summarise_streams(one), summarise_streams(3 * one, laps=3)
    for name in ("recall", "recall_low", "recall_high", "precision_low", "precision_high"):
        assert once[name] == pytest.approx(thrice[name]), name


def test_nothing_at_all_is_no_division_by_zero() -> None:
    found = summarise_streams([])
    assert (found["f1"], found["delay_s"], found["levenshtein_accuracy"]) == (0, None, None)


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("ab", "ba", 2), ("abab", "bab", 1)]
)
def test_edit_distance_against_known_values(a: str, b: str, distance: int) -> None:
    assert edit_distance(list(a), list(b)) == distance


@given(st.text("abc", max_size=7), st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_edit_distance_is_a_metric(a: Sequence[str], b: Sequence[str], c: Sequence[str]) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_the_interval_of_f1_draws_whole_units() -> None:
    alike = [Tally(matched=8, missed=1, extra=1)] * 20
    assert f1_interval(alike) == pytest.approx((alike[0].f1, alike[0].f1))
    mixed = [Tally(matched=9), Tally(missed=9)] * 10
    low, high = f1_interval(mixed)
    assert low < sum(mixed, Tally()).f1 < high
    assert f1_interval(mixed) == (low, high)
    assert f1_interval(alike[:1]) == (0.0, 1.0)


def test_a_change_of_label_that_is_true_is_no_flicker() -> None:
    taken_over = Stream("s", 60, (action("a", 0, 2), action("b", 2, 4)), (event("a", 1, 3), event("b", 3, 4)))
    assert flickers(taken_over) == 0
    # `b` shows up within `a`: away from `a` and back are explained by nothing, and the second `a` is one too many.
    torn = Stream("s", 60, (action("a", 0, 6),), (event("a", 1, 2), event("b", 2, 3), event("a", 3, 5)))
    assert flickers(torn) == 2
