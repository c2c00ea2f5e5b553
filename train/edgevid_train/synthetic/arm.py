"""From a plan to a body: joint angles, wrist and elbow for every frame."""

import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.hands import POSES, Dress, HandShape, HandTrack
from edgevid_train.synthetic.moves import HandPlan
from edgevid_train.synthetic.noise import log_uniform, minimum_jerk, wander

Array = NDArray[np.float64]


def hand_track(rng: np.random.Generator, hand: HandPlan, times_s: Array, aspect: float, shape: HandShape) -> HandTrack:
    """Joint angles, wrist and arm for every frame, so that the plan's point goes where it should."""
    anchor = hand.moves.at(times_s)
    anchor = anchor + np.stack([wander(rng, times_s, 0.3, 8.0, rng.uniform(0.001, 0.004)) for _ in "xy"], axis=1)

    # An elbow of a right arm is below and mostly to the right; for a left arm the other way round.
    across = aspect * rng.uniform(0.5, 1.45)
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

    scale = log_uniform(rng, 0.02, 0.045) * (1 + wander(rng, times_s, 0.1, 0.8, rng.uniform(0.0, 0.05)))
    return HandTrack(
        anchor=anchor,
        by_tip=hand.by_tip,
        pose=pose,
        turn=turn,
        scale=scale,
        elbow=elbow,
        elbow_z_cm=rng.uniform(-2, 20),
        left=hand.left,
        shape=shape,
        dress=Dress.random(rng),
    )
