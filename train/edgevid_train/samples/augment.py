"""Changes to a clip that leave its meaning, or that say how they change it; every frame of a clip gets the same."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from edgevid.manifest import InputSpec

_GAMMA = 2.2  # of a screen

Clip = NDArray[np.uint8]
"""uint8 RGB `(T, H, W, 3)`."""
Points = NDArray[np.float32]
"""One place per frame: float32 `(T, 2)`, x and y in 0..1 of the picture, NaN where there is none."""


class AugmentConfig(BaseModel):
    """Strengths. `flip` and `reverse` map a label to the one it becomes; a label that is not there is not changed so.

    A mirrored swipe to the left is one to the right; a mirrored tick is no tick at all.

    `exposure`: from how much to how much light, in stops: -1 is half of it, 1 twice. `erase`: share of streams in
    which a box of one colour hides the same part of every frame; `erase_area`: of the picture (random erasing, arXiv
    1708.04896). `jitter`: each frame is taken up to half of this share of a step too early or too late.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: dict[str, str] = {}
    reverse: dict[str, str] = {}
    rotate_deg: float = Field(default=8.0, ge=0)
    scale: tuple[float, float] = (0.85, 1.25)
    move: float = Field(default=0.1, ge=0)
    stretch: float = Field(default=0.1, ge=0)
    speed: tuple[float, float] = (0.75, 1.35)
    exposure: tuple[float, float] = (0.0, 0.0)
    brightness: float = Field(default=0.25, ge=0)
    contrast: float = Field(default=0.3, ge=0)
    saturation: float = Field(default=0.4, ge=0)
    hue: float = Field(default=0.06, ge=0)
    grey: float = Field(default=0.1, ge=0, le=1)
    blur: float = Field(default=0.2, ge=0, le=1)
    noise: float = Field(default=8.0, ge=0)
    shake: float = Field(default=0.01, ge=0)
    erase: float = Field(default=0.0, ge=0, le=1)
    erase_area: tuple[float, float] = (0.02, 0.2)
    jitter: float = Field(default=0.0, ge=0, le=1)

    @field_validator("erase_area")
    @classmethod
    def _shares(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1] < 1:
            raise ValueError("two shares between 0 and 1, the smaller one first")
        return value

    @field_validator("exposure")
    @classmethod
    def _stops(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not -8 <= value[0] <= value[1] <= 8:
            raise ValueError("two numbers of stops from -8 to 8, the smaller one first")
        return value

    @field_validator("scale", "speed")
    @classmethod
    def _factors(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1] < math.inf:
            raise ValueError("two factors above 0, the smaller one first")
        return value


@dataclass(frozen=True)
class Box:
    """A part of a picture, its corners in 0..1 of it, and the colour that hides it."""

    left: float
    top: float
    right: float
    bottom: float
    colour: tuple[int, int, int]

    def hides(self, points: Points) -> NDArray[np.bool_]:
        """`(T, 2)` -> `(T,)`."""
        inside = (points >= (self.left, self.top)) & (points <= (self.right, self.bottom))
        return np.asarray(inside.all(axis=1), np.bool_)


@dataclass(frozen=True)
class ClipView:
    """One draw of everything random, so that a student and a teacher see the same at their own sizes.

    `matrix`: 2x3, from output to input places, both in 0..1 of their picture (so it serves every size).
    `filled`: share of the output's width and height that the picture fills; the rest is black bars.
    `light`: by what all colours are multiplied at last. `erased`: a part of the input picture. `jolts`: by how much
    each frame is moved, `(T, 2)`, where that is not to be drawn from `shake_seed`.
    """

    matrix: NDArray[np.float64]
    shake_seed: int
    gain: NDArray[np.float32]
    offset: float
    contrast: float
    saturation: float
    blur: float
    noise: float
    light: float = 1.0
    filled: tuple[float, float] = (1.0, 1.0)
    erased: Box | None = None
    jolts: NDArray[np.float64] | None = None


def exposed(stops: float) -> float:
    """By what a pixel's value is multiplied when there are so many stops more light, each twice as much."""
    return float(2 ** (stops / _GAMMA))


def draw_view(config: AugmentConfig, rng: np.random.Generator, aspect: float) -> ClipView:
    """`aspect`: width over height of the clip, so that a rotation turns and does not shear."""
    angle = np.deg2rad(rng.uniform(-config.rotate_deg, config.rotate_deg))
    zoom = np.exp(rng.uniform(np.log(config.scale[0]), np.log(config.scale[1])))
    stretch = np.exp(rng.uniform(-config.stretch, config.stretch))
    move = rng.uniform(-config.move, config.move, 2)
    to_square, back = np.diag([aspect, 1.0]), np.diag([1 / aspect, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = back @ turn @ np.diag([stretch, 1 / stretch]) @ to_square / zoom
    centre = np.array([0.5, 0.5])
    matrix = np.column_stack([linear, centre - linear @ (centre + move)])
    grey = rng.random() < config.grey
    tint = 1 + rng.uniform(-config.hue, config.hue, 3)
    light = 1.0 if config.exposure == (0, 0) else exposed(rng.uniform(*config.exposure))
    return ClipView(
        matrix=matrix,
        shake_seed=int(rng.integers(2**31)),
        gain=tint.astype(np.float32),
        offset=float(255 * rng.uniform(-config.brightness, config.brightness)),
        contrast=float(np.exp(rng.uniform(-config.contrast, config.contrast))),
        saturation=0.0 if grey else float(np.exp(rng.uniform(-config.saturation, config.saturation))),
        blur=float(rng.uniform(0.4, 1.2)) if rng.random() < config.blur else 0.0,
        noise=float(rng.uniform(0, config.noise)),
        light=light,
        erased=_draw_box(config, rng, aspect) if config.erase and rng.random() < config.erase else None,
    )


def _draw_box(config: AugmentConfig, rng: np.random.Generator, aspect: float) -> Box:
    """Torchvision draws it in pixels of one size; a student and a teacher see pictures of two."""
    area = rng.uniform(*config.erase_area)
    ratio = math.exp(rng.uniform(math.log(0.3), math.log(3.3))) / aspect
    width, height = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    red, green, blue = (int(x) for x in rng.integers(0, 256, 3))
    return Box(left, top, left + width, top + height, (red, green, blue))


def fitted(view: ClipView, spec: InputSpec, height: int, width: int) -> ClipView:
    """The view of pictures of `height` x `width` as `spec.fit` brings them to a network (see `edgevid.preprocess`)."""
    if spec.fit == "stretch":
        return view
    ratios = np.array([width / spec.width, height / spec.height])
    scale = ratios.min() if spec.fit == "crop" else ratios.max()
    shown = (
        scale / ratios
    )  # how much of the picture the input spans, x and y: below 1 it is cropped, above 1 it has bars
    linear = view.matrix[:, :2] * shown
    shift = view.matrix[:, 2] + view.matrix[:, :2] @ (0.5 - 0.5 * shown)
    across, down = np.minimum(1, 1 / shown)
    return replace(view, matrix=np.column_stack([linear, shift]), filled=(float(across), float(down)))


def apply_view(clip: Clip, view: ClipView, height: int, width: int, shake: float = 0.0) -> Clip:
    """uint8 `(T, H, W, 3)` -> uint8 `(T, height, width, 3)`: place first, then colour, blur and sensor noise."""
    source_height, source_width = clip.shape[1:3]
    clip = clip if view.erased is None else _without(clip, view.erased)
    rng = np.random.default_rng(view.shake_seed)
    jolts = jolts_of(view, len(clip), shake)
    out = np.empty((len(clip), height, width, 3), np.uint8)
    for i, frame in enumerate(clip):
        matrix = view.matrix.copy()
        matrix[:, 2] += jolts[i]
        # from places in 0..1 to pixel centres on both sides
        linear = matrix[:, :2] * np.array([[source_width], [source_height]]) / np.array([width, height])
        shift = matrix[:, 2] * [source_width, source_height] - 0.5 + linear @ np.array([0.5, 0.5])
        cv2.warpAffine(
            frame,
            np.column_stack([linear, shift]),
            (width, height),
            dst=out[i],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return _with_bars(_colour(out, view, rng), view.filled)


def place_points(points: Points, view: ClipView, shake: float = 0.0) -> Points:
    """Where `apply_view` puts places of a clip: float `(T, 2)`, x and y in 0..1 of the picture, NaN where unknown.

    A place that the view moves out of the picture, or hides, becomes NaN.
    """
    if view.erased is not None:
        points = np.where(view.erased.hides(points)[:, None], np.float32(np.nan), points)
    inverse = np.linalg.inv(view.matrix[:, :2])
    moved = (points - view.matrix[:, 2] - jolts_of(view, len(points), shake)) @ inverse.T
    moved[((moved < 0) | (moved > 1)).any(axis=1)] = np.nan
    return moved.astype(np.float32)


def jolts_of(view: ClipView, count: int, shake: float) -> NDArray[np.float64]:
    """By how much a shaking camera moves each of `count` frames, `(count, 2)` in 0..1 of the picture."""
    if view.jolts is not None:
        return view.jolts
    return _smooth_noise(np.random.default_rng([view.shake_seed, count]), count) * shake


def _colour(clip: Clip, view: ClipView, rng: np.random.Generator) -> Clip:
    height, width = clip.shape[1:3]
    if view.blur:
        clip = np.stack([cv2.GaussianBlur(frame, (0, 0), view.blur) for frame in clip])
    mean = float(clip.mean())
    # light * (gain * contrast * (grey + saturation * (x - grey)) + offset), as one 3x4 matrix on the pixels
    luma = np.tile(np.array([0.299, 0.587, 0.114], np.float32), (3, 1))
    mixed = (1 - view.saturation) * luma + view.saturation * np.eye(3, dtype=np.float32)
    mix = view.gain[:, None] * view.contrast * mixed
    offset = view.offset + mean * (1 - view.contrast)
    transform = (view.light * np.column_stack([mix, np.full(3, offset)])).astype(np.float32)
    flat = clip.reshape(1, -1, 3)
    flat = np.asarray(cv2.transform(flat, transform), np.uint8)
    clip = flat.reshape(clip.shape)
    if view.noise >= 1:
        # one noise picture, rolled differently for every frame: sensor noise at a fraction of its cost
        grain = rng.normal(0, view.noise, size=(height, width, 3)).astype(np.int16)
        for frame in clip:
            dy, dx = rng.integers(0, height), rng.integers(0, width)
            noisy = frame.astype(np.int16) + np.roll(grain, (int(dy), int(dx)), (0, 1))
            frame[...] = np.clip(noisy, 0, 255)
    return clip


def _without(clip: Clip, box: Box) -> Clip:
    height, width = clip.shape[1:3]
    rows = slice(round(box.top * height), max(round(box.top * height) + 1, round(box.bottom * height)))
    columns = slice(round(box.left * width), max(round(box.left * width) + 1, round(box.right * width)))
    erased = clip.copy()
    erased[:, rows, columns] = box.colour
    return erased


def _with_bars(clip: Clip, filled: tuple[float, float]) -> Clip:
    height, width = clip.shape[1:3]
    across, down = max(1, round(filled[0] * width)), max(1, round(filled[1] * height))
    left, top = (width - across) // 2, (height - down) // 2
    clip[:, :top] = clip[:, top + down :] = 0
    clip[:, :, :left] = clip[:, :, left + across :] = 0
    return clip


def _smooth_noise(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A slow random walk about zero, `(count, 2)`, of about unit size: how a head or a hand-held camera moves."""
    white = rng.normal(size=(count + 8, 2))
    kernel = np.hanning(9) / np.sqrt((np.hanning(9) ** 2).sum())
    return np.column_stack([np.convolve(white[:, k], kernel, "valid") for k in range(2)])
