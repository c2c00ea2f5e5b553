"""What the fingertip draws: parametric gestures, gestures drawn by people, and the timing of a human hand.

Coordinates: x to the right, y down, in picture heights, so that a circle stays round whatever the picture's aspect.
Conventions (order and direction of strokes) are those of the EgoGestAR gestures: circles run counter-clockwise as seen,
squares clockwise from the upper left, a delete is an X drawn down to the right, then up to the right.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid_train.npz import NpzError, read_npz
from edgevid_train.synthetic.noise import wander

GESTURES = ("up", "down", "left", "right", "square", "circle", "tick", "caret", "delete", "star")
LABELS = (*GESTURES, "other")

Points = NDArray[np.float64]

# Seconds that people take, fast to slow: the range of the real clips, somewhat widened at the fast end.
DURATION_S = {
    "up": (0.6, 3.0),
    "down": (0.6, 3.0),
    "left": (0.6, 3.2),
    "right": (0.6, 3.0),
    "square": (2.0, 6.2),
    "circle": (1.2, 4.6),
    "tick": (1.0, 3.2),
    "caret": (1.1, 3.4),
    "delete": (1.7, 5.0),
    "star": (2.6, 7.0),
}


def resample(points: Points, n: int) -> Points:
    """`n` points evenly spaced in distance along the polyline `points (N, 2)`."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(step)])
    even = np.linspace(0.0, at[-1], n)
    return np.column_stack([np.interp(even, at, points[:, k]) for k in range(2)])


def _smooth(points: Points, sigma: float) -> Points:
    """Round the corners of an evenly spaced path; `sigma` counts points. The two ends stay where they are."""
    reach = int(np.ceil(3 * sigma))
    if reach < 1:
        return points
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    # Point reflection about the ends keeps them in place.
    head, tail = 2 * points[0] - points[reach:0:-1], 2 * points[-1] - points[-2 : -reach - 2 : -1]
    padded = np.concatenate([head, points, tail])
    return np.stack([np.convolve(padded[:, k], kernel, "valid") for k in range(2)], axis=1)


def _bowed(start: tuple[float, float], end: tuple[float, float], bow: float) -> Points:
    a, b = np.array(start), np.array(end)
    t = np.linspace(0, 1, 40)[:, None]
    normal = np.array([a[1] - b[1], b[0] - a[0]])
    return np.asarray(a + (b - a) * t + normal * bow * 4 * t * (1 - t))


def _corners(label: str, rng: np.random.Generator) -> Points:
    """The gesture's outline in a box of about [-0.5, 0.5] squared, y down, before any human variation."""
    u = rng.uniform
    match label:
        case "up":
            return _bowed((0, 0.5), (0, -0.5), u(-0.06, 0.06))
        case "down":
            return _bowed((0, -0.5), (0, 0.5), u(-0.06, 0.06))
        case "left":
            return _bowed((0.5, 0), (-0.5, 0), u(-0.06, 0.06))
        case "right":
            return _bowed((-0.5, 0), (0.5, 0), u(-0.06, 0.06))
        case "square":
            closing = (-0.5 + u(-0.06, 0.06), -0.5 + u(-0.15, 0.12))
            return np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), closing])
        case "circle":
            # Mathematical angle (y up) grows: counter-clockwise as seen. Most people begin at the top or upper right.
            begin = np.deg2rad(rng.choice([u(10, 120), u(-30, 180)], p=[0.85, 0.15]))
            angle = begin + np.deg2rad(np.linspace(0, u(335, 400), 120))
            return 0.5 * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
        case "tick":
            foot = -0.5 + u(0.18, 0.4)
            return np.array([(-0.5, u(-0.45, 0.1)), (foot, 0.5), (0.5, u(-0.6, -0.3))])
        case "caret":
            return np.array([(-0.5, 0.5), (u(-0.15, 0.15), -0.5), (0.5, 0.5 + u(-0.12, 0.08))])
        case "delete":
            return np.array(
                [(-0.5 + u(0, 0.15), -0.5), (0.5 - u(0, 0.25), 0.5), (-0.5, 0.5), (0.5, -0.5 + u(-0.1, 0.1))]
            )
        case "star":
            return np.array(
                [
                    (-0.32 + u(-0.08, 0.08), 0.5),
                    (u(-0.1, 0.1), -0.5),
                    (0.32 + u(-0.08, 0.12), 0.5),
                    (-0.5, -0.12 + u(-0.12, 0.15)),
                    (0.5, -0.12 + u(-0.18, 0.1)),
                    (-0.32 + u(-0.1, 0.15), 0.5 + u(-0.1, 0.1)),
                ]
            )
    raise ValueError(f"no such gesture: {label}")


