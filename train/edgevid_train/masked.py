"""Masked video: what is hidden of a clip, and the task of saying what was there (VideoMAE, Tong et al. 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid.preprocess import fit
from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, DecodedClip, DecodeError
from edgevid_train.losses.counts import WHOLE, Counts
from edgevid_train.models.teachers.masked_videomae import DecoderSize, MaskedVideoMAE
from edgevid_train.samples.augment import AugmentConfig, Clip, apply_view, draw_view, fitted
from edgevid_train.samples.batch import Stacked, as_input
from edgevid_train.samples.labelled_clip import sample_at
from edgevid_train.samples.sampler import BatchPlan
from edgevid_train.storage import LostError, shown

Mask = NDArray[np.bool_]

_TRAINING, _HELD_OUT = 2, 3
"""Keep these draws apart from one another and from the phases of distillation."""


class PretrainConfig(BaseModel):
    """`mask`: share of a frame's patches that is hidden, in the same places of every frame (a tube).

    `span_s`: the shortest and the longest time that a clip's frames are spread over. `piece_s`: longer videos are cut
    into pieces of this length; a clip lies within one. `flip`, `reverse`: share of clips that are mirrored, and that
    run backwards. The recipe's `augment` turns, moves and colours them; blur, noise and shake are left out, since
    nobody could foretell those.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mask: float = Field(default=0.9, gt=0, lt=1)
    span_s: tuple[float, float] = (1.0, 3.0)
    piece_s: float = Field(default=10.0, gt=0, le=60)
    flip: float = Field(default=0.5, ge=0, le=1)
    reverse: float = Field(default=0.5, ge=0, le=1)
    decoder: DecoderSize = DecoderSize()

    @field_validator("span_s")
    @classmethod
    def _spans(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1] <= 60:
            raise ValueError("two times of at most 60 s, the shorter one first")
        return value


@dataclass(frozen=True)
class MaskedBatch(Stacked):
    """`frames` uint8 `(B, T, H, W, 3)`, `hidden` bool `(B, patches of a frame)`, row by row."""

    frames: Tensor
    hidden: Tensor

    @classmethod
    def stack(cls, clips: Sequence[tuple[Clip, Mask]]) -> Self:
        frames, masks = zip(*clips, strict=True)
        return cls(torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(masks)))


class MaskedTask(nn.Module):
    """The reconstruction's loss on a `MaskedBatch`."""

    def __init__(self, network: MaskedVideoMAE) -> None:
        super().__init__()
        self.network = network

    def counts(self, batch: MaskedBatch) -> Counts:
        return Counts(clips=len(batch))

    def forward(self, batch: MaskedBatch, shares: Counts = WHOLE) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.network(as_input(batch.frames), batch.hidden).loss * shares.clips
        return loss, {"pixels": loss.detach()}


def hidden_patches(share: float, patches: int) -> int:
    """How many of a frame's patches are hidden. Raises InputError when that is none of them, or all."""
    hidden = round(share * patches)
    if not 0 < hidden < patches:
        raise InputError(
            f"pretrain.mask = {share:g} of {patches} patches a frame hides {hidden}: one at least must be hidden, one "
            "seen; smaller patches or a larger input help"
        )
    return hidden


def tube_mask(rng: np.random.Generator, patches: int, hidden: int) -> Mask:
    """Which patches of every frame are hidden: bool `(patches,)`, exactly `hidden` of them True."""
    mask = np.zeros(patches, bool)
    mask[rng.permutation(patches)[:hidden]] = True
    return mask


@dataclass(frozen=True)
class ClipShape:
    """How a piece of video becomes a clip: the network's input, and what the recipe does to it."""

    config: PretrainConfig
    augment: AugmentConfig
    spec: InputSpec
    frames: int
    patches: int

    def augmented(self, piece: DecodedClip, rng: np.random.Generator) -> Clip:
        """uint8 `(frames, height, width, 3)`."""
        length_s = float(piece.times_s[-1] - piece.times_s[0])
        span_s = min(length_s, rng.uniform(*self.config.span_s))
        chosen = self._at(piece, rng.uniform(0, length_s - span_s), span_s)
        if rng.random() < self.config.reverse:
            chosen = chosen[::-1]
        clip = piece.frames[chosen]
        if rng.random() < self.config.flip:
            clip = clip[:, :, ::-1]
        height, width = clip.shape[1:3]
        view = fitted(draw_view(self.augment, rng, width / height), self.spec, height, width)
        return apply_view(clip, view, self.spec.height, self.spec.width)

    def middle(self, piece: DecodedClip) -> Clip:
        """uint8 `(frames, height, width, 3)`."""
        length_s = float(piece.times_s[-1] - piece.times_s[0])
        span_s = min(length_s, sum(self.config.span_s) / 2)
        chosen = self._at(piece, (length_s - span_s) / 2, span_s)
        return np.stack([fit(piece.frames[i], self.spec) for i in chosen])

    def mask(self, rng: np.random.Generator) -> Mask:
        return tube_mask(rng, self.patches, hidden_patches(self.config.mask, self.patches))

    def _at(self, piece: DecodedClip, after_s: float, span_s: float) -> NDArray[np.intp]:
        start_s = piece.times_s[0] + after_s
        return sample_at(piece.times_s, np.linspace(start_s, start_s + span_s, self.frames))


class MaskedClips:
    """Masked clips of video pieces. Everything random in a clip comes from (seed, turn, index)."""

    def __init__(self, records: Sequence[ClipRecord], cache: ClipCache, seed: int, shape: ClipShape) -> None:
        self.records = records
        self.cache = cache
        self.seed = seed
        self.shape = shape

    def load(self, plan: BatchPlan) -> MaskedBatch:
        return MaskedBatch.stack([self.draw(turn, i) for turn, i in zip(plan.turns, plan.clips, strict=True)])

    def draw(self, turn: int, index: int) -> tuple[Clip, Mask]:
        """An augmented clip from a random time of a piece."""
        rng = np.random.default_rng([self.seed, _TRAINING, turn, index])
        piece = self._piece(index)
        return self.shape.augmented(piece, rng), self.shape.mask(rng)

    def held_out(self, indices: Sequence[int]) -> MaskedBatch:
        """The middle of each of these pieces, unchanged, with a mask of its own: the same every time."""
        masks = [self.shape.mask(np.random.default_rng([self.seed, _HELD_OUT, i])) for i in indices]
        return MaskedBatch.stack(
            [(self.shape.middle(self._piece(i)), mask) for i, mask in zip(indices, masks, strict=True)]
        )

    def _piece(self, index: int) -> DecodedClip:
        try:
            return self.cache.get(self.records[index])
        except DecodeError as error:
            raise LostError(f"{shown(self.records[index].file)} could be read before and cannot now: {error}") from None
