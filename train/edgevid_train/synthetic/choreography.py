"""What a hand does around a gesture: pauses, entry, the gesture itself, its end; one gesture or many in a row.

Planned as functions of time before the frame rate is known, so the same seed moves alike at every rate.
"""

from collections.abc import Sequence

import numpy as np

from edgevid_train.synthetic.moves import AT_EASE, Action, HandPlan, Moves, Plan, is_left, outside, pointing, somewhere
from edgevid_train.synthetic.noise import log_uniform
from edgevid_train.synthetic.paths import DURATION_S, PathBank, Points, TimedPath, parametric, vary, with_timing


def gesture_path(rng: np.random.Generator, label: str, aspect: float, paths: PathBank | None) -> TimedPath:
    drawn = paths.pick(label, rng) if paths is not None and rng.random() < 0.75 else None
    points = vary(parametric(label, rng) if drawn is None else drawn, rng, aspect)
    return with_timing(points, log_uniform(rng, *DURATION_S[label]), rng)


def plan_gesture(rng: np.random.Generator, label: str, aspect: float, paths: PathBank | None) -> Plan:
    """One gesture with what stands before and after it."""
    path, left = gesture_path(rng, label, aspect, paths), is_left(rng)
    first, last = path.points[0], path.points[-1]
    pose = pointing(rng)
    poses = [(0.0, pose)]
    match str(rng.choice(["there", "enters", "comes"], p=[0.58, 0.25, 0.17])):
        case "there":
            moves = Moves(first)
            moves.hold(max(0.0, rng.uniform(-0.15, 0.7)))
        case "enters":
            moves = Moves(outside(rng, aspect, left))
            moves.hold(rng.uniform(0, 0.3))
            moves.reach(first, rng.uniform(0.35, 0.9), rng.normal(0, 0.12))
            moves.hold(rng.uniform(0.1, 0.6))
        case _:  # from where the last thing ended, with the hand at ease
            moves = Moves(somewhere(rng, aspect))
            moves.hold(rng.uniform(0, 0.4))
            moves.reach(first, rng.uniform(0.4, 1.2), rng.normal(0, 0.12))
            if rng.random() < 0.6:
                poses = [(0.0, str(rng.choice(AT_EASE))), (moves.now_s - rng.uniform(0.0, 0.4), pose)]
            moves.hold(rng.uniform(0.15, 0.7))
    start_s = moves.now_s
    moves.follow(path)
    action = Action(label, start_s, moves.now_s)
    moves.hold(max(0.0, rng.uniform(-0.15, 0.7)))
    match str(rng.choice(["stays", "leaves", "drifts", "goes on"], p=[0.55, 0.2, 0.1, 0.15])):
        case "leaves":
            moves.reach(outside(rng, aspect, left), rng.uniform(0.35, 0.9), rng.normal(0, 0.12))
        case "drifts":
            moves.reach(last + rng.normal(0, 0.1, 2), rng.uniform(0.4, 1.0))
        case "goes on":
            if rng.random() < 0.6:
                poses.append((moves.now_s, str(rng.choice(AT_EASE))))
            moves.reach(somewhere(rng, aspect), rng.uniform(0.4, 1.2), rng.normal(0, 0.12))
    hand = HandPlan(moves, True, tuple(poses), 0.0, left)
    return Plan((hand,), moves.now_s, (action,), False)


def _well_in_view(points: Points, rng: np.random.Generator, aspect: float) -> Points:
    """Where the hand is seen below the fingertip, too."""
    low, high = points.min(axis=0), points.max(axis=0)
    fits = min(1.0, 0.75 * aspect / (high[0] - low[0]), 0.52 / (high[1] - low[1]))
    centre = np.array([aspect * rng.uniform(0.44, 0.56), rng.uniform(0.38, 0.44)])
    return np.asarray((points - (low + high) / 2) * fits + centre)


def plan_stream(rng: np.random.Generator, labels: Sequence[str], aspect: float, *, rest_s: float, left: bool) -> Plan:
    """Gestures in a row at a brisk, even pace, with about `rest_s` between one's end and the next one's approach.

    In between the hand leaves the picture, or rests in it with the fingers at ease.
    """
    pose = pointing(rng)
    moves = Moves(outside(rng, aspect, left))
    moves.hold(rest_s)
    poses: list[tuple[float, str]] = [(0.0, pose)]
    actions = []
    for k, label in enumerate(labels):
        fast_s, slow_s = DURATION_S[label]
        points = _well_in_view(parametric(label, rng), rng, aspect)
        path = with_timing(points, 0.75 * float(np.sqrt(fast_s * slow_s)), rng)
        moves.reach(path.points[0], rng.uniform(0.45, 0.6), rng.normal(0, 0.08))
        if poses[-1][1] != pose:
            poses.append((moves.now_s - 0.3, pose))
        moves.hold(rng.uniform(0.25, 0.35))
        start_s = moves.now_s
        moves.follow(path)
        actions.append(Action(label, start_s, moves.now_s))
        moves.hold(rng.uniform(0.25, 0.35))
        if k % 2 or k == len(labels) - 1:
            moves.reach(outside(rng, aspect, left), 0.5, rng.normal(0, 0.08))
        else:
            poses.append((moves.now_s, str(rng.choice(AT_EASE))))
            moves.reach(np.array([aspect * (0.42 if left else 0.58), 0.8]) + rng.normal(0, 0.04, 2), 0.5)
        moves.hold(rest_s * rng.uniform(0.8, 1.2))
    return Plan((HandPlan(moves, True, tuple(poses), 0.0, left),), moves.now_s, tuple(actions), False)
