"""What stands in a checkpoint's folder, and how it is written."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from edgevid.errors import InputError, first_fault, first_line
from edgevid.files import replacing
from edgevid_train.models.teachers.normalised import NormalisedNetwork
from edgevid_train.recipe import Recipe

WEIGHTS, RECIPE, INFO, TRAINER = "model.safetensors", "recipe.toml", "checkpoint.json", "trainer.pt"
MEMBERS = "members"

Kind = Literal["student", "teacher", "pretrained"]
"""`pretrained`: a VideoMAE that has seen videos and no label."""


class SplitInfo(BaseModel):
    """What the weights have seen. `name` is for people: `fold 1 of 5`, `all clips`.

    `trained_on`: marks of the recordings (see `marks`), those of a given teacher's and of earlier weights' among them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    train_clips: int
    val_clips: int
    train_groups: tuple[str, ...]
    val_groups: tuple[str, ...]
    trained_on: tuple[str, ...] = ()


class CheckpointInfo(BaseModel):
    """What stands in `checkpoint.json`. `weights_from`: where the backbone's weights came from before training.

    `labels`: none of what was only pre-trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    kind: Kind
    labels: tuple[str, ...]
    weights_from: str
    split: SplitInfo
    epoch: int = 0
    step: int = 0
    finished: bool = False
    metrics: dict[str, float] = {}
    edgevid: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """What is written: `trainer` is None for a checkpoint that nobody resumes from."""

    network: nn.Module
    recipe: Recipe
    info: CheckpointInfo
    trainer: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Write the folder as a whole, replacing an older one in one step. Raises InputError when that fails."""
        with replacing(folder) as temporary, _told_as_os_errors():
            temporary.mkdir()
            network = kept_part(self.network)
            config: Any = getattr(network, "config", None)
            if isinstance(self.network, NormalisedNetwork) and hasattr(config, "save_pretrained"):
                config.save_pretrained(temporary)
            state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            save_file(state, temporary / WEIGHTS, {"format": "pt"})  # transformers asks for the metadata
            (temporary / RECIPE).write_text(self.recipe.to_toml(), encoding="utf-8")
            (temporary / INFO).write_text(self.info.model_dump_json(indent=2) + "\n", encoding="utf-8")
            if self.trainer is not None:
                torch.save(self.trainer, temporary / TRAINER)


@contextlib.contextmanager
def _told_as_os_errors() -> Iterator[None]:
    """A full disk has other names where compiled code writes."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(first_line(error)) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in ("unexpected pos", "PytorchStreamWriter", "iostream error")):
            raise
        raise OSError("not all of it could be written; is the disk full?") from error


def kept_part(network: nn.Module) -> nn.Module:
    """The part of a network whose weights a checkpoint holds: of one that others build that itself, not our frame."""
    inner: nn.Module = network.network if isinstance(network, NormalisedNetwork) else network
    return inner


def read_info(folder: Path, kind: str) -> CheckpointInfo:
    """Raises InputError when `checkpoint.json` is missing, malformed or of another kind."""
    info = parsed_info(folder)
    if info.kind != kind:
        raise InputError(f"{folder} is the checkpoint of a {info.kind}, not of a {kind}")
    return info


def labels_of_checkpoint(folder: Path) -> tuple[str, ...]:
    """What its network answers with; nothing where that is not said. Raises InputError as `parsed_info`."""
    return parsed_info(folder).labels if (folder / INFO).exists() else ()


def parsed_info(folder: Path) -> CheckpointInfo:
    path = folder / INFO
    try:
        return CheckpointInfo.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        place, what = first_fault(error)
        raise InputError(f"{path}: {place + ': ' if place else ''}{what}") from None
