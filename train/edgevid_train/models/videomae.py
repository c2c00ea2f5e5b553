"""VideoMAE (Tong et al. 2022) as transformers builds it: in any size, from its own or a published checkpoint, masked.

The networks here take float frames `(B, T, 3, H, W)` in 0..255 and normalise them by ImageNet's figures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError
from torch import Tensor, nn

from edgevid.errors import InputError
from edgevid.manifest import InputSpec


class VideoMAESize(BaseModel):
    """A network of its own size. `width` of a token, `heads` and `layers` of the encoder.

    A token stands for a cube: `tubelet` frames of `patch` x `patch` pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=192, gt=0)
    layers: int = Field(default=6, gt=0)
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


class TransformersNetwork(nn.Module):
    """A network of transformers, `network`, with our normalisation in front.

    Checkpoints hold `network` alone with its config.json, so that they are checkpoints of transformers too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor([0.485, 0.456, 0.406]).view(1, 1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor([0.229, 0.224, 0.225]).view(1, 1, 3, 1, 1), persistent=False)

    def normal(self, frames: Tensor) -> Tensor:
        return (frames - self.mean) / self.std


class Reconstruction(NamedTuple):
    """`loss`: mean squared error over the hidden cubes, in units of each cube's own deviation.

    `cubes`: `(B, hidden cubes, tubelet * patch * patch * 3)`, what they are thought to hold, normalised.
    """

    loss: Tensor
    cubes: Tensor


class MaskedVideoMAE(TransformersNetwork):
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


def load_classifier(weights: str, size: VideoMAESize | None, spec: InputSpec, frames: int, labels: int) -> Any:
    """`VideoMAEForVideoClassification` in float32, with every tensor of its body from the checkpoint `weights`.

    `weights`: a local folder or a hub id. `size`: what it must have, if the recipe says so. A checkpoint for other
    labels, or for none, keeps its body and gets a new classifier.

    Raises:
        InputError: there is no VideoMAE, it is of another size, or it lacks a part of its body.
    """
    from transformers import AutoConfig, VideoMAEForVideoClassification

    local = Path(weights).is_dir()
    where = f"the {'folder' if local else 'hub id or folder'} {weights!r}"
    try:
        with _without_reports():
            inner = AutoConfig.from_pretrained(weights, local_files_only=local, trust_remote_code=False)
            if inner.model_type != "videomae":
                raise InputError(f"teacher weights: {where} holds a {inner.model_type}, not a videomae")
            _check_size(inner, weights, size, spec, frames)
            network, found = VideoMAEForVideoClassification.from_pretrained(
                weights,
                num_labels=labels,
                ignore_mismatched_sizes=True,
                local_files_only=local,
                use_safetensors=True,  # data, not code
                dtype=torch.float32,  # whatever it was saved in: it is trained, and shares its input with the student
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"teacher weights: {where} gives no VideoMAE: {_first_line(error)}") from None
    misfits = [key if isinstance(key, str) else key[0] for key in found["mismatched_keys"]]
    # A size that differs is refused as a name that is missing. Early transformers 5 lost the published checkpoints'
    # q_bias and v_bias in this way, and carried on with zeros (its pull request 48675).
    new = sorted(key for key in (*found["missing_keys"], *misfits) if not key.startswith(("classifier.", "fc_norm.")))
    if new:
        raise InputError(f"teacher weights: {where} lacks {len(new)} tensors of a VideoMAE's body, such as {new[0]}")
    return network


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


def _check_size(inner: Any, weights: str, size: VideoMAESize | None, spec: InputSpec, frames: int) -> None:
    side = inner.image_size
    height, width = (side, side) if isinstance(side, int) else side
    wanted, given = (inner.num_frames, height, width), (frames, spec.height, spec.width)
    if wanted != given:
        raise InputError(
            f"the checkpoint {weights} takes {wanted[0]} frames of {wanted[2]}x{wanted[1]}, "
            f"the recipe gives {given[0]} of {given[2]}x{given[1]}"
        )
    if size is None:
        return
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


@contextmanager
def _without_reports() -> Iterator[None]:
    """transformers draws a bar and prints a table of what it loaded; here one line says what is wrong."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
