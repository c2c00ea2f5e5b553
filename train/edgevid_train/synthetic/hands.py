"""A jointed hand in space: bones with joint angles become capsules (balls swept along a line) ready to be drawn.

Hand space: centimetres, x to the right, y along the fingers, z towards the viewer; a right hand seen from its back, so
the thumb is on the left. Left hands are mirrored when they are placed in the picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SKIN, NAIL, SLEEVE, SLEEVE_MARK, BAND, RING = range(6)

# A pose is eight numbers: curl of thumb, index, middle, ring and little finger (0 straight, 1 in the fist), spread of
# the fingers (1 wide), how far the thumb stands off, and the bend of the index finger's two outer joints.
POSES: dict[str, tuple[float, ...]] = {
    "point": (0.9, 0.06, 0.95, 1.0, 1.0, 0.2, 0.1, 0.1),
    "point_thumb_up": (0.25, 0.06, 0.92, 0.97, 1.0, 0.2, 0.8, 0.1),
    "fist": (0.95, 0.97, 0.98, 1.0, 1.0, 0.1, 0.1, 0.97),
    "open": (0.15, 0.05, 0.05, 0.06, 0.1, 0.4, 0.6, 0.05),
    "spread": (0.0, 0.0, 0.0, 0.0, 0.02, 1.2, 1.0, 0.0),
    "flat": (0.4, 0.03, 0.03, 0.03, 0.05, -0.2, 0.1, 0.03),
    "pinch": (0.55, 0.5, 0.25, 0.2, 0.15, 0.4, 0.4, 0.5),
    "grab": (0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.5),
    "two": (0.9, 0.04, 0.05, 0.97, 1.0, 1.0, 0.1, 0.04),
    "three": (0.9, 0.04, 0.04, 0.06, 1.0, 0.7, 0.1, 0.04),
    "thumb": (0.0, 1.0, 1.0, 1.0, 1.0, 0.1, 1.0, 1.0),
    "little": (0.8, 1.0, 1.0, 0.98, 0.1, 0.2, 0.2, 1.0),
}

_MCP = np.array([(-2.9, 9.0, 0.1), (-0.8, 9.4, 0.4), (1.25, 8.9, 0.25), (3.1, 8.0, -0.25)])
_PHALANGES = np.array([(4.5, 2.7, 2.0), (5.0, 3.1, 2.1), (4.6, 2.9, 2.1), (3.6, 2.1, 1.8)])
_RADII = np.array([(1.2, 1.06, 0.97, 0.8), (1.22, 1.08, 0.98, 0.82), (1.15, 1.02, 0.92, 0.78), (1.0, 0.88, 0.8, 0.68)])
_SPREAD = np.deg2rad(np.array([-11.0, -2.0, 8.0, 18.0]))
_FLEX = np.deg2rad(np.array([84.0, 104.0, 62.0]))  # of a finger that is fully curled


@dataclass(frozen=True)
class HandShape:
    """One person's hand: factors on the bones above."""

    lengths: Array  # (4,) fingers, index first
    thickness: float
    palm_width: float
    thumb: float
    wrist_cm: float  # radius
    forearm_cm: float  # radius near the elbow

    @staticmethod
    def random(rng: np.random.Generator) -> "HandShape":
        thickness = rng.uniform(0.82, 1.22)
        wrist = rng.uniform(2.3, 3.1) * (0.5 + 0.5 * thickness)
        return HandShape(
            lengths=rng.uniform(0.9, 1.12) * rng.uniform(0.94, 1.06, 4),
            thickness=thickness,
            palm_width=rng.uniform(0.9, 1.12),
            thumb=rng.uniform(0.88, 1.12),
            wrist_cm=wrist,
            forearm_cm=wrist * rng.uniform(1.25, 1.75),
        )


@dataclass(frozen=True)
class Capsules:
    """`n` capsules in each of `T` frames: from `a` with radius `ra` to `b` with radius `rb`."""

    a: Array  # (T, n, 3)
    b: Array  # (T, n, 3)
    ra: Array  # (T, n)
    rb: Array  # (T, n)
    material: NDArray[np.uint8]  # (n,)
    flat: NDArray[np.bool_]  # (n,) ends cut straight, as a cuff or a ring


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


