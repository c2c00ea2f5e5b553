"""Which exit decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_manifest

from edgevid.cascade import decide, deciding_exit, hold_rule, thresholds_of
from edgevid.errors import InputError
from edgevid.manifest import ExitSpec, HoldRule
from edgevid.models.contract import Outputs


def exits(*thresholds: float | None) -> tuple[ExitSpec, ...]:
    return tuple(ExitSpec(name=f"exit{i}", macs=i, threshold=t) for i, t in enumerate(thresholds))


def best(*scores: float) -> np.ndarray:
    return np.array([[s, 1 - s] for s in scores], np.float32)


def test_the_first_sure_exit_decides() -> None:
    assert deciding_exit(best(0.8, 0.95, 0.6), exits(0.9, 0.9, None)) == 1
    assert deciding_exit(best(0.95, 0.95, 0.6), exits(0.9, 0.9, None)) == 0
    assert deciding_exit(best(0.7, 0.6), exits(0.7, None)) == 0  # 0.7 as float32 is less than 0.7


def test_without_a_threshold_an_exit_never_decides_and_the_last_always_does() -> None:
    assert deciding_exit(best(1.0, 1.0, 0.5), exits(None, None, 0.99)) == 2


def test_sure_background_decides_too() -> None:
    assert deciding_exit(best(0.02, 0.5), exits(0.9, None)) == 0


def test_scores_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="2 exits"):
        deciding_exit(best(0.5), exits(None, None))


def test_a_conditional_model_has_decided_itself_and_later_exits_have_no_scores() -> None:
    logits = np.array([[5, 0, 0, 0], [5, 0, 0, 0]], np.float32)  # the second row repeats the first
    manifest = tiny_manifest("stream", conditional=True, exits=exits(0.0, None))
    scores, chosen = decide(Outputs(logits, np.zeros(3, np.float32), exit=0), manifest)
    assert (scores.shape, chosen) == ((1, 4), 0)
    scores, chosen = decide(Outputs(logits, np.zeros(3, np.float32), exit=1), manifest)
    assert (scores.shape, chosen) == ((2, 4), 1), "its word counts, whatever the thresholds say"
    scores, chosen = decide(Outputs(logits, np.zeros(3, np.float32)), manifest)
    assert (scores.shape, chosen) == ((2, 4), 0)


@given(st.lists(st.tuples(st.floats(0.5, 1), st.none() | st.floats(0, 1)), min_size=1, max_size=5))
def test_nothing_before_the_deciding_exit_was_sure(pairs: list[tuple[float, float | None]]) -> None:
    scores, specs = best(*[s for s, _ in pairs]), exits(*[t for _, t in pairs])
    chosen = deciding_exit(scores, specs)
    sure = [t is not None and bool(scores[i].max() >= np.float32(t)) for i, (_, t) in enumerate(pairs)]
    assert not any(sure[:chosen])
    assert chosen == len(pairs) - 1 or sure[chosen]


def test_an_exit_is_as_sure_of_independent_labels_as_of_the_least_sure_one() -> None:
    scores = np.array([[0.95, 0.5, 0.02], [0.95, 0.92, 0.02], [0.5, 0.5, 0.5]], np.float32)
    assert deciding_exit(scores, exits(0.9, 0.9, None), "sigmoid") == 1
    assert deciding_exit(scores, exits(0.9, 0.9, None)) == 0  # softmax asks for the best score alone
    nothing = np.array([[0.01, 0.03, 0.02], [0.5, 0.5, 0.5]], np.float32)
    assert deciding_exit(nothing, exits(0.9, None), "sigmoid") == 0  # sure that none is there


@pytest.mark.parametrize(("text", "rule"), [("2", (2, 2)), ("3,1", (3, 1)), ("0", (0, 0)), ("16,0", (16, 0))])
def test_a_rule_for_holding_in_words(text: str, rule: tuple[int, int]) -> None:
    quiet, busy = rule
    assert hold_rule(text) == HoldRule(quiet=quiet, busy=busy)


@pytest.mark.parametrize("text", ["", ",", "1,", "1,2,3", "-1", "17", "1.5", "nan", "²", "one"])
def test_what_is_no_rule_for_holding(text: str) -> None:
    with pytest.raises(InputError, match="--hold is one or two numbers of frames"):
        hold_rule(text)


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [("0.9", [0.9, 0.9, None]), ("never,0.8", [None, 0.8, None]), ("1,0", [1.0, 0.0, None]), ("never", [None] * 3)],
)
def test_thresholds_in_words(text: str, thresholds: list[float | None]) -> None:
    assert thresholds_of(text, ["stage3", "stage4", "final"]) == thresholds


@pytest.mark.parametrize("text", ["", ",", "0.9,", "0.9,0.9,0.9", "-1", "1.5", "nan", "inf", "always", "never,nan"])
def test_what_are_no_thresholds(text: str) -> None:
    with pytest.raises(InputError, match=r"from 0 to 1, or with commas .* for each of stage3, stage4,"):
        thresholds_of(text, ["stage3", "stage4", "final"])
