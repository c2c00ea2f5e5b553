"""One labelled clip from one seed: the other rooms of this package, in order."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.backgrounds import BackgroundBank, colour, procedural
from edgevid_train.synthetic.camera import MARGIN, camera_path, look_at, smear
from edgevid_train.synthetic.choreography import Plan, hand_track, plan
from edgevid_train.synthetic.hands import HandShape, PlacedHand, place
from edgevid_train.synthetic.noise import fractal, log_uniform
from edgevid_train.synthetic.paths import GESTURES, LABELS, PathBank
from edgevid_train.synthetic.relief import Layer, Look, draw
from edgevid_train.synthetic.sensor import random_sensor

Floats = NDArray[np.float32]

OTHER_SHARE = 0.2  # of clips without a given label


@dataclass(frozen=True)
class SyntheticClip:
    """A rendered clip and the truth about it."""

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    times_s: NDArray[np.float64]  # (T,), starts at 0
    label: str
    start_s: float  # when the action begins within the clip
    end_s: float  # when the action is complete
    fingertip: NDArray[np.float32]  # (T, 2) x, y in 0..1 of the picture, NaN where no index fingertip is in view
    seed: int


def render_clip(
    seed: int,
    *,
    label: str | None = None,
    size: tuple[int, int] = (160, 120),
    fps: float | None = None,
    paths: PathBank | None = None,
    backgrounds: BackgroundBank | None = None,
) -> SyntheticClip:
    """Render the clip that belongs to `seed` (>= 0) and these arguments: the same ones give the same bytes.

    `size` is (width, height) in pixels. Without `label` one is drawn by lot, `other` once in five. Without `fps` the
    rate lies between 10 and 30 and may be irregular. Of `paths`, three gestures in four are taken, the fourth is
    parametric; `backgrounds` replace half of the generated ones. Each room draws from its own random stream, so the
    same seed at another size or rate shows the same scene.
    """
    width, height = size
    aspect = width / height
    lot, moving, looks, room, head, lens = (np.random.default_rng([seed, k]) for k in range(6))
    if label is None:
        label = "other" if lot.random() < OTHER_SHARE else str(lot.choice(GESTURES))
    if label not in LABELS:
        raise ValueError(f"no such label: {label}")
    planned = plan(moving, label, aspect, paths)
    times_s = _times(lot, planned.duration_s, fps)

    hands = _placed_hands(looks, planned, times_s, aspect)
    background = _background(room, width, height, backgrounds)
    head_path = camera_path(head, times_s, planned.lively)
    level = float(background.mean())
    look = random_look(looks, level, height)
    sensor = random_sensor(lens, times_s, width, height, level)
    shutter_s = log_uniform(lens, 1 / 250, 1 / 25)
    shadow = _Shadow.random(looks) if looks.random() < 0.25 else None

    frames = np.empty((len(times_s), height, width, 3), np.uint8)
    for k in range(len(times_s)):
        view = look_at(background, head_path, k, width, height)
        dx, dy = _per_second(head_path.shift, times_s, k) * (height * shutter_s)
        view = smear(view, dx, dy)
        for hand in hands:
            layer = draw(hand, k, look, width, height)
            if layer is not None:
                if shadow is not None:
                    shadow.cast(view, layer)
                dx, dy = _per_second(hand.tip, times_s, k) * (height * shutter_s)
                composite(view, layer, dx, dy)
        frames[k] = sensor.expose(view, k)
    tip = _visible_tip(hands, aspect, len(times_s))
    return SyntheticClip(frames, times_s, label, planned.start_s, min(planned.end_s, float(times_s[-1])), tip, seed)


def _times(rng: np.random.Generator, duration_s: float, fps: float | None) -> NDArray[np.float64]:
    rate = rng.choice([rng.uniform(10, 30), 15.0, 25.0, 30.0], p=[0.55, 0.1, 0.1, 0.25]) if fps is None else fps
    n = max(int(np.ceil(duration_s * rate)) + 1, 2)
    step = np.full(n - 1, 1 / rate)
    if fps is None and rng.random() < 0.4:  # a phone's rate varies
        step *= rng.uniform(0.85, 1.15, n - 1)
    return np.concatenate([[0.0], np.cumsum(step)])


def _per_second(points: NDArray[np.float64], times_s: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    before, after = max(k - 1, 0), min(k + 1, len(times_s) - 1)
    return np.asarray((points[after] - points[before]) / (times_s[after] - times_s[before]))


def _placed_hands(
    rng: np.random.Generator, planned: Plan, times_s: NDArray[np.float64], aspect: float
) -> list[PlacedHand]:
    shape = HandShape.random(rng)
    return [place(hand_track(rng, hand, times_s, aspect, shape), aspect) for hand in planned.hands]


def _visible_tip(hands: list[PlacedHand], aspect: float, frames: int) -> NDArray[np.float32]:
    tip = np.full((frames, 2), np.nan, np.float32)
    if hands:
        at = hands[0].tip / (aspect, 1.0)
        seen = ((at >= 0) & (at <= 1)).all(axis=1)
        tip[seen] = at[seen]
    return tip


def _background(rng: np.random.Generator, width: int, height: int, bank: BackgroundBank | None) -> Floats:
    h, w = round(height * MARGIN), round(width * MARGIN)
    if bank is not None and rng.random() < 0.5:
        return bank.pick(rng, h, w)
    return procedural(rng, h, w)


# From very dark to very light, display-referred.
_SKIN = np.array(
    [
        (0.17, 0.10, 0.07),
        (0.32, 0.20, 0.14),
        (0.50, 0.33, 0.24),
        (0.68, 0.48, 0.37),
        (0.84, 0.64, 0.52),
        (0.95, 0.80, 0.72),
    ]
)


def random_look(rng: np.random.Generator, scene_level: float, height: int) -> Look:
    """Skin, clothes and light of one arm in a room of that mean brightness."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = np.array([np.interp(tone, np.arange(len(_SKIN)), _SKIN[:, c]) for c in range(3)])
    skin = np.clip(skin * np.exp(rng.normal(0, 0.06, 3)), 0.03, 1.0)
    nail = np.clip(skin * 1.15 + (0.08, 0.03, 0.03), 0, 1)
    if rng.random() < 0.1:
        nail = colour(rng)
    sleeve = colour(rng, 0.03, 1.0)
    mark = colour(rng, 0.03, 1.0) if rng.random() < 0.5 else sleeve * rng.uniform(0.4, 0.8)
    albedo = np.stack([skin, nail, sleeve, mark, colour(rng, 0.02, 1.0), np.array((0.9, 0.75, 0.4))]).astype(np.float32)

    exposure = float(np.clip(scene_level / 0.45, 0.08, 2.0)) ** rng.uniform(0.2, 1.0)
    light = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-1.0, 0.4), rng.uniform(0.3, 1.0)])
    tint = np.exp(rng.normal(0, 0.06, 3))
    match rng.choice(["room", "backlit", "flash"], p=[0.74, 0.14, 0.12]):
        case "room":
            ambient, diffuse = rng.uniform(0.35, 0.75) * exposure, rng.uniform(0.25, 0.85) * exposure
        case "backlit":
            ambient, diffuse = rng.uniform(0.05, 0.35) * exposure, rng.uniform(0.0, 0.15) * exposure
        case _:
            ambient, diffuse = rng.uniform(0.2, 0.5), rng.uniform(0.7, 1.5)
            light = np.array([rng.normal(0, 0.2), rng.normal(0, 0.2), 1.0])
    cm = 0.03 * height
    mottle = 1 + rng.uniform(0, 0.08) * fractal(rng, int(14 * cm), int(14 * cm), 5, 4, 0.8)
    period = (
        (float(rng.uniform(0.2, 1.2)) if rng.random() < 0.35 else 0.0),
        (float(rng.uniform(0.15, 0.8)) if rng.random() < 0.35 else 0.0),
    )
    return Look(
        albedo=albedo,
        light=(light / np.linalg.norm(light)).astype(np.float32),
        ambient=(ambient * tint).astype(np.float32),
        diffuse=(diffuse * np.exp(rng.normal(0, 0.04, 3))).astype(np.float32),
        gloss=float(rng.uniform(0, 0.12) * diffuse),
        crease=float(rng.uniform(0.2, 0.75)),
        mottle=mottle.astype(np.float32),
        sleeve_period=period,
    )


