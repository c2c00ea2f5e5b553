"""What a masked VideoMAE makes of what it cannot see: figures, and a picture to look at."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from edgevid.files import replacing
from edgevid_train.masked import MaskedBatch
from edgevid_train.models.teachers.masked_videomae import MaskedVideoMAE, from_cubes, normalised, to_cubes
from edgevid_train.models.teachers.videomae import VideoMAESize
from edgevid_train.samples.batch import as_input

_SHOWN = 6
_GREY = 128
_FLAT = 1e-2
"""A guess's deviation is kept above it, since a flat one is no guess."""


@torch.no_grad()
def reconstruction_figures(network: MaskedVideoMAE, batches: Iterable[MaskedBatch]) -> dict[str, float]:
    """Over all hidden cubes of held-out clips.

    Returns: `loss`; `mean`, the loss of whoever says each cube's mean everywhere; `explained`, the share of `mean`
    that the network saves: 0 when it has learned nothing, 1 when it sees through the mask; `interpolated`, the share
    that needs no learning, saved by spreading what is seen over what is hidden.
    """
    device = network.mean.device
    loss = mean = count = 0.0
    products = np.zeros(3)
    for batch in batches:
        moved = batch.to(device)
        frames, hidden = as_input(moved.frames), moved.hidden.repeat(1, network.steps)
        loss += float(network(frames, moved.hidden).loss) * len(batch)
        frames = frames / 255
        targets = normalised(to_cubes(frames, network.size))[hidden]
        mean += float(targets.square().mean()) * len(batch)  # their own mean is 0
        guess = to_cubes(interpolated(frames, moved.hidden, network.size), network.size)
        spread = normalised(guess, _FLAT)[hidden]
        products += [float((a * b).sum()) for a, b in ((targets, spread), (targets, targets), (spread, spread))]
        count += len(batch)
    both, of_targets, of_spread = products.tolist()
    by_interpolation = both * max(both, 0.0) / max(of_targets * of_spread, 1e-9)  # with the factor that suits it best
    return {
        "loss": loss / count,
        "mean": mean / count,
        "explained": 1 - loss / max(mean, 1e-9),
        "interpolated": by_interpolation,
    }


def interpolated(frames: Tensor, hidden: Tensor, size: VideoMAESize) -> Tensor:
    """Of each frame `(B, T, 3, H, W)` every pixel as the mean of those that are seen, the near ones weighing most.

    `hidden`: bool `(B, patches of a frame)`. The weights are a Gaussian of a patch and, where none is near, a wide one.
    """
    height, width = frames.shape[-2:]
    patches = ~hidden.reshape(len(hidden), 1, 1, height // size.patch, width // size.patch)
    seen = patches.repeat_interleave(size.patch, -2).repeat_interleave(size.patch, -1).to(frames.dtype)
    total, mass = torch.zeros_like(frames), torch.zeros_like(seen)
    for reach, weight in ((size.patch, 1.0), (4 * size.patch, 1e-3)):
        rows, columns = (_gaussian(length, reach).to(frames) for length in (height, width))
        total += weight * (rows @ (frames * seen) @ columns)
        mass += weight * (rows @ seen @ columns)
    return total / mass


def _gaussian(length: int, reach: float) -> Tensor:
    places = torch.arange(length, dtype=torch.float32)
    return torch.exp(-(((places[:, None] - places) / reach) ** 2) / 2)


@torch.no_grad()
def draw_reconstruction(network: MaskedVideoMAE, batch: MaskedBatch, path: Path) -> None:
    """Four rows a clip, some of its frames beside each other, as a PNG: as it is, masked, the hidden cubes' means, and
    what the network makes of them.

    The network says what is in a cube relative to its mean and deviation; those are the original's in both last rows.
    """
    size, moved = network.size, batch.to(network.mean.device)
    frames = as_input(moved.frames)
    height, width = frames.shape[-2:]
    cubes = to_cubes(frames, size)
    mean, deviation = cubes.mean(2, keepdim=True), cubes.var(2, keepdim=True).sqrt()
    hidden = moved.hidden.repeat(1, network.steps)
    masked, flat, said = cubes.clone(), cubes.clone(), cubes.clone()
    masked[hidden] = _GREY
    flat[hidden] = mean.expand_as(cubes)[hidden]
    normal = network(frames, moved.hidden).cubes.reshape(-1, *cubes.shape[2:])
    said[hidden] = normal.to(cubes.dtype) * deviation[hidden] + mean[hidden]
    shown = np.linspace(0, frames.shape[1] - 1, min(_SHOWN, frames.shape[1])).round().astype(int)
    rows: list[Any] = []
    versions = [from_cubes(version, size, height, width) for version in (cubes, masked, flat, said)]
    for clip in range(len(batch)):
        for version in versions:
            chosen = version[clip, shown].clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
            rows.append(_beside(list(chosen), 2))
        rows.append(np.full((6, rows[-1].shape[1], 3), 255, np.uint8))
    sheet = np.concatenate(rows[:-1])
    scale = max(1, round(160 / width))
    sheet = np.repeat(np.repeat(sheet, scale, 0), scale, 1)
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1])


def _beside(pictures: list[Any], gap: int) -> Any:
    """Pictures in a row on white, with a gap around each."""
    padded = [np.pad(p, ((0, gap), (0, gap), (0, 0)), constant_values=255) for p in pictures]
    return np.concatenate(padded, 1)
