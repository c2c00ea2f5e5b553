"""Honest times: from what a file or camera says about its frames to seconds that start at 0 and never go back."""

import math

BACKWARD_JUMP_S = 1.0
"""A step back of more than this is a new beginning (recordings joined, a stream restarted), a smaller one a slip."""

CLOCK_TOLERANCE_S = 1.0
"""A camera's clock that disagrees by more than this with ours about the time between two frames is not believed,"""
CLOCK_DRIFT = 0.02
"""nor one that disagrees by more than that and this share of the time since the first frame."""


class PresentationTimes:
    """Presentation times of a file or network stream, repaired where they are not usable; `repaired` counts how often.

    A missing time is one interval after the frame before. A slip backwards repeats the time of the frame before, so
    that the right times that follow stay right. A jump backwards moves what follows to one interval after the frame
    before. `interval_s` is the nominal one; without any, 25 Hz is assumed.
    """

    def __init__(self, interval_s: float | None) -> None:
        self.repaired = 0
        self.interval_s = interval_s or 0.04
        self._origin_s: float | None = None
        self._last_s: float | None = None

    def __call__(self, stamp_s: float | None) -> float:
        """Time of the next frame from its stamp in seconds, None or NaN when it has none."""
        expected_s = 0.0 if self._last_s is None else self._last_s + self.interval_s
        if stamp_s is None or not math.isfinite(stamp_s):  # what a decoder holds when a stream breaks off may have NaN
            self.repaired += 1
            time_s = expected_s
        else:
            if self._origin_s is None:
                self._origin_s = stamp_s - expected_s
            time_s = stamp_s - self._origin_s
            if self._last_s is not None and time_s < self._last_s:
                self.repaired += 1
                if self._last_s - time_s > BACKWARD_JUMP_S:
                    self._origin_s = stamp_s - expected_s
                    time_s = expected_s
                else:
                    time_s = self._last_s
        self._last_s = time_s
        return time_s


class CameraTimes:
    """Frame times of a camera: its own clock while that makes sense, else the moment the frame was read.

    The camera's clock is not believed when it stands, goes back, or runs differently from the computer's clock; from
    then on it is left alone, since a camera that lied once has no zero to come back to. Times go on from where they
    were. `repaired` counts that change.
    """

    def __init__(self) -> None:
        self.repaired = 0
        self._believed = True
        self._device_s: float | None = None
        self._now_s: float | None = None
        self._first_s = (0.0, 0.0)  # of the first frame, by the camera's clock and by ours
        self._time_s = 0.0

    def __call__(self, device_s: float, now_s: float) -> float:
        """Time of a frame. `device_s`: what the camera says, 0 when it says nothing; `now_s`: monotonic clock."""
        if self._now_s is None or self._device_s is None:
            self._believed = device_s > 0
            self._first_s = device_s, now_s
        else:
            step_s, device_step_s = now_s - self._now_s, device_s - self._device_s
            passed_s = now_s - self._first_s[1]
            apart_s = abs(device_s - self._first_s[0] - passed_s)
            strays = max(abs(device_step_s - step_s), apart_s - CLOCK_DRIFT * passed_s) > CLOCK_TOLERANCE_S
            if self._believed and (not device_step_s > 0 or strays):
                self._believed = False
                self.repaired += 1
            self._time_s += device_step_s if self._believed else max(0.0, step_s)
        self._device_s, self._now_s = device_s, now_s
        return self._time_s
