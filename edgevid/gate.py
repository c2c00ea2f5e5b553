"""Whether to look at all: gates that close where nothing has moved, or where a look has just been.

`HoldGate` is for a student that need not look at every frame: what it saw last stands for the next few, by the
manifest's rule, and its memory alone goes on, in about a tenth of a step's time.

`MotionGate` closes where nothing has moved, so that the last scores hold and nothing is computed. Two things must have
come to rest before it closes. The picture: no place of it differs from the picture at which the rest began by more than
noise does. The scores: a network that remembers may still be making up its mind about what has just ended, so it
computes until no action is going on or may be beginning. From then on a frame costs one comparison, with the last
picture that was computed, so that slow motion adds up until it is seen. After the manifest's `max_skip_s` one frame is
computed all the same.

The comparison is of small grey pictures, of means over places about as large as a fingertip, and the largest
difference counts: a finger moves a hundredth of the picture. A change of brightness by one factor everywhere is the
camera's exposure and taken out. What noise does is learned from the picture itself by minimum statistics (Martin 2001,
from speech): most of the picture stands still at some moment of any few seconds, and there the typical difference is
noise.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.frame import Frame, Pixels
from edgevid.manifest import HoldRule, Manifest
from edgevid.sampling import TOLERANCE_S

SHORT_SIDE = 60
"""The pictures that are compared have at least so many pixels on the short side,"""
PLACE = 3
"""and a place is a square of so many: a twentieth of the picture's height, the tip of a finger at arm's length."""
LEAST_LEVELS = 6.0
"""Grey levels by which a place must differ to have moved. Sensor noise of up to 12 levels at 640x480, and what H.264
makes of it, hardly ever does as much: `benchmarks/gate.py`."""
MOST_LEVELS = 12.0
"""However noisy the picture, a place that differs so much has moved: a finger must not vanish in what noise may do."""
LEVELS_PER_NOISE = 10.0
"""The largest of a thousand places with the same noise differs 7 to 9 times as much as the typical one."""
NOISE_DOUBLES_S = 4.0
"""The noise that is believed in falls at once and rises no faster than this."""
EXPOSURE = 0.15
"""Brightness that changes by a larger share than this is no drift of the exposure: something happened."""
SETTLED_S = 1.0
"""How long both must have been at rest; before a clip model a whole window."""

Grey = NDArray[np.float32]


class HoldGate:
    """Closed for a few ticks after each look. Ask of all that is due, in order; look if it is open, and say so."""

    def __init__(self, rule: HoldRule) -> None:
        self._rule = rule
        self._held = 0

    def is_closed(self, ticks: int, *, quiet: bool) -> bool:
        """Whether the next `ticks` ticks, all due at once, need no look. `quiet`: as of `MotionGate`."""
        if self._held + ticks > (self._rule.quiet if quiet else self._rule.busy):
            return False
        self._held += ticks
        return True

    def looked(self) -> None:
        """What is seen now may stand for what comes."""
        self._held = 0


class MotionSense:
    """Tells motion from noise between small grey pictures."""

    def __init__(self) -> None:
        self._noise = 0.0
        self._looked_s: float | None = None

    def moved(self, time_s: float, now: Grey, before: Grey) -> bool:
        """Whether anything in the picture `now`, of `time_s`, is elsewhere than in the picture `before`."""
        if now.shape != before.shape:
            return True
        gain = max(1.0, cv2.mean(now)[0]) / max(1.0, cv2.mean(before)[0])
        if abs(gain - 1) > EXPOSURE:
            return True
        places = np.abs(cv2.blur(now - np.float32(gain) * before, (PLACE, PLACE)))
        apart = places[::PLACE, ::PLACE].ravel()
        self._learn(time_s, float(np.partition(apart, apart.size // 2)[apart.size // 2]))
        levels = min(max(LEVELS_PER_NOISE * self._noise, LEAST_LEVELS), MOST_LEVELS)
        return bool(places.max() > levels)

    def _learn(self, time_s: float, typical: float) -> None:
        """`typical`: the median difference of places that do not overlap."""
        passed_s = 0.0 if self._looked_s is None else time_s - self._looked_s
        self._looked_s = time_s
        least = LEAST_LEVELS / LEVELS_PER_NOISE  # below it noise changes nothing, so there it need not rise from
        self._noise = min(typical, max(self._noise, least) * 2.0 ** (passed_s / NOISE_DOUBLES_S))


class MotionGate:
    """Closed while nothing moves and nothing is going on.

    Ask of all that is due and not held, in order; compute if it is open.
    """

    def __init__(self, manifest: Manifest) -> None:
        window_s = manifest.clip_frames / manifest.rate_hz
        self._settled_s = SETTLED_S if manifest.kind == "stream" else max(SETTLED_S, window_s)
        self._max_skip_s = manifest.max_skip_s
        self._sense = MotionSense()
        self._picture: Grey | None = None  # since which nothing has moved
        self._resting_s = 0.0
        self._looked_s = self._computed_s = 0.0
        self._last_index = -1

    def is_closed(self, frames: Sequence[Frame], *, reset: bool, quiet: bool) -> bool:
        """Whether `frames`, which one computation would take, need none.

        `quiet`: no action is going on or may be beginning. `reset`: there was a gap, what was before says nothing.
        """
        time_s = frames[-1].time_s
        picture = before = None if reset else self._picture
        moved = before is None
        for frame in frames:
            if frame.index > self._last_index:
                self._last_index = frame.index
                picture = grey(frame.pixels)
                moved = moved or before is None or self._sense.moved(frame.time_s, picture, before)
        # The next look will be after as long as this one, and a step must come no later than `max_skip_s`.
        overdue = 2 * time_s - self._looked_s - self._computed_s > self._max_skip_s + TOLERANCE_S
        self._looked_s = time_s
        if moved or not quiet:
            self._resting_s = time_s
        elif not overdue and time_s - self._resting_s >= self._settled_s:
            return True
        if moved or overdue:
            self._picture = picture
        self._computed_s = time_s
        return False


def grey(pixels: Pixels) -> Grey:
    """uint8 `(H, W, 3)` -> float32 grey levels, shrunk by a whole factor to at least `SHORT_SIDE` on the short side.

    By a whole factor OpenCV averages three times as fast; what remains at the right and the bottom is left out.
    """
    height, width = pixels.shape[:2]
    factor = max(1, min(height, width) // SHORT_SIDE)
    small = (width // factor, height // factor)
    levels = cv2.cvtColor(pixels[: small[1] * factor, : small[0] * factor], cv2.COLOR_RGB2GRAY)
    return cv2.resize(levels, small, interpolation=cv2.INTER_AREA).astype(np.float32)
