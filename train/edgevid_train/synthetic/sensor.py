"""What a small camera makes of a scene: automatic exposure and white balance, lens, noise, compression."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid_train.synthetic.noise import log_uniform, minimum_jerk, wander

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """A camera's habits over one clip of `T` frames at one picture size."""

    gain: Floats  # (T, 3) exposure times white balance
    vignette: Floats | None  # (h, w, 3)
    defocus_px: Floats  # (T,) standard deviation of the blur
    table: NDArray[np.uint8]  # (256,) tone curve
    noise: Floats | None  # (h + 32, w + 32, 3), a random part of which is added to each frame
    jpeg_quality: int | None
    noise_at: NDArray[np.int64]  # (T, 2) which part of the noise

    def expose(self, scene: Floats, frame: int) -> NDArray[np.uint8]:
        """Take `scene (h, w, 3)`, 1.0 is white, as a uint8 RGB picture."""
        h, w = scene.shape[:2]
        picture: Floats = (scene.reshape(h, -1) * np.tile(self.gain[frame] * 255, w)).reshape(h, w, 3)
        if self.vignette is not None:
            picture *= self.vignette
        sigma = float(self.defocus_px[frame])
        if sigma > 0.3:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
        if self.noise is not None:
            y, x = self.noise_at[frame]
            picture += self.noise[y : y + h, x : x + w]
        out = np.clip(picture, 0, 255).astype(np.uint8)
        out = np.asarray(cv2.LUT(out, self.table), np.uint8)
        if self.jpeg_quality is not None:
            bgr = cv2.cvtColor(out, cv2.COLOR_RGB2BGR)
            _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
            decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
            assert decoded is not None  # it was encoded a line above
            out = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
        return out


def random_sensor(
    rng: np.random.Generator, times_s: NDArray[np.float64], width: int, height: int, mean_light: float
) -> Sensor:
    """`mean_light` is the scene's mean level (1.0 is white), which automatic exposure pulls towards the middle."""
    frames = len(times_s)
    auto = rng.uniform(0.0, 0.7)
    level = (np.exp(rng.normal(-0.75, 0.3)) / max(mean_light, 0.03)) ** auto * np.exp(rng.normal(0, 0.2))
    gain = np.full((frames, 3), np.clip(level, 0.25, 4.0))
    gain *= np.exp(wander(rng, times_s, 0.1, 0.8, rng.uniform(0, 0.06)))[:, None]
    if rng.random() < 0.3:  # the exposure settles on a new level
        at, takes = rng.uniform(0, max(float(times_s[-1]), 0.1)), rng.uniform(0.2, 1.2)
        gain *= np.exp(rng.normal(0, 0.45) * minimum_jerk((times_s - at) / takes))[:, None]
    gain *= np.exp(rng.normal(0, 0.06, 3))
    if rng.random() < 0.3:  # so does the white balance
        at, takes = rng.uniform(0, max(float(times_s[-1]), 0.1)), rng.uniform(0.2, 2.0)
        gain *= np.exp(rng.normal(0, 0.1, 3) * minimum_jerk((times_s - at) / takes)[:, None])

    vignette: Floats | None = None
    if rng.random() < 0.5:
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        vignette = (1 - rng.uniform(0.05, 0.4) * (x * x + y * y) / 2).astype(np.float32)
        vignette = np.repeat(vignette[..., None], 3, axis=2)

    unit = height / 120
    defocus = np.full(frames, log_uniform(rng, 0.25, 0.8) * unit if rng.random() < 0.4 else 0.0)
    if rng.random() < 0.12:  # the autofocus hunts
        defocus = defocus + np.abs(wander(rng, times_s, 0.2, 1.0, 0.7 * unit))

    level_in = np.arange(256) / 255
    contrast = rng.uniform(-0.05, 0.75)
    curve = (1 - contrast) * level_in + contrast * level_in**2 * (3 - 2 * level_in)
    curve = rng.uniform(0, 0.06) + curve ** log_uniform(rng, 0.8, 1.25) * rng.uniform(0.9, 1.0)

    noise: Floats | None = None
    strength = log_uniform(rng, 0.5, 7.0)
    if strength > 1.0:
        noise = rng.standard_normal((height + 32, width + 32, 3), dtype=np.float32)
        noise = (noise + noise.mean(axis=2, keepdims=True)) * strength
        if rng.random() < 0.5:  # denoising in the camera leaves blotches
            noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 1.2)) * 1.5, np.float32)
    return Sensor(
        gain=gain.astype(np.float32),
        vignette=vignette,
        defocus_px=defocus.astype(np.float32),
        table=np.clip(curve * 255, 0, 255).astype(np.uint8),
        noise=noise,
        jpeg_quality=int(rng.integers(25, 92)) if rng.random() < 0.6 else None,
        noise_at=rng.integers(0, 32, (frames, 2)),
    )
