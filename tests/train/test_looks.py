"""When a teacher looks at a clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid_train.models.teachers.build import TeacherConfig
from edgevid_train.samples.looks import look_times


@given(st.floats(0, 1e4), st.floats(0, 100), st.integers(2, 128), st.one_of(st.just(0.0), st.floats(0.1, 60)))
def test_every_look_is_within_the_action_and_none_before_the_one_before(
    start_s: float, length_s: float, count: int, rate_hz: float
) -> None:
    times_s = look_times(start_s, start_s + length_s, count, rate_hz)
    assert len(times_s) == count
    assert (np.diff(times_s) >= -1e-9).all()
    assert times_s[0] >= start_s - 1e-9
    assert times_s[-1] <= start_s + length_s + 1e-9


def test_a_rate_is_kept_in_the_middle_of_a_long_action_and_the_end_of_a_short_one_held() -> None:
    assert look_times(1, 5, 3, 0).tolist() == [1, 3, 5]
    assert look_times(1, 5, 3, 2).tolist() == [2.5, 3, 3.5]
    assert look_times(1, 1.6, 4, 2).tolist() == [1, 1.5, 1.6, 1.6]


def test_published_weights_bring_their_rate_and_random_ones_none() -> None:
    assert TeacherConfig(kind="mvit").rate_hz == 7.5
    assert TeacherConfig(kind="mvit", rate_hz=0).rate_hz == 0
    assert TeacherConfig(kind="mvit", weights="none").rate_hz == 0
    assert TeacherConfig().rate_hz == 0
    with pytest.raises(ValueError, match="rate_hz"):
        TeacherConfig(rate_hz=-1)
