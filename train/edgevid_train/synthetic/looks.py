"""Skin, nails, clothes and the light on them, by lot."""

import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.noise import fractal
from edgevid_train.synthetic.relief import Look
from edgevid_train.synthetic.textures import colour

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


def skin_tone(rng: np.random.Generator) -> NDArray[np.float64]:
    """Somebody's skin, RGB `(3,)` in 0..1."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = np.array([np.interp(tone, np.arange(len(_SKIN)), _SKIN[:, c]) for c in range(3)])
    return np.asarray(np.clip(skin * np.exp(rng.normal(0, 0.06, 3)), 0.03, 1.0))


def random_look(rng: np.random.Generator, scene_level: float, height: int) -> Look:
    """Skin, clothes and light of one arm in a room of that mean brightness."""
    skin = skin_tone(rng)
    nail = colour(rng) if rng.random() < 0.1 else np.clip(skin * 1.15 + (0.08, 0.03, 0.03), 0, 1)
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
