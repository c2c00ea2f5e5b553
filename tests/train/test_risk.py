"""The test behind `edgevid calibrate`: its p-values, how many units it needs, and that its promise holds."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import InputError
from edgevid_train.calibration.risk import Promise

PROMISE = Promise(0.02, 0.95)
SPLITS = 200
MOST_BROKEN = 15
"""Of 200 promises at 0.95 ten may be broken in the mean; more than 15 would be by chance less than one time in 20."""

shares = st.floats(0.001, 0.999)
trials = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(trials, shares)
def test_p_values_are_the_binomial_distributions(trial: tuple[int, int], risk: float) -> None:
    binom = pytest.importorskip("scipy.stats").binom
    losses, n = trial
    assert Promise(risk, 0.95).p_value(losses, n) == pytest.approx(binom.cdf(losses, n, risk), rel=1e-8, abs=1e-30)


@given(trials, shares, shares)
def test_more_losses_and_a_smaller_risk_are_harder_to_promise(
    trial: tuple[int, int], risk: float, other: float
) -> None:
    losses, n = trial
    promise = Promise(risk, 0.95)
    p = promise.p_value(losses, n)
    assert 0 <= p <= 1
    assert losses == 0 or promise.p_value(losses - 1, n) <= p + 1e-12
    assert (
        Promise(max(risk, other), 0.95).p_value(losses, n) <= Promise(min(risk, other), 0.95).p_value(losses, n) + 1e-9
    )


@pytest.mark.parametrize(("losses", "needed"), [(0, 149), (1, 236), (2, 313)])
def test_how_many_units_the_promise_needs(losses: int, needed: int) -> None:
    assert PROMISE.units_needed(losses) == needed


@given(st.integers(0, 40), st.floats(0.005, 0.9), st.floats(0.5, 0.999))
def test_no_fewer_units_would_do(losses: int, risk: float, confidence: float) -> None:
    promise = Promise(risk, confidence)
    needed = promise.units_needed(losses)
    assert promise.p_value(losses, needed) <= promise.level
    assert needed == losses + 1 or promise.p_value(losses, needed - 1) > promise.level
    if losses == 0:
        assert needed == pytest.approx(math.log(promise.level) / math.log1p(-risk), abs=1.001)


@pytest.mark.parametrize(
    ("losses", "n", "passed"),
    [
        ([0, 0, 0], 148, 0),
        ([0, 0, 0], 149, 3),
        ([0, 0, 1, 0], 149, 2),  # the last one lost nothing, but the test had ended
        ([1, 0], 149, 0),
        ([0, 1, 1, 2], 236, 3),
        ([], 149, 0),
    ],
)
def test_the_first_failure_ends_the_test(losses: list[int], n: int, passed: int) -> None:
    assert PROMISE.passed(losses, n) == passed


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
def test_a_promise_is_about_shares(value: float) -> None:
    with pytest.raises(InputError, match="--risk"):
        Promise(value, 0.95)
    with pytest.raises(InputError, match="--confidence"):
        Promise(0.02, value)


@pytest.mark.parametrize("risk", [1e-300, 1e-17, 1e-7])
def test_what_nobody_could_prove_is_refused(risk: float) -> None:
    with pytest.raises(InputError, match="the least that can be promised is 1e-06"):
        Promise(risk, 0.95)
    assert 2_900_000 < Promise(1e-6, 0.95).units_needed() < 3_000_000


def test_impossible_counts() -> None:
    with pytest.raises(ValueError, match="4 losses of 3"):
        PROMISE.p_value(4, 3)


def test_the_promise_holds_where_the_true_risk_is_known() -> None:
    """200 calibrations on 1000 recordings each; rows of thresholds whose true risks lie close around the promised."""
    risks = np.array([0.004, 0.008, 0.012, 0.015, 0.018, 0.0199, 0.0201, 0.021, 0.022, 0.024, 0.027, 0.03])
    broken = by_the_share_alone = 0
    for seed in range(SPLITS):
        recordings = np.random.default_rng([41, seed]).random(1000)
        losses = (recordings[:, None] < risks).sum(axis=0)
        passed = PROMISE.passed(losses.tolist(), 1000)
        broken += passed > 0 and risks[passed - 1] > PROMISE.risk
        by_the_share_alone += risks[losses <= 1000 * PROMISE.risk].max() > PROMISE.risk
    assert broken <= MOST_BROKEN
    assert by_the_share_alone > 5 * MOST_BROKEN  # what a rule without a test would have promised


def test_the_promise_is_not_needlessly_timid() -> None:
    """A row that loses a quarter of what it may passes nearly always."""
    losses = np.random.default_rng(5).binomial(1000, PROMISE.risk / 4, SPLITS)
    assert sum(PROMISE.passed([int(lost)], 1000) for lost in losses) > 0.95 * SPLITS


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 63))
def test_p_values_against_exact_fractions(trial: tuple[int, int], risk_in_64ths: int) -> None:
    losses, n = trial
    risk = Fraction(risk_in_64ths, 64)
    exact = sum(math.comb(n, k) * risk**k * (1 - risk) ** (n - k) for k in range(losses + 1))
    assert Promise(float(risk), 0.95).p_value(losses, n) == pytest.approx(float(exact), rel=1e-12)
