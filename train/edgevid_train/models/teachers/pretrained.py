"""Weights that others trained, into networks that others build: from a folder, a file, a hub or an address."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edgevid.errors import InputError, first_line
from edgevid.manifest import InputSpec
from edgevid_train.models.backbones import read_state
from edgevid_train.models.teachers.networks import SIZE_NAMES
from edgevid_train.models.teachers.table import TEACHERS, Library, Published

NAMES = {"videomae": "VideoMAE", "timesformer": "TimeSformer", "vivit": "ViViT", "vjepa2": "V-JEPA 2"}


def load_transformers(kind: str, weights: str, spec: InputSpec, frames: int, labels: int, head: tuple[str, ...]) -> Any:
    """A classifier of transformers in float32, with every tensor of its body from the checkpoint `weights`.

    `weights`: a local folder or a hub id. A checkpoint for other labels, or for none, keeps its body and gets new
    modules where `head` says so.

    Raises:
        InputError: there is no such network, it takes another clip, or it lacks a part of its body.
    """
    from transformers import AutoConfig, AutoModelForVideoClassification

    local, name = Path(weights).is_dir(), NAMES[kind]
    where = f"the {'folder' if local else 'hub id or folder'} {weights!r}"
    try:
        with _without_reports():
            inner = AutoConfig.from_pretrained(weights, local_files_only=local, trust_remote_code=False)
            if inner.model_type != kind:
                raise InputError(f"teacher weights: {where} holds a {inner.model_type}, not a {kind}")
            _check_clip(inner, kind, weights, spec, frames)
            network, found = AutoModelForVideoClassification.from_pretrained(
                weights,
                num_labels=labels,
                ignore_mismatched_sizes=True,
                local_files_only=local,
                use_safetensors=True,  # data, not code
                dtype=torch.float32,  # whatever it was saved in: it is trained, and shares its input with the student
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"teacher weights: {where} gives no {name}: {first_line(error)}") from None
    misfits = [key if isinstance(key, str) else key[0] for key in found["mismatched_keys"]]
    # A size that differs is refused as a name that is missing. Early transformers 5 lost the published checkpoints'
    # q_bias and v_bias in this way, and carried on with zeros (its pull request 48675).
    new = sorted(key for key in (*found["missing_keys"], *misfits) if not _within(key, head))
    if new:
        raise InputError(f"teacher weights: {where} lacks {len(new)} tensors of a {name}'s body, such as {new[0]}")
    return network


def load_state_file(network: nn.Module, kind: str, weights: str) -> None:
    """Load weights of torchvision or pytorchvideo, for other labels too, whose classifier then stays new.

    `weights`: `auto` or `hub` (those of the table of teachers), a file with a state dict, or a folder with a
    `model.safetensors`.

    Raises:
        InputError: they cannot be had, are damaged, or do not fit the network's body.
    """
    published = TEACHERS[kind].published
    assert published is not None
    if weights in ("auto", "hub"):
        state = _download(published.library, TEACHERS[kind].source, kind)
    else:
        path = Path(weights)
        file = path / "model.safetensors" if path.is_dir() else path
        if not file.is_file():
            raise InputError(f"teacher weights {weights!r}: neither hub, none, a file nor a folder with {file.name}")
        state = read_state(file)
    _load_body(network, state, published, weights)


def _load_body(network: nn.Module, state: Mapping[str, Tensor], published: Published, where: str) -> None:
    own = network.state_dict()
    fits = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    others = sorted(name for name in {*own, *state} - {*fits} if not _within(name, published.head))
    if others:
        raise InputError(
            f"teacher weights {where!r} do not fit the recipe's teacher and its input: "
            f"{len(others)} tensors of the body differ, such as {others[0]}"
        )
    network.load_state_dict({**own, **fits})


def _download(library: Library, source: str, kind: str) -> dict[str, Tensor]:
    try:
        if library == "torchvision":
            from torchvision.models import get_weight

            state: dict[str, Tensor] = get_weight(source).get_state_dict(progress=False, weights_only=True)
        else:
            state = torch.hub.load_state_dict_from_url(source, map_location="cpu", progress=False, weights_only=True)
            state = state["model_state"]  # type: ignore[assignment]  # pytorchvideo's files hold more than the weights
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the weights of {kind} cannot be had from {source} ({type(error).__name__}); "
            "set teacher.weights to a file, a folder or 'none'"
        ) from None
    return state


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))


def _check_clip(inner: Any, kind: str, weights: str, spec: InputSpec, frames: int) -> None:
    side, count = (getattr(inner, name) for name in SIZE_NAMES[kind])
    height, width = (side, side) if isinstance(side, int) else side
    wanted, given = (count, height, width), (frames, spec.height, spec.width)
    if wanted != given:
        raise InputError(
            f"the checkpoint {weights} takes {wanted[0]} frames of {wanted[2]}x{wanted[1]}, "
            f"the recipe gives {given[0]} of {given[2]}x{given[1]}"
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