@dataclass(frozen=True)
class _Shadow:
    """The hand's shadow on what is behind it."""

    offset: tuple[float, float]  # picture heights
    softness: float  # picture heights
    strength: float

    @staticmethod
    def random(rng: np.random.Generator) -> "_Shadow":
        return _Shadow(
            (rng.normal(0, 0.12), rng.normal(0.03, 0.08)), log_uniform(rng, 0.008, 0.05), rng.uniform(0.1, 0.5)
        )

    def cast(self, view: Floats, layer: Layer) -> None:
        """Darken `view` in place."""
        h, w = view.shape[:2]
        small = 4  # soft things need few pixels
        matrix = np.array([[small, 0, -layer.x - self.offset[0] * h], [0, small, -layer.y - self.offset[1] * h]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        alpha = np.ascontiguousarray(layer.rgba[..., 3])
        cover = cv2.warpAffine(alpha, matrix, (w // small + 1, h // small + 1), flags=flags)
        cover = cv2.GaussianBlur(cover, (0, 0), max(self.softness * h / small, 0.5))
        view *= 1 - self.strength * cv2.resize(cover, (w, h))[..., None]


def composite(view: Floats, layer: Layer, dx: float, dy: float) -> None:
    """Lay a hand that moves by (dx, dy) pixels while the shutter is open over `view`, in place."""
    rgba, x, y = layer.rgba, layer.x, layer.y
    h, w = view.shape[:2]
    reach = int(np.ceil(np.hypot(dx, dy) / 2))
    if reach >= 1:
        # Room for the smear, except at the picture's border, beyond which the arm goes on.
        top, left = min(reach, y), min(reach, x)
        bottom, right = min(reach, h - y - rgba.shape[0]), min(reach, w - x - rgba.shape[1])
        padded = cv2.copyMakeBorder(rgba, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        rgba, x, y = smear(np.asarray(padded, np.float32), dx, dy), x - left, y - top
    part = view[y : y + rgba.shape[0], x : x + rgba.shape[1]]
    part *= 1 - rgba[..., 3:]
    part += rgba[..., :3]