# Width and height as drawn by people, in picture heights: 5th and 95th percentile, slightly widened.
_EXTENT = {
    "up": (0.0, 0.0, 0.35, 0.75),
    "down": (0.0, 0.0, 0.35, 0.75),
    "left": (0.35, 1.0, 0.0, 0.0),
    "right": (0.45, 1.0, 0.0, 0.0),
    "square": (0.35, 0.8, 0.3, 0.65),
    "circle": (0.28, 0.7, 0.3, 0.7),
    "tick": (0.4, 0.9, 0.2, 0.6),
    "caret": (0.3, 0.75, 0.4, 0.65),
    "delete": (0.4, 0.7, 0.5, 0.75),
    "star": (0.45, 0.78, 0.5, 0.78),
}


def parametric(label: str, rng: np.random.Generator) -> Points:
    """One gesture `(200, 2)`, evenly spaced, around (0, 0), in picture heights; `label` is one of GESTURES."""
    w0, w1, h0, h1 = _EXTENT[label]
    extent = np.array([rng.uniform(w0, w1) or 1.0, rng.uniform(h0, h1) or 1.0])
    if label in ("up", "down"):
        extent[0] = extent[1]  # the bow scales with the stroke
    elif label in ("left", "right"):
        extent[1] = extent[0]
    elif label in ("circle", "square"):
        extent[0] = extent[1] * rng.uniform(0.75, 1.45)
    points = resample(_corners(label, rng) * extent, 200)
    points = _smooth(points, rng.uniform(0.0, 7.0))
    # The hand's own unsteadiness: slow bends along the way, about 1% of the picture.
    along = np.linspace(0, 1, 200)
    for axis in range(2):
        points[:, axis] += wander(rng, along, 0.5, 4.0, rng.uniform(0.0, 0.018))
    return resample(points, 200)


def vary(points: Points, rng: np.random.Generator, aspect: float) -> Points:
    """Turn, stretch and place a gesture in the picture (`aspect` = width / height); all of it stays in view."""
    points = points - (points.max(axis=0) + points.min(axis=0)) / 2
    turn = np.clip(rng.normal(0, 0.1), -0.26, 0.26)
    shear = np.clip(rng.normal(0, 0.06), -0.15, 0.15)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, shear], [0, 1]])
    points = points @ matrix.T
    fits = float(((np.array([aspect, 1.0]) - 0.08) / np.maximum(np.ptp(points, axis=0), 1e-3)).min())
    points *= min(rng.uniform(0.8, 1.7), fits)  # in the air gestures are larger than on a screen
    half = np.ptp(points, axis=0) / 2
    room = np.maximum(np.array([aspect, 1.0]) / 2 - half - 0.04, 0.02)
    centre = np.array([aspect / 2, 0.5]) + np.clip(rng.normal(0, 0.5, 2), -1, 1) * room
    points = points + centre
    # a turned outline no longer lies about its middle: what leaves the picture is moved back
    outside = np.minimum(points.min(axis=0), 0) + np.maximum(points.max(axis=0) - (aspect, 1.0), 0)
    return np.asarray(points - outside)


