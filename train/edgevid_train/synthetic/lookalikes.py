"""Things in the room that are no hand and look a little like one: posts, poles, branches, pens, rails, rolled cloth.

An eye that has only ever seen one finger-like thing in a picture finds fingers wherever something is long and brown.
"""

import numpy as np

from edgevid_train.synthetic.looks import skin_tone
from edgevid_train.synthetic.noise import fractal, log_uniform
from edgevid_train.synthetic.textures import Floats, blend, colour


def add_lookalikes(rng: np.random.Generator, picture: Floats) -> Floats:
    """The picture `(h, w, 3)` with one to six long, round-ended things in it, some of them the colour of skin."""
    family = skin_tone(rng) if rng.random() < 0.4 else None
    upright = rng.random() < 0.6
    for _ in range(int(rng.integers(1, 7))):
        tone = family if family is not None and rng.random() < 0.7 else colour(rng)
        angle = np.pi / 2 + rng.normal(0, 0.12) if upright else rng.uniform(0, np.pi)
        picture = _thing(rng, picture, np.asarray(tone, np.float32), angle)
    return picture


def _thing(rng: np.random.Generator, picture: Floats, tone: Floats, angle: float) -> Floats:
    h, w = picture.shape[:2]
    x, y = (np.arange(w, dtype=np.float32) / h)[None], (np.arange(h, dtype=np.float32) / h)[:, None]
    length, thick = log_uniform(rng, 0.12, 1.2), log_uniform(rng, 0.012, 0.08)
    thin = thick * rng.uniform(0.5, 1.0)
    way = np.array([np.cos(angle), np.sin(angle)]) * length
    start = rng.uniform((0, 0), (w / h, 1)) - way / 2
    along = np.clip(((x - start[0]) * way[0] + (y - start[1]) * way[1]) / length**2, 0, 1)
    aside = np.hypot(x - start[0] - along * way[0], y - start[1] - along * way[1])
    radius = thick + (thin - thick) * along
    mask = np.clip((radius - aside) * h / 1.5 + 0.5, 0, 1)
    across = ((x - start[0]) * way[1] - (y - start[1]) * way[0]) / length / radius
    lit = 1 - rng.uniform(0.1, 0.6) * np.clip(across - rng.uniform(-0.8, 0.8), -1, 1) ** 2
    surface = 1 + rng.uniform(0, 0.25) * fractal(rng, h, w, rng.uniform(4, 20), 2)
    return blend(mask.astype(np.float32), tone * (lit * surface)[..., None].astype(np.float32), picture)
