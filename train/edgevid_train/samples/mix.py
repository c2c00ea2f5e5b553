"""MixUp and CutMix for streams: two clips in one, the same way in all of their frames, and both their labels.

torchvision's transforms of these names mix one tensor and one label a sample; a stream has the teacher's frames too,
and a target at every step.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from edgevid_train.samples.batch import Batch, StepTargets


class MixConfig(BaseModel):
    """`mixup` (Zhang et al. 2018) and `cutmix` (Yun et al. 2019): alpha of the Beta distribution from which a batch's
    weight of the first clip is drawn, 0 for none. Where both are given, one of them by lot. `share`: of batches.

    The teacher sees the same mixture as the student. With several processes, clips of the same process are mixed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mixup: float = Field(default=0.0, ge=0, le=100)
    cutmix: float = Field(default=0.0, ge=0, le=100)
    share: float = Field(default=1.0, ge=0, le=1)


@dataclass(frozen=True)
class Mixture:
    """Each clip of a batch with the one `shift` places after it.

    `weight`: of the clip itself. `box`: top, bottom, left and right of what is cut out of the other, in 0..1 of the
    picture; without one all of it shines through.
    """

    shift: int
    weight: float
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def draw(cls, config: MixConfig, clips: int, rng: np.random.Generator) -> "Mixture | None":
        """None where this batch, of so many clips, is left as it is."""
        if not (config.mixup or config.cutmix) or clips < 2 or rng.random() >= config.share:
            return None
        cut = bool(config.cutmix) and (not config.mixup or rng.random() < 0.5)
        alpha = config.cutmix if cut else config.mixup
        shift, weight = int(rng.integers(1, clips)), float(rng.beta(alpha, alpha))
        if not cut:
            return cls(shift, weight)
        half = np.sqrt(1 - weight) / 2
        y, x = rng.random(2)
        top, bottom, left, right = np.clip([y - half, y + half, x - half, x + half], 0, 1)
        return cls(shift, weight, (float(top), float(bottom), float(left), float(right)))


def mixed(batch: Batch, mixture: Mixture) -> Batch:
    """A batch whose targets are shares of labels (see `Batch.in_shares`), mixed.

    A step is asked for both clips' labels, as much as each is asked for there; the teacher's answer counts where both
    clips' does, and what it has inside where both clips' actions are. Nobody knows where the hand points then.
    """
    frames, weight = _frames(batch.frames, mixture)
    teacher_frames, _ = _frames(batch.teacher_frames, mixture)
    steps = batch.steps

    def other(x: Tensor) -> Tensor:
        return x.roll(-mixture.shift, 0)

    own, theirs = weight * steps.weights, (1 - weight) * other(steps.weights)
    asked = own + theirs
    targets = (own.unsqueeze(-1) * steps.targets + theirs.unsqueeze(-1) * other(steps.targets)) / asked.clamp(
        min=1e-12
    ).unsqueeze(-1)
    return replace(
        batch,
        frames=frames,
        teacher_frames=teacher_frames,
        steps=StepTargets(
            targets=targets,
            weights=asked,
            decisive=steps.decisive & other(steps.decisive),
            places=torch.full_like(steps.places, torch.nan),
            pointing=torch.full_like(steps.pointing, torch.nan),
            progress=steps.progress.masked_fill(other(steps.progress).isnan(), torch.nan),
        ),
        labels=weight * batch.labels + (1 - weight) * other(batch.labels),
        teacher_places=torch.full_like(batch.teacher_places, torch.nan),
    )


def _frames(frames: Tensor, mixture: Mixture) -> tuple[Tensor, float]:
    """Uint8 `(B, T, H, W, 3)` mixed, and the share of each picture that is the clip's own."""
    if mixture.box is None:
        found = torch.empty_like(frames)
        for i in range(len(frames)):  # one at a time: as floats they are four times as large
            other = frames[(i + mixture.shift) % len(frames)]
            found[i] = torch.lerp(other.float(), frames[i].float(), mixture.weight).round()
        return found, mixture.weight
    height, width = frames.shape[2:4]
    top, bottom = (round(at * height) for at in mixture.box[:2])
    left, right = (round(at * width) for at in mixture.box[2:])
    found = frames.clone()
    found[:, :, top:bottom, left:right] = frames.roll(-mixture.shift, 0)[:, :, top:bottom, left:right]
    return found, 1 - (bottom - top) * (right - left) / (height * width)