class PathBank:
    """Gestures drawn by people: an `.npz` with `train_label (n,)`, `train_length (n,)`, `train_xy (sum, 2)` in pixels.

    The form of EgoGestAR's trajectories on a 640x480 screen, even in distance; what is called `test_*` is not touched.
    Raises InputError, one line, when the file is not of this form.
    """

    def __init__(self, file: Path) -> None:
        try:
            arrays = read_npz(file)
            labels, lengths, xy = (arrays[f"train_{name}"] for name in ("label", "length", "xy"))
        except FileNotFoundError:
            raise InputError(f"{file}: no such paths file") from None
        except (NpzError, KeyError):
            needed = "train_label, train_length and train_xy"
            raise InputError(f"{file}: not a paths file: an .npz with the arrays {needed} is expected") from None
        if (
            labels.ndim != 1
            or labels.dtype.kind != "U"
            or lengths.shape != labels.shape
            or lengths.dtype.kind not in "iu"
        ):
            raise InputError(f"{file}: train_label must be (n,) text and train_length (n,) integers")
        if xy.ndim != 2 or xy.shape[1] != 2 or xy.dtype.kind != "f" or not np.isfinite(xy).all():
            raise InputError(f"{file}: train_xy must be finite numbers of shape (points, 2), is {xy.shape} {xy.dtype}")
        if len(labels) == 0 or (lengths < 2).any() or sum(lengths.tolist()) != len(xy):
            raise InputError(f"{file}: the lengths in train_length do not add up to the {len(xy)} points of train_xy")
        unknown = sorted(set(labels.tolist()) - set(GESTURES))
        if unknown:
            raise InputError(f"{file}: unknown gesture {unknown[0]!r} in train_label; known: {', '.join(GESTURES)}")
        begin = [0, *itertools.accumulate(lengths.tolist())]  # numbers of Python, which never overflow
        self._by_label: dict[str, list[Points]] = {}
        for i, label in enumerate(labels.tolist()):
            points = xy[begin[i] : begin[i + 1]].astype(np.float64) / 480.0
            if np.ptp(points, axis=0).max() > 1e-3:  # a dot is no gesture
                self._by_label.setdefault(label, []).append(points)
        if not self._by_label:
            raise InputError(f"{file}: every path in it is a dot")

    @property
    def labels(self) -> tuple[str, ...]:
        """The gestures of which there is at least one path."""
        return tuple(label for label in GESTURES if label in self._by_label)

    def pick(self, label: str, rng: np.random.Generator) -> Points | None:
        """One path `(200, 2)` of that gesture in picture heights, evenly spaced; None when the bank has none."""
        paths = self._by_label.get(label)
        if not paths:
            return None
        path = resample(paths[int(rng.integers(len(paths)))], 200)
        return _smooth(path, 1.5)  # screen pixels leave stairs


@dataclass(frozen=True)
class TimedPath:
    """Where the fingertip is over time: `points (N, 2)` at `times_s (N,)`, from 0 to the duration."""

    points: Points
    times_s: NDArray[np.float64]

    @property
    def duration_s(self) -> float:
        return float(self.times_s[-1])

    def at(self, times_s: NDArray[np.float64]) -> Points:
        """Positions `(T, 2)`; before and after the path its ends are held."""
        return np.asarray(np.column_stack([np.interp(times_s, self.times_s, self.points[:, k]) for k in range(2)]))


def with_timing(points: Points, duration_s: float, rng: np.random.Generator) -> TimedPath:
    """Give an evenly spaced path the timing of a hand: from rest to rest, slow in corners, never quite regular.

    Near its ends the speed goes as distance^(2/3), as in a minimum-jerk reach; in bends it falls with the turning
    angle, which is close to the two-thirds power law of drawing (Lacquaniti et al. 1983).
    """
    n = len(points)
    along = np.linspace(0, 1, n)
    reach = max(2, n // 40)
    ahead = np.roll(points, -reach, axis=0) - points
    turn = np.zeros(n)
    direction = np.arctan2(ahead[:, 1], ahead[:, 0])
    turn[reach:-reach] = np.abs(np.angle(np.exp(1j * (direction[reach:-reach] - direction[: -2 * reach]))))
    ends = (np.minimum(along, 1 - along) / 0.5 + 1e-3) ** (2 / 3)
    ends = np.minimum(1.0, ends * rng.uniform(1.0, 2.5))
    corner = 1 - rng.uniform(0.5, 0.93) * np.sin(np.minimum(turn, np.pi) / 2) ** 1.0
    wobble = np.exp(wander(rng, along, 1.0, 5.0, rng.uniform(0.0, 0.25)))
    speed = np.maximum(ends * corner * wobble, 0.02)
    pace = 0.5 * (1 / speed[1:] + 1 / speed[:-1])
    times = np.concatenate([[0.0], np.cumsum(pace)])
    return TimedPath(points, times * (duration_s / times[-1]))
