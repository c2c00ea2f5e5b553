"""Where a network is trained; accelerate does the work."""

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from edgevid.errors import InputError

Device = Literal["cpu", "cuda", "mps"]


def make_accelerator(device: Device | None, precision: str) -> Accelerator:
    """An accelerator for one job. Without a device: CUDA, MPS or the CPU, the first there is.

    Raises:
        InputError: the device is not there, cannot compute in this precision, or several processes were launched.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device")
    if device == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: torch finds no Metal device")
    # accelerate remembers the first one of a process; a job must not inherit another's precision or loss scale.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(cpu=device == "cpu", mixed_precision=precision)
    except ValueError as error:
        raise InputError(f"precision {precision!r} cannot be had on this device: {error}") from None
    if accelerator.num_processes > 1:
        raise InputError("training in several processes is not offered yet; start it without accelerate launch")
    return accelerator


def channels_last(network: nn.Module) -> None:
    """Lay the filters out as the frames are, channels last: nearly twice as fast on a CPU, and what a GPU likes.

    Strides are set even where a filter has one pixel or one channel and torch would call it laid out so already: which
    kernel computes depends on them, and a network from a file must compute what the same network in memory does.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = torch.empty_like(tensor, memory_format=torch.channels_last).copy_(tensor.data)
