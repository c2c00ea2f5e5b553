"""Draw capsules as a shaded relief: each is a rounded ridge, the highest ridge wins, and its normals are lit.

Coverage at the edges is analytic (distance to the outline), so nothing has to be drawn larger and reduced.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.hands import SLEEVE, SLEEVE_MARK, PlacedHand

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """Colours and light of one arm. Colours are display-referred RGB, 1.0 is white."""

    albedo: Floats  # (6, 3) by material
    light: Floats  # (3,) direction towards the lamp; x right, y down, z to the viewer
    ambient: Floats  # (3,) colour
    diffuse: Floats  # (3,) colour
    gloss: float
    crease: float  # darkness of folds between fingers
    mottle: Floats  # (h, w) gentle brightness texture of the skin, mean 1
    sleeve_period: tuple[float, float]  # pattern along and around the sleeve, in radii; 0 is none


@dataclass(frozen=True)
class Layer:
    """A premultiplied picture part: `rgba (h, w, 4)` float32 whose upper left corner is at `(x, y)` pixels."""

    rgba: Floats
    x: int
    y: int


def _bounds(a: Floats, b: Floats, ra: Floats, rb: Floats, width: int, height: int) -> tuple[int, int, int, int]:
    low = np.minimum(a[:, :2] - ra[:, None], b[:, :2] - rb[:, None]).min(axis=0) - 1
    high = np.maximum(a[:, :2] + ra[:, None], b[:, :2] + rb[:, None]).max(axis=0) + 2
    x0, y0 = np.maximum(np.floor(low), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high), (width, height)).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def draw(hand: PlacedHand, frame: int, look: Look, width: int, height: int) -> Layer | None:
    """The hand of one frame, lit, on a picture of `width` x `height` pixels; None when it is not in view."""
    cap = hand.capsules
    a = (cap.a[frame] * height).astype(np.float32)
    b = (cap.b[frame] * height).astype(np.float32)
    ra = (cap.ra[frame] * height).astype(np.float32)
    rb = (cap.rb[frame] * height).astype(np.float32)
    left, top, right, bottom = _bounds(a, b, ra, rb, width, height)
    if right - left < 2 or bottom - top < 2:
        return None
    w, h = right - left, bottom - top
    depth = np.full((h, w), -1e4, np.float32)
    cover = np.zeros((h, w), np.float32)
    nx, ny = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    material = np.zeros((h, w), np.uint8)
    xs = np.arange(left, right, dtype=np.float32) + 0.5
    ys = (np.arange(top, bottom, dtype=np.float32) + 0.5)[:, None]

    rows = np.concatenate([a, b, ra[:, None], rb[:, None]], axis=1).tolist()
    for k, (ax, ay, az, bx, by, bz, r0, r1) in enumerate(rows):
        x0 = max(int(min(ax - r0, bx - r1)) - 1 - left, 0)
        y0 = max(int(min(ay - r0, by - r1)) - 1 - top, 0)
        x1 = min(int(max(ax + r0, bx + r1)) + 2 - left, w)
        y1 = min(int(max(ay + r0, by + r1)) + 2 - top, h)
        if x1 <= x0 or y1 <= y0:
            continue
        box = (slice(y0, y1), slice(x0, x1))
        behind = depth[box]
        if max(az + r0, bz + r1) < behind.min():
            continue  # wholly hidden, as most of a fist's fingers are
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy + 1e-6
        gx, gy = xs[x0:x1] - ax, ys[y0:y1] - ay
        t = gx * (dx / square) + gy * (dy / square)
        tc = np.minimum(np.maximum(t, 0.0), 1.0)
        ex, ey = gx - tc * dx, gy - tc * dy
        d2 = ex * ex + ey * ey
        r = r0 + (r1 - r0) * tc
        inside = r + 0.5 - np.sqrt(d2)
        if cap.flat[k]:
            length = square**0.5
            inside = np.minimum(inside, np.minimum(t, 1 - t) * length + 0.5)
        z = np.sqrt(np.maximum(r * r - d2, 0.0)) + (tc * (bz - az) + az)
        wins = (inside > 0) & (z > behind)
        np.copyto(behind, z, where=wins)
        np.copyto(nx[box], ex / r, where=wins)
        np.copyto(ny[box], ey / r, where=wins)
        what: int | NDArray[np.uint8] = int(cap.material[k])
        if what == SLEEVE and any(look.sleeve_period):
            what = _sleeve_pattern(look.sleeve_period, t * square**0.5 / r0, (ex * dy - ey * dx) / (square**0.5 * r))
        np.copyto(material[box], np.asarray(what, np.uint8), where=wins)
        np.maximum(cover[box], np.minimum(inside, 1.0), out=cover[box])

    return Layer(_shade(depth, cover, nx, ny, material, look, height * float(hand.scale[frame])), left, top)


def _sleeve_pattern(period: tuple[float, float], along: Floats, around: Floats) -> NDArray[np.uint8]:
    mark = np.zeros(along.shape, np.bool_)
    if period[0]:
        mark ^= (along / period[0]) % 1.0 < 0.5
    if period[1]:
        mark ^= (np.arcsin(np.clip(around, -1, 1)) / period[1]) % 1.0 < 0.5
    return np.where(mark, np.uint8(SLEEVE_MARK), np.uint8(SLEEVE))


def _shade(
    depth: Floats, cover: Floats, nx: Floats, ny: Floats, material: NDArray[np.uint8], look: Look, px_per_cm: float
) -> Floats:
    soft = max(0.35 * px_per_cm, 0.6)  # flesh rounds off where ridges meet
    nx, ny = (np.asarray(cv2.GaussianBlur(n, (0, 0), soft), np.float32) for n in (nx, ny))
    nz = np.sqrt(np.maximum(1.0 - nx * nx - ny * ny, 0.05))
    lx, ly, lz = (float(v) for v in look.light)
    lit = np.maximum(nx * lx + ny * ly + nz * lz, 0.0)
    seen = cover > 0
    filled = np.where(seen, depth, np.float32(depth[seen].mean()) if seen.any() else np.float32(0))
    around = cv2.blur(filled, (2 * int(0.8 * px_per_cm) + 3,) * 2)
    fold = np.clip((around - filled) / max(1.6 * px_per_cm, 1.0), 0.0, 1.0) * look.crease
    mh, mw = look.mottle.shape
    h, w = cover.shape
    texture = look.mottle[:h, :w] if h <= mh and w <= mw else cv2.resize(look.mottle, (w, h))
    skin = np.where(material == 0, texture, np.float32(1.0)) * (1.0 - fold)
    shine = lit * lit * lit
    shine *= shine
    shine = look.gloss * shine * shine
    rgba = np.empty((h, w, 4), np.float32)
    for channel in range(3):
        tone = look.albedo[:, channel][material] * skin
        tone *= look.ambient[channel] + lit * look.diffuse[channel]
        tone += shine
        np.multiply(np.minimum(tone, 2), cover, out=rgba[..., channel])
    rgba[..., 3] = cover
    return rgba
