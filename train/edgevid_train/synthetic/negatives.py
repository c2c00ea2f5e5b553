"""Clips in which nothing is meant: the background class `other`, over every kind of scene."""

import numpy as np

from edgevid_train.synthetic.choreography import gesture_path
from edgevid_train.synthetic.moves import SHAPES, HandPlan, Moves, Plan, is_left, outside, pointing, somewhere
from edgevid_train.synthetic.noise import wander
from edgevid_train.synthetic.paths import PathBank, TimedPath, with_timing


def _roaming(rng: np.random.Generator, aspect: float, duration_s: float, size: float) -> Moves:
    """Aimless reaches from place to place."""
    home = somewhere(rng, aspect)
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
        case 0:  # loops the wrong way round: several, since one alone is a circle in the mirror, and backwards in time
            angle = phase + 2 * np.pi * t * n
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
    duration_s, left = rng.uniform(1.2, 5.0), is_left(rng)

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
            hands = (HandPlan(moves, True, ((0.0, pointing(rng)),), float(rng.choice([0.0, 0.3])), left),)
        case "idle":
            moves = Moves(somewhere(rng, aspect))
            moves.hold(duration_s)
            if rng.random() < 0.5:
                moves = Moves(somewhere(rng, aspect))
                moves.reach(moves.here + rng.normal(0, 0.05, 2), duration_s)
            pose = pointing(rng) if rng.random() < 0.75 else str(rng.choice(SHAPES))
            hands = (HandPlan(moves, True, ((0.0, pose),), 0.0, left),)
        case "pass":
            moves = Moves(outside(rng, aspect, left))
            moves.hold(rng.uniform(0, 0.8))
            moves.reach(somewhere(rng, aspect), rng.uniform(0.35, 1.2), rng.normal(0, 0.15))
            moves.hold(rng.uniform(0.0, 2.0))
            if rng.random() < 0.7:
                moves.reach(outside(rng, aspect, left), rng.uniform(0.35, 1.0), rng.normal(0, 0.15))
                moves.hold(rng.uniform(0.0, 0.5))
            duration_s = moves.now_s
            pose = pointing(rng) if rng.random() < 0.7 else str(rng.choice(SHAPES))
            hands = (HandPlan(moves, True, ((0.0, pose),), float(rng.choice([0.0, 0.2])), left),)
        case "part":
            label = str(rng.choice(list(_PART)))
            path = _part_of(gesture_path(rng, label, aspect, paths), rng.uniform(*_PART[label]))
            moves = Moves(path.points[0])
            moves.hold(rng.uniform(0, 0.5))
            moves.follow(path)
            moves.hold(rng.uniform(0.3, 1.0))
            if rng.random() < 0.6:
                moves.reach(outside(rng, aspect, left), rng.uniform(0.3, 0.8), rng.normal(0, 0.15))
            duration_s = moves.now_s
            hands = (HandPlan(moves, True, ((0.0, pointing(rng)),), 0.0, left),)
        case "two":
            size = rng.uniform(0.03, 0.25)
            both = shapes((0.8, 4.0), (*SHAPES, "point", "point"))
            restless = rng.uniform(0.0, 0.4)
            hands = tuple(
                HandPlan(_roaming(rng, aspect, duration_s, size), False, both, restless, side) for side in (True, False)
            )
        case _:
            hands = ()
    return Plan(hands, duration_s, (), kind == "none" or bool(rng.random() < 0.35))
