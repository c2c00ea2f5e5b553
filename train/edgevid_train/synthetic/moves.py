"""The vocabulary of choreography: positions over time, what a hand does, a take with its actions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.hands import POSES
from edgevid_train.synthetic.noise import minimum_jerk
from edgevid_train.synthetic.paths import TimedPath

Array = NDArray[np.float64]

POINTING = ("point", "point", "point", "point", "point", "point_thumb_up")
AT_EASE = ("fist", "grab", "open", "flat")
SHAPES = tuple(name for name in POSES if name not in POINTING)
MARGIN = 0.2
"""So far from the left and the right side a hand stays, in heights of the picture."""
LEAST_ASPECT = 2 * MARGIN


class Moves:
    """A position over time, put together from holds, reaches and paths."""

    def __init__(self, at: Array) -> None:
        self._times: list[Array] = [np.zeros(1)]
        self._points: list[Array] = [np.asarray(at, np.float64)[None]]

    @property
    def now_s(self) -> float:
        return float(self._times[-1][-1])

    @property
    def here(self) -> Array:
        return np.asarray(self._points[-1][-1])

    def hold(self, seconds: float) -> None:
        if seconds > 0:
            self._times.append(np.array([self.now_s + seconds]))
            self._points.append(self.here[None])

    def follow(self, path: TimedPath) -> None:
        """Trace a path that begins where the last move ended."""
        self._times.append(self.now_s + path.times_s[1:])
        self._points.append(path.points[1:])

    def reach(self, target: Array, seconds: float, bow: float = 0.0) -> None:
        """Go there in a minimum-jerk movement, in an arc that deviates by the part `bow` of the way."""
        x = np.linspace(0, 1, 31)[1:]
        part = minimum_jerk(x)[:, None]
        way = np.asarray(target) - self.here
        normal = np.array([-way[1], way[0]])
        self._points.append(self.here + way * part + normal * bow * 4 * part * (1 - part))
        self._times.append(self.now_s + x * seconds)

    def at(self, times_s: Array) -> Array:
        times, points = np.concatenate(self._times), np.concatenate(self._points)
        return np.asarray(np.column_stack([np.interp(times_s, times, points[:, k]) for k in range(2)]))


@dataclass(frozen=True)
class HandPlan:
    """One hand: where its fingertip (or palm) goes, and poses and turns it passes through at given seconds."""

    moves: Moves
    by_tip: bool
    poses: tuple[tuple[float, str], ...]
    restless: float  # how much wrist and fingers turn besides, 0 for a pointing hand
    left: bool


@dataclass(frozen=True)
class Action:
    """A gesture and when it is done, in seconds from the beginning."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Plan:
    """A take before it has frames. A clip of `other` has no actions."""

    hands: tuple[HandPlan, ...]
    duration_s: float
    actions: tuple[Action, ...]
    lively: bool  # the head looks around


def outside(rng: np.random.Generator, aspect: float, left: bool) -> Array:
    """A place out of view from which a hand comes: below, or at the lower side of its arm."""
    side = rng.uniform(0.35, 1.1)
    x = aspect * (1 - side) if left else aspect * side
    return np.array([x, rng.uniform(1.15, 1.45)])


def pointing(rng: np.random.Generator) -> str:
    return str(rng.choice(POINTING))


def is_left(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.2)


def somewhere(rng: np.random.Generator, aspect: float) -> Array:
    return np.array([rng.uniform(MARGIN, aspect - MARGIN), rng.uniform(0.15, 0.85)])
