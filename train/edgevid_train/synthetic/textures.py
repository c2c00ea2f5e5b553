"""Rooms, walls, curtains, shelves, windows, landscapes: drawn once per clip, then seen by a moving camera.

All pictures are float32 RGB `(h, w, 3)`, display-referred: 1.0 is white, more is light that will burn out.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.noise import fractal, log_uniform

Floats = NDArray[np.float32]
Texture = Callable[[np.random.Generator, int, int], Floats]


def colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.95) -> Floats:
    """A random colour, more often pale or earthy than vivid."""
    hue = rng.uniform(0, 360) if rng.random() < 0.6 else rng.uniform(10, 55)  # wood, cream, skin
    saturation = rng.beta(1.2, 3.5) if rng.random() < 0.82 else rng.uniform(0.4, 0.9)
    pixel = np.array([[[hue, saturation, rng.uniform(low, high)]]], np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def blend(mask: Floats, over: Floats, under: Floats) -> Floats:
    return np.asarray(under + mask[..., None] * (over - under), np.float32)


def _grid(h: int, w: int) -> tuple[Floats, Floats]:
    """x and y in picture heights, `(1, w)` and `(h, 1)`."""
    x, y = np.arange(w) / h, np.arange(h) / h
    return x[None].astype(np.float32), y[:, None].astype(np.float32)


def _flat(rng: np.random.Generator, h: int, w: int, low: float = 0.1, high: float = 0.95) -> Floats:
    return np.tile(colour(rng, low, high), (h, w, 1))


def _tuple(c: Floats) -> tuple[float, float, float]:
    return float(c[0]), float(c[1]), float(c[2])


def wall(rng: np.random.Generator, h: int, w: int) -> Floats:
    out = _flat(rng, h, w, 0.3) * (1 + rng.uniform(0, 0.05) * fractal(rng, h, w, 2, 3))[..., None]
    out *= (1 + rng.uniform(0, 0.06) * fractal(rng, h, w, 20, 3, 0.8))[..., None]
    if rng.random() < 0.5:  # skirting, the edge of a table, a corner
        at, upright = rng.uniform(0.05, 0.95), rng.random() < 0.4
        part = colour(rng) * (1 + 0.1 * fractal(rng, h, w, 4)[..., None])
        if upright:
            out[:, int(at * w) :] = part[:, int(at * w) :]
        else:
            out[int(at * h) :] = part[int(at * h) :]
    return out


def curtain(rng: np.random.Generator, h: int, w: int) -> Floats:
    x, _ = _grid(h, w)
    sway = x + 0.02 * rng.uniform(0.2, 1.5) * fractal(rng, h, w, 1.2, 2)
    period = rng.uniform(0.05, 0.3)
    fold = np.sin(2 * np.pi * (sway / period + 0.6 * np.sin(2 * np.pi * sway / (period * 3.7) + rng.uniform(0, 6))))
    base = ornament(rng, h, w) if rng.random() < 0.35 else _flat(rng, h, w, 0.2)
    out = base * (1 + rng.uniform(0.1, 0.45) * fold)[..., None]
    if rng.random() < 0.4:  # light from behind
        out += rng.uniform(0.1, 0.6) * np.clip(fractal(rng, h, w, 1.5, 3), 0, 2)[..., None]
    return np.asarray(out, np.float32)


def tiles(rng: np.random.Generator, h: int, w: int) -> Floats:
    x, y = _grid(h, w)
    tall, wide = rng.uniform(0.06, 0.5), rng.uniform(0.06, 0.6)
    row = np.floor(y / tall)
    shifted = x + (row % 2) * wide * rng.choice([0.0, 0.5])
    joint = rng.uniform(0.004, 0.02)
    line = np.minimum(np.minimum((y / tall) % 1, 1 - (y / tall) % 1) * tall, _edge(shifted / wide) * wide) < joint / 2
    tone = rng.normal(0, rng.uniform(0, 0.15), (64, 64)).astype(np.float32)
    cell = tone[row.astype(int) % 64, np.floor(shifted / wide).astype(int) % 64]
    out = _flat(rng, h, w) * (1 + cell + 0.06 * fractal(rng, h, w, 4))[..., None]
    out[np.broadcast_to(line, (h, w))] = colour(rng)
    return np.asarray(out, np.float32)


def _edge(v: Floats) -> Floats:
    return np.minimum(v % 1, 1 - v % 1)


def wood(rng: np.random.Generator, h: int, w: int) -> Floats:
    upright = rng.random() < 0.7
    a, b = (h, w) if upright else (w, h)
    grain = cv2.resize(fractal(rng, max(a // 8, 8), b, 8, 5, 0.8), (b, a))
    rings = np.sin(rng.uniform(5, 40) * (_grid(a, b)[0] + 0.08 * fractal(rng, a, b, 1.5, 3)))
    tone = 1 + rng.uniform(0.04, 0.2) * grain + rng.uniform(0, 0.2) * rings
    hue = np.array([[[rng.uniform(12, 38), rng.uniform(0.2, 0.75), rng.uniform(0.12, 0.85)]]], np.float32)
    out = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0] * tone[..., None]
    board = int(b * rng.uniform(0.12, 0.7))
    out[:, ::board] *= 0.4
    return np.ascontiguousarray(out if upright else out.transpose(1, 0, 2), np.float32)


def shelf(rng: np.random.Generator, h: int, w: int) -> Floats:
    out = _flat(rng, h, w, 0.05, 0.8)
    y = -int(rng.uniform(0, 0.3) * h)
    while y < h:
        tall = int(rng.uniform(0.18, 0.45) * h)
        board = max(int(0.03 * h), 1)
        inside = colour(rng, 0.02, 0.4)
        cv2.rectangle(out, (0, y), (w, y + tall), _tuple(inside), -1)
        x = 0
        while x < w:
            if rng.random() < 0.1:
                x += int(rng.uniform(0.02, 0.2) * h)
                continue
            wide, high = max(int(rng.uniform(0.015, 0.07) * h), 1), int(rng.uniform(0.55, 0.95) * tall)
            book = colour(rng)
            cv2.rectangle(out, (x, y + tall - high), (x + wide - 1, y + tall), _tuple(book), -1)
            if rng.random() < 0.6:
                at = y + tall - int(rng.uniform(0.3, 0.9) * high)
                cv2.rectangle(out, (x, at), (x + wide - 1, at + max(high // 8, 1)), _tuple(colour(rng)), -1)
            cv2.line(out, (x + wide - 1, y + tall - high), (x + wide - 1, y + tall), _tuple(book * 0.5), 1)
            x += wide
        y += tall + board
    return out


def clutter(rng: np.random.Generator, h: int, w: int) -> Floats:
    out = wall(rng, h, w) if rng.random() < 0.5 else _flat(rng, h, w)
    for _ in range(int(rng.integers(4, 40))):
        c, size = _tuple(colour(rng, 0.02, 1.1)), log_uniform(rng, 0.02, 0.4) * h
        at = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
        half = (max(int(size * rng.uniform(0.2, 1)), 1), max(int(size * rng.uniform(0.2, 1)), 1))
        match int(rng.integers(4)):
            case 0:
                cv2.rectangle(out, (at[0] - half[0], at[1] - half[1]), (at[0] + half[0], at[1] + half[1]), c, -1)
            case 1:
                cv2.ellipse(out, at, half, rng.uniform(0, 180), 0, 360, c, -1, cv2.LINE_AA)
            case 2:
                corners = np.array(at) + rng.normal(0, size, (int(rng.integers(3, 6)), 2))
                cv2.fillPoly(out, [corners.astype(np.int32)], c, cv2.LINE_AA)
            case _:
                end = (int(at[0] + rng.normal(0, 2 * size)), int(at[1] + rng.normal(0, 2 * size)))
                cv2.line(out, at, end, c, max(int(size * 0.08), 1), cv2.LINE_AA)
    if rng.random() < 0.5:
        out *= (1 + 0.1 * fractal(rng, h, w, 6))[..., None]
    return out


def window(rng: np.random.Generator, h: int, w: int) -> Floats:
    """A bright window in a dim room."""
    room = wall(rng, h, w) * rng.uniform(0.1, 0.6)
    outside = landscape(rng, h, w) * rng.uniform(1.0, 1.8) if rng.random() < 0.5 else _flat(rng, h, w, 0.9, 1.0) * 1.6
    wide, high = rng.uniform(0.3, 1.0) * w, rng.uniform(0.3, 1.0) * h
    x0, y0 = rng.uniform(-0.2, 0.7) * w, rng.uniform(-0.3, 0.5) * h
    panes = np.zeros((h, w), np.float32)
    columns, rows, bar = int(rng.integers(1, 4)), int(rng.integers(1, 4)), rng.uniform(0.01, 0.05) * h
    for i in range(columns):
        for j in range(rows):
            p = (int(x0 + i * wide / columns + bar), int(y0 + j * high / rows + bar))
            q = (int(x0 + (i + 1) * wide / columns - bar), int(y0 + (j + 1) * high / rows - bar))
            cv2.rectangle(panes, p, q, 1.0, -1)
    glow = cv2.GaussianBlur(panes, (0, 0), 0.06 * h)
    return np.asarray(blend(panes, outside, room) + rng.uniform(0, 0.5) * glow[..., None], np.float32)


def foliage(rng: np.random.Generator, h: int, w: int) -> Floats:
    hue = np.array([[[rng.uniform(60, 120), rng.uniform(0.15, 0.5), rng.uniform(0.2, 0.6)]]], np.float32)
    leaf = np.asarray(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0], np.float32)
    tone = 0.7 + 0.28 * fractal(rng, h, w, rng.uniform(3, 12), 5, 0.85)
    tint = 0.15 * fractal(rng, h, w, 4, 4)
    out = leaf * tone[..., None] * (1 + tint[..., None] * np.array([1.0, 0.2, -0.6], np.float32))
    for _ in range(int(rng.integers(0, 120))):
        at, size = (int(rng.uniform(0, w)), int(rng.uniform(0, h))), rng.uniform(0.01, 0.06) * h
        c = leaf * rng.uniform(0.3, 1.5)
        cv2.ellipse(out, at, (max(int(size), 1), max(int(size * 0.45), 1)), rng.uniform(0, 180), 0, 360, _tuple(c), -1)
    return np.asarray(np.clip(out, 0, 1.2), np.float32)


def landscape(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Sky, far things, ground; sometimes a block of flats."""
    _, y = _grid(h, w)
    top, low = colour(rng, 0.7, 1.0), colour(rng, 0.8, 1.1)
    sky = top + (low - top) * y[..., None] + 0.06 * fractal(rng, h, w, 2)[..., None]
    horizon = rng.uniform(0.15, 0.8)
    edge = horizon + 0.03 * cv2.resize(rng.standard_normal((1, int(rng.integers(5, 60))), dtype=np.float32), (w, 1))
    ground = foliage(rng, h, w) if rng.random() < 0.7 else _flat(rng, h, w) * (1 + 0.2 * fractal(rng, h, w))[..., None]
    out = blend((y > edge).astype(np.float32), ground, np.broadcast_to(sky, (h, w, 3)).astype(np.float32))
    if rng.random() < 0.35:
        x0, x1, y0 = (int(rng.uniform(a, b)) for a, b in ((-0.2 * w, 0.5 * w), (0.4 * w, 1.2 * w), (0, 0.4 * h)))
        cv2.rectangle(out, (x0, y0), (x1, int(min(1.0, horizon + 0.1) * h)), _tuple(colour(rng, 0.3)), -1)
        dark, step = _tuple(colour(rng, 0.02, 0.3)), max(int(rng.uniform(0.04, 0.12) * h), 3)
        for yy in range(y0 + step, int(horizon * h), step):
            for xx in range(x0 + step // 2, x1 - step, step):
                cv2.rectangle(out, (xx, yy), (xx + step // 2, yy + step // 2), dark, -1)
    return np.clip(out, 0, 1.4).astype(np.float32)


def ornament(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Fabric, rug, wallpaper: one motif, mirrored and repeated."""
    size = int(log_uniform(rng, 0.12, 0.6) * h)
    motif = _flat(rng, size, size)
    for _ in range(int(rng.integers(2, 9))):
        c, at = _tuple(colour(rng)), (int(rng.uniform(0, size)), int(rng.uniform(0, size)))
        half = (max(int(rng.uniform(0.05, 0.5) * size), 1), max(int(rng.uniform(0.03, 0.3) * size), 1))
        if rng.random() < 0.5:
            thick = -1 if rng.random() < 0.6 else max(size // 12, 1)
            cv2.ellipse(motif, at, half, rng.uniform(0, 180), 0, 360, c, thick, cv2.LINE_AA)
        else:
            end = (int(rng.uniform(0, size)), int(rng.uniform(0, size)))
            cv2.line(motif, at, end, c, max(int(rng.uniform(0.03, 0.25) * size), 1), cv2.LINE_AA)
    if rng.random() < 0.7:
        motif = np.hstack([motif, motif[:, ::-1]])
    if rng.random() < 0.7:
        motif = np.vstack([motif, motif[::-1]])
    repeat = (h // motif.shape[0] + 2, w // motif.shape[1] + 2, 1)
    shift = rng.integers(0, max(size, 1), 2)
    return np.ascontiguousarray(np.tile(motif, repeat)[shift[0] : shift[0] + h, shift[1] : shift[1] + w])


def stripes(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Straight, wavy or zigzag stripes in two to five colours."""
    x, y = _grid(h, w)
    angle, period = rng.uniform(0, np.pi), log_uniform(rng, 0.03, 0.4)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = -x * np.sin(angle) + y * np.cos(angle)
    match int(rng.integers(3)):
        case 0:
            u = u + 0.0 * v
        case 1:
            u = u + period * rng.uniform(0.2, 0.8) * np.sin(2 * np.pi * v / (period * rng.uniform(1, 4)))
        case _:
            u = u + np.abs((v / (period * 2)) % 2 - 1) * period * rng.uniform(0.5, 3)
    palette = np.stack([colour(rng) for _ in range(int(rng.integers(2, 6)))])
    return np.asarray(palette[np.floor(u / period).astype(int) % len(palette)], np.float32)


def rings(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Carpet with circles, or dots."""
    out = _flat(rng, h, w) * (1 + rng.uniform(0, 0.2) * fractal(rng, h, w, 40, 2, 1.0))[..., None]
    step, c = rng.uniform(0.1, 0.35) * h, _tuple(colour(rng))
    thick = max(int(0.12 * step), 1) if rng.random() < 0.7 else -1
    for j in range(int(h / step) + 2):
        for i in range(int(w / step) + 2):
            at = np.array([(i + 0.5 * (j % 2)) * step, j * step * 0.9]) + rng.normal(0, 0.04 * step, 2)
            radius = (max(int(0.33 * step), 1), max(int(0.28 * step), 1))
            cv2.ellipse(out, (int(at[0]), int(at[1])), radius, rng.uniform(0, 180), 0, 360, c, thick, cv2.LINE_AA)
    return out


def board(rng: np.random.Generator, h: int, w: int) -> Floats:
    """A board, a screen or a page with marks like writing."""
    out = _flat(rng, h, w) * (1 + 0.04 * fractal(rng, h, w, 2))[..., None]
    ink = _tuple(colour(rng, 0.0, 0.3) if out.mean() > 0.5 else colour(rng, 0.7, 1.0))
    size, y = rng.uniform(0.02, 0.08) * h, rng.uniform(0, 0.3) * h
    while y < h:
        x = rng.uniform(0, 0.4) * w
        while x < rng.uniform(0.4, 1.1) * w:
            word = size * rng.uniform(1, 4)
            strokes = np.cumsum(rng.normal(0, 1, (int(rng.integers(4, 12)), 2)), axis=0)
            strokes = (strokes - strokes.min(0)) / np.maximum(np.ptp(strokes, axis=0), 1e-3) * (word, size) + (x, y)
            cv2.polylines(out, [strokes.astype(np.int32)], False, ink, max(int(size * 0.12), 1), cv2.LINE_AA)
            x += word + size * 0.6
        y += size * rng.uniform(1.4, 2.5)
    return np.asarray(out, np.float32)


def corridor(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Floor, ceiling and walls that meet in a far, often bright, end."""
    c = np.array([rng.uniform(0.3, 0.7) * w, rng.uniform(0.25, 0.6) * h])
    far = np.array([rng.uniform(0.05, 0.2) * w, rng.uniform(0.08, 0.3) * h])
    corner = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float64)
    inner = c + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * far
    out = np.zeros((h, w, 3), np.float32)
    for k in range(4):
        side = (wall if rng.random() < 0.6 else wood)(rng, h, w) * rng.uniform(0.3, 1.0)
        mask = np.zeros((h, w), np.float32)
        quad = np.stack([corner[k], corner[(k + 1) % 4], inner[(k + 1) % 4], inner[k]])
        cv2.fillPoly(mask, [quad.astype(np.int32)], 1.0, cv2.LINE_AA)
        out = blend(mask, side, out)
    end = _tuple(colour(rng, 0.6, 1.0) * rng.uniform(0.3, 1.8))
    cv2.rectangle(out, tuple(int(v) for v in inner[0]), tuple(int(v) for v in inner[2]), end, -1)
    return out


def dark(rng: np.random.Generator, h: int, w: int) -> Floats:
    any_texture = TEXTURES[int(rng.integers(len(TEXTURES) - 1))]
    return np.asarray(any_texture(rng, h, w) * rng.uniform(0.06, 0.3), np.float32)


def cloud(rng: np.random.Generator, h: int, w: int) -> Floats:
    """Nothing in particular: coloured noise, soft or with hard edges."""
    coarse, decay = log_uniform(rng, 1.5, 12), rng.uniform(0.3, 0.9)
    layers = np.stack([fractal(rng, h, w, coarse, 5, decay) for _ in range(3)], axis=-1)
    if rng.random() < 0.4:
        palette = np.stack([colour(rng) for _ in range(4)])
        return np.asarray(palette[np.digitize(layers[..., 0], [-0.6, 0, 0.6])], np.float32)
    grey = layers.mean(axis=-1, keepdims=True)
    mixed = grey + rng.uniform(0.05, 0.6) * (layers - grey)
    return np.asarray(np.clip(colour(rng) + rng.uniform(0.08, 0.3) * mixed, 0, 1.2), np.float32)


TEXTURES: tuple[Texture, ...] = (
    wall,
    curtain,
    tiles,
    wood,
    shelf,
    clutter,
    window,
    foliage,
    landscape,
    ornament,
    stripes,
    rings,
    board,
    corridor,
    cloud,
    dark,  # last: it darkens one of the others
)
_WEIGHT = np.array([4, 2, 1.5, 1.5, 1.2, 1.5, 1.2, 0.7, 1.5, 1.2, 1, 0.7, 0.8, 1, 0.8, 1.2])


def procedural(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A background of a random kind, or two side by side, seen at an angle, lit unevenly."""

    def one() -> Floats:
        return TEXTURES[int(rng.choice(len(TEXTURES), p=_WEIGHT / _WEIGHT.sum()))](rng, height, width)

    out = one()
    if rng.random() < 0.3:  # another thing beside, below or in front
        other = one()
        mask = np.zeros((height, width), np.float32)
        centre, half = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.15, 0.7, 2) * (width, height)
        quad = centre + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half + rng.normal(0, 0.03 * height, (4, 2))
        cv2.fillPoly(mask, [quad.astype(np.int32)], 1.0, cv2.LINE_AA)
        out = blend(mask, other, out)
    if rng.random() < 0.5:
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        moved = corners + rng.normal(0, 0.12 * height, (4, 2)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(corners, moved)
        seen = cv2.warpPerspective(out, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        out = np.asarray(seen, np.float32)
    return light_up(rng, out)


def light_up(rng: np.random.Generator, picture: Floats) -> Floats:
    """Uneven light, reflections, soft shadows."""
    h, w = picture.shape[:2]
    x, y = _grid(h, w)
    if rng.random() < 0.8:
        slope = rng.normal(0, 0.35, 2)
        picture = picture * np.clip(1 + slope[0] * (x - 0.67) + slope[1] * (y - 0.5), 0.2, 1.8)[..., None]
    if rng.random() < 0.4:
        picture = picture * np.clip(1 + rng.uniform(0.05, 0.35) * fractal(rng, h, w, 1.3, 2), 0.3, 1.7)[..., None]
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.2 else 0):
        cx, cy, size = rng.uniform(0, w / h), rng.uniform(0, 1), log_uniform(rng, 0.01, 0.2)
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))
        picture = picture + (rng.uniform(0.2, 1.0) * spot)[..., None]
    return np.asarray(picture, np.float32)
