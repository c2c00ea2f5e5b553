"""One labelled clip from one seed: the other rooms of this package, in order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.arm import hand_track
from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.camera import MARGIN, CameraPath, camera_path, look_at, smear
from edgevid_train.synthetic.choreography import plan_gesture
from edgevid_train.synthetic.hands import HandShape, PlacedHand, place
from edgevid_train.synthetic.layers import Shadow, composite
from edgevid_train.synthetic.lookalikes import add_lookalikes
from edgevid_train.synthetic.looks import random_look
from edgevid_train.synthetic.moves import Plan
from edgevid_train.synthetic.negatives import plan_other
from edgevid_train.synthetic.noise import log_uniform
from edgevid_train.synthetic.paths import GESTURES, LABELS, PathBank
from edgevid_train.synthetic.relief import Look, draw
from edgevid_train.synthetic.sensor import Sensor, random_sensor
from edgevid_train.synthetic.textures import procedural

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


@dataclass(frozen=True)
class Shot:
    """Everything that is to be seen in one take, ready to be photographed frame by frame."""

    width: int
    height: int
    times_s: NDArray[np.float64]  # (T,)
    background: Floats  # MARGIN times the picture's size
    head: CameraPath
    hands: tuple[PlacedHand, ...]
    look: Look
    shadow: Shadow | None
    shutter_s: float
    sensor: Sensor

    def __len__(self) -> int:
        return len(self.times_s)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The frames in order, each `(H, W, 3)` uint8 RGB."""
        return (self.frame(k) for k in range(len(self)))

    def frame(self, k: int) -> NDArray[np.uint8]:
        blur_px = self.height * self.shutter_s  # of something that crosses one picture height a second
        view = look_at(self.background, self.head, k, self.width, self.height)
        view = smear(view, *(self._speed(self.head.shift, k) * blur_px))
        for hand in self.hands:
            layer = draw(hand, k, self.look, self.width, self.height)
            if layer is not None:
                if self.shadow is not None:
                    self.shadow.cast(view, layer)
                composite(view, layer, *(self._speed(hand.tip, k) * blur_px))
        return self.sensor.expose(view, k)

    def _speed(self, points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        before, after = max(k - 1, 0), min(k + 1, len(self) - 1)
        return np.asarray((points[after] - points[before]) / (self.times_s[after] - self.times_s[before]))

    def fingertip(self) -> NDArray[np.float32]:
        """`(T, 2)` as in SyntheticClip; of the first hand where there are two."""
        tip = np.full((len(self), 2), np.nan, np.float32)
        if self.hands:
            at = self.hands[0].tip / (self.width / self.height, 1.0)
            seen = ((at >= 0) & (at <= 1)).all(axis=1)
            tip[seen] = at[seen]
        return tip


@dataclass(frozen=True)
class Script:
    """What happens in the clip of a seed, and when its frames are taken: all that is known before anything is drawn."""

    seed: int
    label: str
    plan: Plan
    times_s: NDArray[np.float64]  # (T,), starts at 0

    @property
    def action_s(self) -> tuple[float, float]:
        """When the action begins and when it is complete; in a clip without one the whole clip."""
        last_s = float(self.times_s[-1])
        return next(((a.start_s, min(a.end_s, last_s)) for a in self.plan.actions), (0.0, last_s))

    def around(self, before_s: float, after_s: float) -> slice:
        """The frames from so long before the action to so long after it."""
        start_s, end_s = self.action_s
        first, end = np.searchsorted(self.times_s, (start_s - before_s, end_s + after_s))
        return slice(int(first), int(end))

    def shot(self, size: tuple[int, int], backgrounds: BackgroundBank | None = None) -> Shot:
        """It with everything that is to be seen, at `size` (width, height); each of its frames can be had alone."""
        width, height = size
        aspect = width / height
        arm, room, head, lens = (np.random.default_rng([self.seed, k]) for k in range(2, 6))
        shape = HandShape.random(arm)
        hands = tuple(place(hand_track(arm, hand, self.times_s, aspect, shape), aspect) for hand in self.plan.hands)
        background = _background(room, width, height, backgrounds)
        level = float(background.mean())
        return Shot(
            width=width,
            height=height,
            times_s=self.times_s,
            background=background,
            head=camera_path(head, self.times_s, self.plan.lively),
            hands=hands,
            look=random_look(arm, level, height),
            shadow=Shadow.random(arm) if arm.random() < 0.25 else None,
            shutter_s=log_uniform(lens, 1 / 250, 1 / 25),
            sensor=random_sensor(lens, self.times_s, width, height, level),
        )

    def clip(self, size: tuple[int, int], backgrounds: BackgroundBank | None = None) -> SyntheticClip:
        """All of it, drawn."""
        shot = self.shot(size, backgrounds)
        frames = np.stack(list(shot))
        return SyntheticClip(frames, self.times_s, self.label, *self.action_s, shot.fingertip(), self.seed)


def script_of(
    seed: int, *, label: str | None, aspect: float, fps: float | None = None, paths: PathBank | None = None
) -> Script:
    """The script of `render_clip` with these arguments, in a thousandth of its time; `aspect` is width / height."""
    lot, moving = (np.random.default_rng([seed, k]) for k in range(2))
    if label is None:
        label = "other" if lot.random() < OTHER_SHARE else str(lot.choice(GESTURES))
    if label not in LABELS:
        raise ValueError(f"no such label: {label}")
    plan = plan_other(moving, aspect, paths) if label == "other" else plan_gesture(moving, label, aspect, paths)
    return Script(seed, label, plan, frame_times(lot, plan.duration_s, fps))


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
    same seed at another size or rate shows the same movement. Raises ValueError for a label that is not in LABELS.
    """
    script = script_of(seed, label=label, aspect=size[0] / size[1], fps=fps, paths=paths)
    return script.clip(size, backgrounds)


def frame_times(rng: np.random.Generator, duration_s: float, fps: float | None) -> NDArray[np.float64]:
    """Presentation times that cover the duration, at `fps` exactly or at a rate that is drawn by lot."""
    rate = rng.choice([rng.uniform(10, 30), 15.0, 25.0, 30.0], p=[0.55, 0.1, 0.1, 0.25]) if fps is None else fps
    n = max(int(np.ceil(duration_s * rate)) + 1, 2)
    step = np.full(n - 1, 1 / rate)
    if fps is None and rng.random() < 0.4:  # a phone's rate varies
        step *= rng.uniform(0.85, 1.15, n - 1)
        step *= max(duration_s / step.sum(), 1.0)
    return np.concatenate([[0.0], np.cumsum(step)])


def _background(rng: np.random.Generator, width: int, height: int, bank: BackgroundBank | None) -> Floats:
    h, w = round(height * MARGIN), round(width * MARGIN)
    picture = bank.pick(rng, h, w) if bank is not None and rng.random() < 0.5 else procedural(rng, h, w)
    return add_lookalikes(rng, picture) if rng.random() < 0.45 else picture
