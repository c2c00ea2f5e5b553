"""VideoMAE (Tong et al. 2022) as transformers builds it: in any size, from its own or a published checkpoint, masked.

The networks here take float frames `(B, T, 3, H, W)` in 0..255 and normalise them by ImageNet's figures.
"""

from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from edgevid.errors import InputError
from edgevid.manifest import InputSpec
from edgevid_train.models.teachers.normalised import NormalisedNetwork


class VideoMAESize(BaseModel):
    """A network of its own size. `width` of a token, `heads` and `layers` of the encoder.

    A token stands for a cube: `tubelet` frames of `patch` x `patch` pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=192, gt=0, le=16384)
    layers: int = Field(default=6, gt=0, le=256)
    heads: int = Field(default=3, gt=0)
    patch: int = Field(default=12, gt=0)
    tubelet: int = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        return self

    def fault(self, spec: InputSpec, frames: int) -> str | None:
        """Why an input does not divide into whole cubes, or None when it does."""
        if spec.height % self.patch or spec.width % self.patch:
            return f"an input of {spec.width}x{spec.height} does not divide into patches of {self.patch} pixels"
        if frames % self.tubelet:
            return f"{frames} frames do not divide into tubelets of {self.tubelet}"
        return None


class DecoderSize(BaseModel):
    """The decoder of pre-training, narrower and shallower than the encoder; thrown away afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=96, gt=0)
    layers: int = Field(default=2, gt=0)
    heads: int = Field(default=3, gt=0)

    @model_validator(mode="after")
    def _whole_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        return self


class Reconstruction(NamedTuple):
    """`loss`: mean squared error over the hidden cubes, in units of each cube's own deviation.

    `cubes`: `(B, hidden cubes, tubelet * patch * patch * 3)`, what they are thought to hold, normalised.
    """

    loss: Tensor
    cubes: Tensor


class MaskedVideoMAE(NormalisedNetwork):
    """`VideoMAEForPreTraining`: from the cubes that are left it says what the hidden ones hold.

    The targets are the pixels of each hidden cube, normalised by its own mean and deviation, channel by channel.
    """

    def __init__(self, size: VideoMAESize, decoder: DecoderSize, spec: InputSpec, frames: int) -> None:
        from transformers import VideoMAEForPreTraining

        own = {
            "decoder_hidden_size": decoder.width,
            "decoder_num_hidden_layers": decoder.layers,
            "decoder_num_attention_heads": decoder.heads,
            "decoder_intermediate_size": 4 * decoder.width,
            "norm_pix_loss": True,
        }
        super().__init__(VideoMAEForPreTraining(_config(size, spec, frames, own)))
        self.size = size
        self.steps = frames // size.tubelet

    def forward(self, frames: Tensor, hidden: Tensor) -> Reconstruction:
        """`hidden`: bool `(B, patches of a frame)`, as many in every clip; a tube: the same places in every frame."""
        out = self.network(self.normal(frames), bool_masked_pos=hidden.repeat(1, self.steps))
        return Reconstruction(out.loss, out.logits)


def new_classifier(size: VideoMAESize, spec: InputSpec, frames: int, labels: int) -> Any:
    """`VideoMAEForVideoClassification` with random weights."""
    from transformers import VideoMAEForVideoClassification

    return VideoMAEForVideoClassification(_config(size, spec, frames, {"num_labels": labels}))


def _config(size: VideoMAESize, spec: InputSpec, frames: int, own: dict[str, Any]) -> Any:
    from transformers import VideoMAEConfig

    return VideoMAEConfig(
        image_size=[spec.height, spec.width],
        patch_size=size.patch,
        num_frames=frames,
        tubelet_size=size.tubelet,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        use_mean_pooling=True,
        **own,
    )


def check_size(network: Any, size: VideoMAESize, weights: str) -> None:
    """Raises InputError when a VideoMAE from the checkpoint `weights` is not of this size."""
    inner = network.config
    theirs = VideoMAESize.model_construct(
        width=inner.hidden_size,
        layers=inner.num_hidden_layers,
        heads=inner.num_attention_heads,
        patch=inner.patch_size,
        tubelet=inner.tubelet_size,
    )
    for name, value in theirs:
        if value != getattr(size, name):
            raise InputError(
                f"the checkpoint {weights} has {name} {value}, the recipe's teacher.videomae {getattr(size, name)}"
            )
