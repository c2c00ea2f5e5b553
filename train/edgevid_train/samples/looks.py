"""When a teacher looks at a clip."""

import numpy as np
from numpy.typing import NDArray


def look_times(start_s: float, end_s: float, count: int, rate_hz: float) -> NDArray[np.float64]:
    """`count` times within an action, `(count,)` seconds.

    `rate_hz` 0: spread evenly from its start to its end. Otherwise that many a second, from the middle of an action
    that is longer; of one that is shorter all of it, and then its end again and again.
    """
    if rate_hz == 0:
        return np.linspace(start_s, end_s, count)
    span_s = (count - 1) / rate_hz
    begin_s = max(start_s, (start_s + end_s - span_s) / 2)
    return np.minimum(begin_s + np.arange(count) / rate_hz, end_s)
