"""VideoMAE (Tong et al. 2022) as transformers builds it: in any size, from its own or a published checkpoint."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from edgevid.errors import InputError
from edgevid.manifest import InputSpec


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


VIT_B = VideoMAESize(width=768, layers=12, heads=12, patch=16, tubelet=2)
"""That of the published checkpoints."""


def new_classifier(size: VideoMAESize, spec: InputSpec, frames: int, labels: int) -> Any:
    """`VideoMAEForVideoClassification` with random weights."""
    from transformers import VideoMAEForVideoClassification

    return VideoMAEForVideoClassification(_config(size, spec, frames, num_labels=labels))


def new_encoder(size: VideoMAESize, spec: InputSpec, frames: int) -> Any:
    """`VideoMAEModel` with random weights, drawn as VideoMAE's authors do: Xavier's."""
    from transformers import VideoMAEModel

    encoder = VideoMAEModel(_config(size, spec, frames))
    xavier(encoder)
    return encoder


def xavier(network: nn.Module) -> None:
    """Draw the weights of all linear layers anew, uniformly by Glorot and Bengio (2010); biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _config(size: VideoMAESize, spec: InputSpec, frames: int, **own: Any) -> Any:
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
