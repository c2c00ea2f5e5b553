"""Tensors from a checkpoint's files into a network: every one, or those that fit; and a trainer's own state."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgevid.errors import InputError, first_line
from edgevid_train.checkpoint.format import TRAINER, WEIGHTS


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a safetensors file into `network`, every tensor of both. Raises InputError when they do not fit."""
    load_state(network, _read(path), str(path))


def load_fitting(
    network: nn.Module, path: Path, theirs: Sequence[str] = (), ours: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """Load those tensors of a safetensors file that `network` has too, by name and shape.

    Where the file's network answers with the labels `theirs` and this one with `ours`, what a label has learned goes to
    the same label; one that the file does not know stays as it is.

    Returns: how many, and the names of the network's others, which stay as they are.

    Raises:
        InputError: not a file of weights, or none of them fits.
    """
    state, own = _read(path), network.state_dict()
    if theirs and ours and tuple(theirs) != tuple(ours):
        state |= {
            name: _by_label(value, own[name], theirs, ours)
            for name, value in state.items()
            if name in own and _answers(name, value, own[name], len(theirs), len(ours))
        }
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    if not fitting:
        raise InputError(f"{path}: none of its tensors fits the recipe's network")
    network.load_state_dict({**own, **fitting})
    return len(fitting), [name for name in own if name not in fitting]


def _answers(name: str, value: Tensor, own: Tensor, theirs: int, ours: int) -> bool:
    """Whether these are weights or biases of the layer that gives one answer a label."""
    last = {"decide", "head", "classifier", "fc", "proj"} & set(name.split("."))
    sizes = value.dim() > 0 and (len(value), len(own)) == (theirs, ours)
    return bool(last) and sizes and value.shape[1:] == own.shape[1:]


def _by_label(value: Tensor, own: Tensor, theirs: Sequence[str], ours: Sequence[str]) -> Tensor:
    moved = own.clone()
    for row, label in enumerate(ours):
        if label in theirs:
            moved[row] = value[theirs.index(label)]
    return moved


def load_state(network: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Raises InputError when a tensor is missing, left over or of another shape; it names the first."""
    own = network.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is not of its network" for name in state if name not in own]
    faults += [
        f"{name} is of shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    if faults:
        others = f", and {len(faults) - 1} such faults more" if len(faults) > 1 else ""
        raise InputError(f"{where} does not fit its recipe: {faults[0]}{others}")
    network.load_state_dict(state)


def load_trainer(folder: Path) -> dict[str, Any]:
    """What `last` holds for a resume. Raises InputError when it is missing or damaged."""
    path = folder / TRAINER
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: there is nothing to resume from") from None
    except Exception as error:  # torch raises whatever the damaged bytes provoke
        raise InputError(f"{path} is damaged ({type(error).__name__}): it cannot be resumed from") from None
    return state


def digest_of_weights(path: Path) -> str:
    """Tells whether all weights in a run, in a checkpoint, or in their file are those of another time or place."""
    told = hashlib.sha256()
    for file in sorted(path.rglob(WEIGHTS)) if path.is_dir() else [path]:
        told.update(f"{file.relative_to(path)}\n".encode())
        with file.open("rb") as opened:
            told.update(hashlib.file_digest(opened, "sha256").digest())
    return told.hexdigest()[:16]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as weights: {first_line(error)}") from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise InputError(f"{path}: {name} holds NaN or infinity: the weights are damaged")
    return state
