"""What a run measures about itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.metrics import Latencies, Rates, rss_mb


@given(st.lists(st.floats(0.02, 1e5), min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_percentiles_are_exact_to_two_percent(values: list[float], percent: int) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert latencies.percentile(percent) == pytest.approx(exact, rel=0.021)


def test_latencies_out_of_any_range_are_counted_at_its_ends() -> None:
    latencies = Latencies()
    assert latencies.summary() == {"p50": None, "p95": None, "p99": None}
    for value in (-1.0, 0.0, 1e12):
        latencies.add(value)
    assert latencies.n == 3
    assert latencies.percentile(50) == 0.01
    assert (latencies.percentile(99) or 0) > 9e5


def test_rates_forget() -> None:
    rates = Rates(span_s=2.0)
    assert rates.update(0.0, 0, 0) == (0.0, 0.0)
    for tenth in range(1, 50):
        seen = rates.update(tenth / 10, tenth * 3, tenth)
    assert seen == pytest.approx((30, 10))
    for tenth in range(50, 80):
        seen = rates.update(tenth / 10, 147, 49)
    assert seen == (0.0, 0.0)


def test_resident_memory_grows_with_what_is_held() -> None:
    before = rss_mb()
    held = np.ones(50_000_000, np.uint8)
    assert rss_mb() - before > 40
    assert held[0] == 1
