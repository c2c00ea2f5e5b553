"""The demo clip: three people in three rooms draw all ten gestures, with pauses in which nothing is meant.

Paths are parametric and pictures are generated, so the clip owes nothing to anyone's data. All follows from SEED.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.errors import InputError
from edgevid.files import check_file, replacing, write_text
from edgevid_train.synthetic import textures
from edgevid_train.synthetic.arm import hand_track
from edgevid_train.synthetic.camera import MARGIN, camera_path
from edgevid_train.synthetic.choreography import plan_stream
from edgevid_train.synthetic.hands import Dress, HandShape, place
from edgevid_train.synthetic.layers import Shadow
from edgevid_train.synthetic.moves import Action, Plan
from edgevid_train.synthetic.relief import Look
from edgevid_train.synthetic.scene import Shot
from edgevid_train.synthetic.sensor import Sensor
from edgevid_train.synthetic.write import write_video

SEED = 7
FPS = 25.0
CRF = 24
REST_S = 0.4

Floats = NDArray[np.float32]


def _inset(under: Floats, over: Floats, x0: float, y0: float, x1: float, y1: float) -> Floats:
    """Put `over` into a rectangle of `under`; sides as parts of the picture."""
    h, w = under.shape[:2]
    left, top, right, bottom = int(x0 * w), int(y0 * h), int(x1 * w), int(y1 * h)
    out = under.copy()
    out[top:bottom, left:right] = cv2.resize(over, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return out


def _lit(picture: Floats, slope_x: float, slope_y: float) -> Floats:
    h, w = picture.shape[:2]
    x, y = np.linspace(-0.5, 0.5, w)[None], np.linspace(-0.5, 0.5, h)[:, None]
    return np.asarray(np.clip(picture * (1 + slope_x * x + slope_y * y)[..., None], 0, 1), np.float32)


def _plain(h: int, w: int, rgb: tuple[float, float, float]) -> Floats:
    return np.tile(np.array(rgb, np.float32), (h, w, 1))


def _study(h: int, w: int) -> Floats:
    shelf = textures.shelf(np.random.default_rng(4), h, w)
    table = textures.wood(np.random.default_rng(5), h, w)
    wall = _plain(h, w, (0.83, 0.79, 0.71))
    return _lit(_inset(_inset(wall, shelf, 0.55, 0.0, 1.0, 0.62), table, 0.0, 0.86, 1.0, 1.0), -0.3, -0.2)


def _curtain(h: int, w: int) -> Floats:
    curtain = textures.curtain(np.random.default_rng(4), h, w)
    return _lit(_inset(_plain(h, w, (0.45, 0.55, 0.58)), curtain, 0.0, 0.0, 0.7, 0.95), 0.25, -0.3)


def _window(h: int, w: int) -> Floats:
    view = textures.landscape(np.random.default_rng(3), h, w)
    view = np.asarray(cv2.GaussianBlur(view, (0, 0), 0.006 * h), np.float32)  # far away, out of focus
    out = _inset(_plain(h, w, (0.62, 0.6, 0.56)), _plain(h, w, (0.9, 0.9, 0.88)), 0.1, 0.04, 0.9, 0.8)
    for k in range(3):
        third = np.asarray(view[:, k * w // 3 : (k + 1) * w // 3], np.float32)
        out = _inset(out, third, 0.12 + 0.26 * k, 0.07, 0.36 + 0.26 * k, 0.77)
    return _lit(out, 0.2, 0.1)


@dataclass(frozen=True)
class Part:
    """One person in one room."""

    labels: tuple[str, ...]
    room: Callable[[int, int], Floats]
    skin: tuple[float, float, float]
    sleeve: tuple[float, float, float]
    dress: Dress
    left: bool


SLEEVE = Dress(sleeve_from_cm=4.0, sleeve_loose=1.25, band_at_cm=None, band_width_cm=0.0, ring_finger=None)
BRACELET = Dress(sleeve_from_cm=None, sleeve_loose=1.0, band_at_cm=2.0, band_width_cm=0.8, ring_finger=2)

PARTS = (
    Part(("right", "left", "up", "down"), _study, (0.76, 0.55, 0.43), (0.20, 0.32, 0.50), SLEEVE, left=False),
    Part(("circle", "tick", "caret"), _curtain, (0.42, 0.27, 0.19), (0.85, 0.82, 0.75), BRACELET, left=False),
    Part(("square", "delete", "star"), _window, (0.90, 0.71, 0.60), (0.55, 0.20, 0.22), SLEEVE, left=True),
)


def _plans(aspect: float) -> list[Plan]:
    return [
        plan_stream(np.random.default_rng([SEED, k, 0]), part.labels, aspect, rest_s=REST_S, left=part.left)
        for k, part in enumerate(PARTS)
    ]


def _frames(plan: Plan) -> int:
    return int(np.ceil(plan.duration_s * FPS))


def demo_actions(aspect: float = 4 / 3) -> list[Action]:
    """What is done in the clip, in its own seconds."""
    out: list[Action] = []
    begin_s = 0.0
    for plan in _plans(aspect):
        out += [Action(a.label, begin_s + a.start_s, begin_s + a.end_s) for a in plan.actions]
        begin_s += _frames(plan) / FPS
    return out


def demo_shots(size: tuple[int, int] = (640, 480)) -> list[Shot]:
    """The takes that the clip is put together from, each at `FPS` frames a second."""
    width, height = size
    return [_shot(k, plan, width, height) for k, plan in enumerate(_plans(width / height))]


def _shot(k: int, plan: Plan, width: int, height: int) -> Shot:
    part, arm, aspect = PARTS[k], np.random.default_rng([SEED, k, 1]), width / height
    frames = _frames(plan)
    times_s = np.arange(frames) / FPS
    skin, sleeve = np.array(part.skin), np.array(part.sleeve)
    grey, gold = np.array((0.15, 0.15, 0.17)), np.array((0.9, 0.75, 0.4))
    light = np.array([-0.45, -0.7, 0.55])
    look = Look(
        albedo=np.stack([skin, np.minimum(1.1 * skin + 0.06, 1), sleeve, 0.75 * sleeve, grey, gold]).astype(np.float32),
        light=(light / np.linalg.norm(light)).astype(np.float32),
        ambient=np.full(3, 0.55, np.float32),
        diffuse=np.full(3, 0.5, np.float32),
        gloss=0.04,
        crease=0.5,
        mottle=np.ones((2, 2), np.float32),
        sleeve_period=(0.5, 0.0),
    )
    clear = Sensor(
        gain=np.ones((frames, 3), np.float32),
        vignette=None,
        defocus_px=np.zeros(frames, np.float32),
        table=np.arange(256).astype(np.uint8),
        noise=None,
        noise_at=np.zeros((frames, 2), np.int64),
        jpeg_quality=None,
    )
    shape = HandShape(np.ones(4), 1.0, 1.0, 1.0, 2.7, 3.9)
    tracks = (replace(hand_track(arm, hand, times_s, aspect, shape), dress=part.dress) for hand in plan.hands)
    return Shot(
        width=width,
        height=height,
        times_s=times_s,
        background=part.room(round(height * MARGIN), round(width * MARGIN)),
        head=camera_path(np.random.default_rng([SEED, k, 2]), times_s, lively=True),
        hands=tuple(place(track, aspect) for track in tracks),
        look=look,
        shadow=Shadow((0.06, 0.1), 0.03, 0.25),
        shutter_s=1 / 60,
        sensor=clear,
    )


TRUTH = "gestures.json"
"""Beside the demo clip: what is done in it."""


def check_demo(out: Path, *, force: bool) -> None:
    """Raises InputError as `write_demo` does before it draws anything."""
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: the demo clip is an .mp4 file")
    check_file(out, force=force)
    check_file(out.with_name(TRUTH), force=force)


def write_demo(
    out: Path,
    *,
    size: tuple[int, int] = (640, 480),
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render the demo clip to the mp4 file `out`, and what is done in it to `gestures.json` beside it (given back).

    Raises InputError when `out` is no .mp4, when one of the two exists and `force` is not given, or when they cannot be
    written.
    """
    check_demo(out, force=force)
    truth = out.with_name(TRUTH)
    shots = demo_shots(size)
    total = sum(len(shot) for shot in shots)

    def frames() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for shot in shots:
            for pixels in shot:
                yield pixels
                done += 1
                if progress is not None:
                    progress(done, total)

    with replacing(out) as temporary:
        write_video(temporary, frames(), np.arange(total) / FPS, crf=CRF)
    gestures = [
        {"label": a.label, "start_s": round(a.start_s, 3), "end_s": round(a.end_s, 3)}
        for a in demo_actions(size[0] / size[1])
    ]
    write_text(truth, json.dumps({"video": out.name, "seed": SEED, "gestures": gestures}, indent=1) + "\n")
    return truth