@dataclass(frozen=True)
class PosedHand:
    """A hand without its forearm, in hand space already turned; the wrist is the origin."""

    capsules: Capsules
    tip: Array  # (T, 3) end of the index finger
    palm: Array  # (T, 3) middle of the palm


def turning(turn: Array) -> Array:
    """Rotation matrices `(T, 3, 3)` from `turn (T, 3)`: yaw (thumb towards the viewer), pitch (fingers towards the
    viewer), roll (in the picture, counter-clockwise as seen), in radians, applied in the order pitch, yaw, roll."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(turn).T, np.sin(turn).T
    one, nil = np.ones_like(cy), np.zeros_like(cy)
    rx = np.stack([one, nil, nil, nil, cp, -sp, nil, sp, cp], axis=1).reshape(-1, 3, 3)
    ry = np.stack([cy, nil, sy, nil, one, nil, -sy, nil, cy], axis=1).reshape(-1, 3, 3)
    rz = np.stack([cr, -sr, nil, sr, cr, nil, nil, nil, one], axis=1).reshape(-1, 3, 3)
    return np.asarray(rz @ ry @ rx)


def pose_hand(shape: HandShape, pose: Array, turn: Array, ring_finger: int | None = None) -> PosedHand:
    """Forward kinematics of `pose (T, 8)` and `turn (T, 3)`; `ring_finger` 0..3 wears a ring (0 is the index)."""
    frames = len(pose)
    a: list[Array] = []
    b: list[Array] = []
    radii: list[tuple[float, float]] = []
    material: list[int] = []

    def bone(start: Array, end: Array, r_start: float, r_end: float, what: int = SKIN) -> None:
        a.append(start)
        b.append(end)
        radii.append((r_start * shape.thickness, r_end * shape.thickness))
        material.append(what)

    def still(x: float, y: float, z: float) -> Array:
        return np.broadcast_to(np.array([x * shape.palm_width, y, z]), (frames, 3))

    bone(still(-0.3, 1.5, 0.1), still(0.2, 7.2, 0.35), 1.9, 1.5)  # the back of the hand
    tip = np.zeros((frames, 3))
    for finger in range(4):
        mcp = still(*_MCP[finger])
        bone(still(_MCP[finger, 0] * 0.5, 0.0, 0.0), mcp, 1.6, 1.2 if finger < 3 else 1.05)
        curl = pose[:, 1 + finger]
        outer = pose[:, 7] if finger == 0 else curl
        side = _SPREAD[finger] * (0.25 + pose[:, 5]) * (1 - 0.8 * np.clip(curl, 0, 1))
        flex = _FLEX[0] * curl
        at = mcp
        for joint in range(3):
            if joint:
                flex = flex + _FLEX[joint] * outer
            direction = np.stack([np.sin(side) * np.cos(flex), np.cos(side) * np.cos(flex), -np.sin(flex)], axis=1)
            end = at + direction * (_PHALANGES[finger, joint] * shape.lengths[finger])
            bone(at, end, _RADII[finger, joint], _RADII[finger, joint + 1])
            if joint == 0 and ring_finger == finger:
                r = _RADII[finger, 0] * 1.12
                bone(at + 0.45 * (end - at), at + 0.6 * (end - at), r, r, RING)
            at_before, at = at, end
        back = np.stack([np.sin(side) * np.sin(flex), np.cos(side) * np.sin(flex), np.cos(flex)], axis=1)
        r_tip = _RADII[finger, 3]
        lift = back * (0.52 * r_tip * shape.thickness)
        middle = at_before + 0.55 * (at - at_before)
        bone(middle + lift, at + lift, 0.62 * r_tip, 0.55 * r_tip, NAIL)
        if finger == 0:
            tip = at + direction * (r_tip * shape.thickness)

    curl, off = pose[:, 0:1], pose[:, 6:7]
    at = still(-1.9, 1.8, -0.7)
    bone(still(-1.0, 0.5, -0.3), at, 1.5, 1.5)
    opened = (np.array((-0.72, 0.62, -0.3)), np.array((-0.55, 0.83, -0.1)), np.array((-0.35, 0.93, 0.0)))
    closed = (np.array((-0.42, 0.75, -0.5)), np.array((0.25, 0.72, -0.65)), np.array((0.8, 0.5, -0.3)))
    for k, (length, r0, r1) in enumerate([(4.2, 1.45, 1.15), (3.3, 1.1, 0.98), (2.6, 0.98, 0.8)]):
        away = np.array((-0.25, -0.1, 0.0)) * (off - 0.5)
        direction = _unit((1 - curl) * opened[k] + curl * closed[k] + away)
        end = at + direction * (length * shape.thumb)
        bone(at, end, r0, r1)
        at = end
    radius = np.array(radii)
    matrix = turning(turn)

    def turned(points: Array) -> Array:
        return np.asarray(np.einsum("tij,t...j->t...i", matrix, points))

    capsules = Capsules(
        a=turned(np.stack(a, axis=1)),
        b=turned(np.stack(b, axis=1)),
        ra=np.broadcast_to(radius[:, 0], (frames, len(radius))),
        rb=np.broadcast_to(radius[:, 1], (frames, len(radius))),
        material=np.array(material, np.uint8),
        flat=np.array(material) == RING,
    )
    return PosedHand(capsules, turned(tip), turned(np.array(still(0.1, 5.5, 0.0))))


@dataclass(frozen=True)
class Dress:
    """What the arm wears, in centimetres from the wrist along the forearm."""

    sleeve_from_cm: float | None
    sleeve_loose: float  # factor on the arm's radius
    band_at_cm: float | None
    band_width_cm: float
    ring_finger: int | None

    @staticmethod
    def random(rng: np.random.Generator) -> "Dress":
        return Dress(
            sleeve_from_cm=float(rng.choice([rng.uniform(0, 4), rng.uniform(4, 14)])) if rng.random() < 0.4 else None,
            sleeve_loose=rng.uniform(1.1, 1.5),
            band_at_cm=rng.uniform(1.0, 4.0) if rng.random() < 0.25 else None,
            band_width_cm=float(rng.choice([rng.uniform(0.4, 1.0), rng.uniform(1.5, 3.0)])),
            ring_finger=int(rng.integers(4)) if rng.random() < 0.12 else None,
        )


@dataclass(frozen=True)
class HandTrack:
    """What one hand does over `T` frames, in picture heights from the upper left corner, y down."""

    anchor: Array  # (T, 2) where the fingertip (or the palm) is
    by_tip: bool  # whether `anchor` is the index fingertip or the middle of the palm
    pose: Array  # (T, 8)
    turn: Array  # (T, 3) radians
    scale: Array  # (T,) picture heights per centimetre
    elbow: Array  # (T, 2)
    elbow_z_cm: float  # how much nearer to the viewer the elbow is than the wrist
    left: bool
    shape: HandShape
    dress: Dress


@dataclass(frozen=True)
class PlacedHand:
    """Everything to draw of one hand with its forearm, in picture heights, y down, z towards the viewer."""

    capsules: Capsules
    tip: Array  # (T, 2)
    scale: Array  # (T,)


_PERSPECTIVE_PER_CM = 0.014  # a point 1 cm nearer looks 1.4% larger: a hand at 70 cm


def place(track: HandTrack, aspect: float) -> PlacedHand:
    """Put the hand where its track wants it and hang the forearm between wrist and elbow."""
    frames = len(track.anchor)
    hand = pose_hand(track.shape, track.pose, track.turn, track.dress.ring_finger)
    scale = track.scale[:, None]
    anchor = track.anchor * (1.0, 1.0)
    elbow = track.elbow * (1.0, 1.0)
    if track.left:  # work on the mirror image: there it is a right hand
        anchor[:, 0], elbow[:, 0] = aspect - anchor[:, 0], aspect - elbow[:, 0]

    held = hand.tip if track.by_tip else hand.palm
    flip = np.array([1.0, -1.0])
    near = 1 + _PERSPECTIVE_PER_CM * held[:, 2:]
    wrist = anchor - held[:, :2] * flip * scale * near  # (T, 2)

    arm = elbow - wrist
    length = np.linalg.norm(arm, axis=1, keepdims=True)
    down = np.arctan2(*(-turning(track.turn)[:, :2, 1] * flip).T[::-1])  # picture angle of the hand's own arm side
    bend = np.angle(np.exp(1j * (np.arctan2(arm[:, 1], arm[:, 0]) - down)))
    angle = down + np.clip(bend, -1.0, 1.0)  # a wrist bends by less than 60 degrees
    reach = np.maximum(length, 0.9)  # long enough to leave the picture
    direction = np.stack([np.cos(angle), -np.sin(angle)], axis=1)  # y up, as hand space

    cap = hand.capsules
    dress = track.dress
    parts: list[tuple[Array, Array, Array | float, Array | float, int, bool]] = []
    reach_cm = (reach / scale)[:, 0]

    def along(cm: Array | float) -> tuple[Array, Array]:
        """Point on the forearm's axis that many centimetres from the wrist, and its radius there."""
        cm = np.broadcast_to(np.asarray(cm, np.float64), (frames,))
        z = track.elbow_z_cm * cm / 25.0 - 0.4  # the wrist lies a little below the back of the hand
        point = np.concatenate([direction * cm[:, None], z[:, None]], axis=1)
        grown = np.clip(cm / 20.0, 0, 1)
        return point, track.shape.wrist_cm + (track.shape.forearm_cm - track.shape.wrist_cm) * grown

    def segment(start: Array | float, end: Array | float, loose: float, what: int, flat: bool) -> None:
        (p, rp), (q, rq) = along(start), along(end)
        parts.append((p, q, rp * loose, rq * loose, what, flat))

    segment(0.0, np.minimum(20.0, reach_cm), 1.0, SKIN, False)
    segment(np.minimum(20.0, reach_cm), reach_cm + 5, 1.0, SKIN, True)
    if dress.sleeve_from_cm is not None:
        segment(dress.sleeve_from_cm, 20.0, dress.sleeve_loose, SLEEVE, True)
        segment(20.0, reach_cm + 15, dress.sleeve_loose, SLEEVE, True)
    if dress.band_at_cm is not None:
        segment(dress.band_at_cm, dress.band_at_cm + dress.band_width_cm, 1.08, BAND, True)

    a = np.concatenate([np.stack([p[0] for p in parts], axis=1), cap.a], axis=1)
    b = np.concatenate([np.stack([p[1] for p in parts], axis=1), cap.b], axis=1)
    ra = np.concatenate([np.stack([np.broadcast_to(p[2], (frames,)) for p in parts], axis=1), cap.ra], axis=1)
    rb = np.concatenate([np.stack([np.broadcast_to(p[3], (frames,)) for p in parts], axis=1), cap.rb], axis=1)
    material = np.concatenate([np.array([p[4] for p in parts], np.uint8), cap.material])
    flat_ends = np.concatenate([np.array([p[5] for p in parts]), cap.flat])

    def project(points: Array) -> tuple[Array, Array]:
        near = np.maximum(1 + _PERSPECTIVE_PER_CM * points[..., 2:], 0.3)
        xy = wrist[:, None] + points[..., :2] * flip * scale[:, None] * near
        if track.left:
            xy[..., 0] = aspect - xy[..., 0]
        return np.concatenate([xy, points[..., 2:] * scale[:, None]], axis=-1), near[..., 0] * scale

    a, size_a = project(a)
    b, size_b = project(b)
    tip, _ = project(hand.tip[:, None])
    return PlacedHand(Capsules(a, b, ra * size_a, rb * size_b, material, flat_ends), tip[:, 0, :2], track.scale)
