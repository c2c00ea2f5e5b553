"""What the hands do in a clip of a label: pauses, entry, the gesture, its end; and all that is no gesture.

Planned as functions of time before the frame rate is known, so the same seed moves alike at every rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.hands import POSES, Dress, HandShape, HandTrack
from edgevid_train.synthetic.noise import log_uniform, minimum_jerk, wander
from edgevid_train.synthetic.paths import DURATION_S, GESTURES, PathBank, TimedPath, parametric, vary, with_timing

Array = NDArray[np.float64]

POINTING = ("point", "point", "point", "point_thumb_up")
SHAPES = tuple(name for name in POSES if name not in POINTING)


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
class Plan:
    """A clip before it has frames."""

    hands: tuple[HandPlan, ...]
    duration_s: float
    start_s: float
    end_s: float
    lively: bool  # the head looks around


def _outside(rng: np.random.Generator, aspect: float, left: bool) -> Array:
    """A place out of view from which a hand comes: below, or at the lower side of its arm."""
    side = rng.uniform(0.35, 1.1)
    x = aspect * (1 - side) if left else aspect * side
    return np.array([x, rng.uniform(1.15, 1.45)])


def _pointing(rng: np.random.Generator) -> str:
    return str(rng.choice(POINTING))


def _is_left(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.2)


def _gesture_path(rng: np.random.Generator, label: str, aspect: float, paths: PathBank | None) -> TimedPath:
    drawn = paths.pick(label, rng) if paths is not None and rng.random() < 0.75 else None
    points = vary(parametric(label, rng) if drawn is None else drawn, rng, aspect)
    return with_timing(points, log_uniform(rng, *DURATION_S[label]), rng)


def plan_gesture(rng: np.random.Generator, label: str, aspect: float, paths: PathBank | None) -> Plan:
    """One gesture with what stands before and after it."""
    path, left = _gesture_path(rng, label, aspect, paths), _is_left(rng)
    first, last = path.points[0], path.points[-1]
    if rng.random() < 0.25:
        moves = Moves(_outside(rng, aspect, left))
        moves.hold(rng.uniform(0, 0.3))
        moves.reach(first, rng.uniform(0.35, 0.9), rng.normal(0, 0.12))
        moves.hold(rng.uniform(0.1, 0.6))
    else:
        moves = Moves(first)
        moves.hold(max(0.0, rng.uniform(-0.15, 0.7)))
    start_s = moves.now_s
    moves.follow(path)
    end_s = moves.now_s
    moves.hold(max(0.0, rng.uniform(-0.15, 0.7)))
    if rng.random() < 0.2:
        moves.reach(_outside(rng, aspect, left), rng.uniform(0.35, 0.9), rng.normal(0, 0.12))
    elif rng.random() < 0.15:
        moves.reach(last + rng.normal(0, 0.1, 2), rng.uniform(0.4, 1.0))
    hand = HandPlan(moves, True, ((0.0, _pointing(rng)),), 0.0, left)
    return Plan((hand,), moves.now_s, start_s, end_s, False)


def _place(rng: np.random.Generator, aspect: float) -> Array:
    return np.array([rng.uniform(0.2, aspect - 0.2), rng.uniform(0.15, 0.85)])


def _roaming(rng: np.random.Generator, aspect: float, duration_s: float, size: float) -> Moves:
    """Aimless reaches from place to place."""
    home = _place(rng, aspect)
    moves = Moves(home)
    while moves.now_s < duration_s:
        to = home + rng.normal(0, size, 2)
        moves.reach(np.clip(to, (0.05, 0.05), (aspect - 0.05, 1.1)), rng.uniform(0.2, 0.9), rng.normal(0, 0.4))
        if rng.random() < 0.3:
            moves.hold(rng.uniform(0, 0.4))
    return moves


def _scribble(rng: np.random.Generator, aspect: float) -> TimedPath:
    """A pointing finger that draws, but none of the gestures."""
    t = np.linspace(0, 1, 240)
    a, b = rng.uniform(0.08, 0.3, 2)
    phase, n = rng.uniform(0, 2 * np.pi), float(rng.integers(2, 6))
    match int(rng.integers(6)):
        case 0:  # loops the wrong way round, often several
            angle = phase + 2 * np.pi * t * rng.choice([rng.uniform(1.0, 1.3), n])
            points = np.stack([a * np.cos(angle), b * np.sin(angle)], axis=1)
        case 1:  # to and fro, as in waving it off
            way = np.array([np.cos(phase), np.sin(phase)]) * a * 1.3
            points = np.sin(np.pi * (n + 1) * t)[:, None] * way
            points = points + rng.normal(0, 0.1, 2) * t[:, None]
        case 2:  # zigzag
            points = np.stack([2 * a * (t - 0.5), b * (np.abs((t * n) % 2 - 1) - 0.5)], axis=1)
            c, s = np.cos(phase), np.sin(phase)
            points = points @ np.array([[c, s], [-s, c]])
        case 3:  # figure of eight
            angle = phase + rng.choice([-1, 1]) * 2 * np.pi * t * rng.uniform(1.0, 2.5)
            points = np.stack([a * np.sin(angle), b * np.sin(2 * angle)], axis=1)
        case 4:  # spiral
            angle = phase + rng.choice([-1, 1]) * 2 * np.pi * t * rng.uniform(2, 4)
            points = (0.2 + t)[:, None] * np.stack([a * np.cos(angle), a * np.sin(angle)], axis=1)
        case _:  # anything smooth
            points = np.stack([wander(rng, t, 0.8, 4.0, size) for size in (a, b)], axis=1)
    half = np.ptp(points, axis=0) / 2
    room = np.maximum(np.array([aspect, 1.0]) / 2 - half - 0.05, 0.02)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    centre = np.array([aspect / 2, 0.5]) + np.clip(rng.normal(0, 0.5, 2), -1, 1) * room
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    duration_s = float(np.clip(length / rng.uniform(0.3, 1.2), 0.8, 6.0))
    return with_timing(points - middle + centre, duration_s, rng)


# How much of a gesture can be done without it being another gesture (the first part of a star is a caret).
_PART = {"square": (0.4, 0.7), "circle": (0.3, 0.55), "delete": (0.5, 0.68), "star": (0.55, 0.75)}


def _part_of(path: TimedPath, part: float) -> TimedPath:
    """The beginning of a path up to that part of its way, slowing to a stop."""
    n = max(int(part * len(path.points)), 2)
    times = path.times_s[:n].copy()
    tail = max(n // 6, 1)
    slower = np.diff(times, prepend=0.0)
    slower[-tail:] *= np.linspace(1, 4, tail)
    return TimedPath(path.points[:n], np.cumsum(slower))


NEGATIVES = ("shapes", "roam", "scribble", "idle", "pass", "part", "two", "none")
_OFTEN = np.array([0.18, 0.16, 0.2, 0.13, 0.12, 0.09, 0.06, 0.06])


def plan_other(rng: np.random.Generator, aspect: float, paths: PathBank | None) -> Plan:
    """A clip in which nothing is meant: the background class."""
    kind = str(rng.choice(NEGATIVES, p=_OFTEN))
    duration_s, left = rng.uniform(1.2, 5.0), _is_left(rng)

    def shapes(every_s: tuple[float, float], any_of: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
        out, at = [(0.0, str(rng.choice(any_of)))], 0.0
        while (at := at + rng.uniform(*every_s)) < duration_s:
            out.append((at, str(rng.choice(any_of))))
        return tuple(out)

    hands: tuple[HandPlan, ...]
    match kind:
        case "shapes":
            moves = _roaming(rng, aspect, duration_s, rng.uniform(0.0, 0.12))
            hands = (HandPlan(moves, False, shapes((0.2, 0.9), (*SHAPES, "point")), rng.uniform(0.1, 0.8), left),)
        case "roam":
            moves = _roaming(rng, aspect, duration_s, rng.uniform(0.1, 0.3))
            hands = (HandPlan(moves, False, shapes((0.8, 4.0), SHAPES), rng.uniform(0.0, 0.5), left),)
        case "scribble":
            path = _scribble(rng, aspect)
            moves = Moves(path.points[0])
            moves.hold(max(0.0, rng.uniform(-0.3, 0.5)))
            moves.follow(path)
            moves.hold(max(0.0, rng.uniform(-0.3, 0.5)))
            duration_s = moves.now_s
            hands = (HandPlan(moves, True, ((0.0, _pointing(rng)),), float(rng.choice([0.0, 0.3])), left),)
        case "idle":
            moves = Moves(_place(rng, aspect))
            moves.hold(duration_s)
            if rng.random() < 0.5:
                moves = Moves(_place(rng, aspect))
                moves.reach(moves.here + rng.normal(0, 0.05, 2), duration_s)
            pose = _pointing(rng) if rng.random() < 0.75 else str(rng.choice(SHAPES))
            hands = (HandPlan(moves, True, ((0.0, pose),), 0.0, left),)
        case "pass":
            moves = Moves(_outside(rng, aspect, left))
            moves.hold(rng.uniform(0, 0.8))
            moves.reach(_place(rng, aspect), rng.uniform(0.35, 1.2), rng.normal(0, 0.15))
            moves.hold(rng.uniform(0.0, 2.0))
            if rng.random() < 0.7:
                moves.reach(_outside(rng, aspect, left), rng.uniform(0.35, 1.0), rng.normal(0, 0.15))
                moves.hold(rng.uniform(0.0, 0.5))
            duration_s = moves.now_s
            pose = _pointing(rng) if rng.random() < 0.7 else str(rng.choice(SHAPES))
            hands = (HandPlan(moves, True, ((0.0, pose),), float(rng.choice([0.0, 0.2])), left),)
        case "part":
            label = str(rng.choice(list(_PART)))
            path = _part_of(_gesture_path(rng, label, aspect, paths), rng.uniform(*_PART[label]))
            moves = Moves(path.points[0])
            moves.hold(rng.uniform(0, 0.5))
            moves.follow(path)
            moves.hold(rng.uniform(0.3, 1.0))
            if rng.random() < 0.6:
                moves.reach(_outside(rng, aspect, left), rng.uniform(0.3, 0.8), rng.normal(0, 0.15))
            duration_s = moves.now_s
            hands = (HandPlan(moves, True, ((0.0, _pointing(rng)),), 0.0, left),)
        case "two":
            size = rng.uniform(0.03, 0.25)
            both = shapes((0.8, 4.0), (*SHAPES, "point", "point"))
            restless = rng.uniform(0.0, 0.4)
            hands = tuple(
                HandPlan(_roaming(rng, aspect, duration_s, size), False, both, restless, side) for side in (True, False)
            )
        case _:
            hands = ()
    return Plan(hands, duration_s, 0.0, duration_s, kind == "none" or bool(rng.random() < 0.35))


def plan(rng: np.random.Generator, label: str, aspect: float, paths: PathBank | None) -> Plan:
    """A clip of `label` (one of LABELS) for a picture of that aspect."""
    return plan_gesture(rng, label, aspect, paths) if label in GESTURES else plan_other(rng, aspect, paths)


def hand_track(rng: np.random.Generator, hand: HandPlan, times_s: Array, aspect: float, shape: HandShape) -> HandTrack:
    """Joint angles, wrist and arm for every frame, so that the plan's point goes where it should."""
    anchor = hand.moves.at(times_s)
    anchor = anchor + np.stack([wander(rng, times_s, 0.3, 8.0, rng.uniform(0.001, 0.004)) for _ in "xy"], axis=1)

    # An elbow of a right arm is below and mostly to the right; for a left arm the other way round.
    across = aspect * rng.uniform(0.5, 1.25)
    elbow = np.array([aspect - across if hand.left else across, rng.uniform(1.25, 2.1)])
    follows = rng.uniform(0.0, 0.45)  # the elbow comes along with the hand
    elbow = elbow + follows * (anchor - anchor.mean(axis=0))

    # How the forearm leans, positive when the hand leans to the thumb's side; the hand leans with it in part.
    to_elbow = elbow - anchor
    lean = np.arctan2(-to_elbow[:, 0] if hand.left else to_elbow[:, 0], to_elbow[:, 1])
    roll = rng.uniform(0.1, 0.7) * lean.mean() + rng.uniform(0.2, 0.95) * (lean - lean.mean()) + rng.normal(0, 0.14)
    yaw, pitch = rng.uniform(-0.35, 1.0), rng.uniform(-0.6, 0.2)
    roll = roll + np.arctan2(np.sin(pitch) * np.sin(yaw), np.cos(pitch))  # turning in depth also leans the fingers
    turn = np.stack([np.full(len(times_s), yaw), np.full(len(times_s), pitch), roll], axis=1)
    turn = turn + np.stack([wander(rng, times_s, 0.15, 1.5, s) for s in (0.08, 0.08, 0.04)], axis=1)
    if hand.restless > 0:
        swings = np.array([1.2, 0.8, 0.8]) * hand.restless
        turn = turn + np.stack([wander(rng, times_s, 0.3, 1.5, s) for s in swings], axis=1)

    person = rng.normal(0, 0.05, 8)
    at = np.array([t for t, _ in hand.poses])
    poses = np.array([POSES[name] for _, name in hand.poses])
    takes = rng.uniform(0.15, 0.45)
    pose = np.tile(poses[0], (len(times_s), 1))
    for k in range(1, len(at)):
        pose += minimum_jerk((times_s - at[k]) / takes)[:, None] * (poses[k] - poses[k - 1])
    pose = np.clip(pose + person, -0.05, 1.05)
    pose += np.stack([wander(rng, times_s, 0.2, 2.0, 0.015) for _ in range(8)], axis=1)

    scale = log_uniform(rng, 0.017, 0.04) * (1 + wander(rng, times_s, 0.1, 0.8, rng.uniform(0.0, 0.05)))
    return HandTrack(
        anchor=anchor,
        by_tip=hand.by_tip,
        pose=pose,
        turn=turn,
        scale=scale,
        elbow=elbow,
        elbow_z_cm=rng.uniform(-4, 12),
        left=hand.left,
        shape=shape,
        dress=Dress.random(rng),
    )
