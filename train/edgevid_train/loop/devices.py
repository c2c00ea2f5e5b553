"""Where a network computes; of training accelerate does the work."""

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import nn

from edgevid.errors import InputError, first_line
from edgevid_train.loop.processes import LONGEST_WAIT, launched

Device = Literal["cpu", "cuda", "mps"]

_OFFERED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def find_device(device: Device | None) -> torch.device:
    """The one that is meant; without a name CUDA, MPS or the CPU, the first there is.

    Raises:
        InputError: it is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is not None and not there[device]:
        kind = {"cuda": "CUDA", "mps": "Metal"}[device]
        raise InputError(f"--device {device}: torch finds no {kind} device")
    best = next(kind for kind, here in there.items() if here)
    return torch.device(device or best)


def make_accelerator(device: Device | None, precision: str) -> Accelerator:
    """An accelerator for one job, of this process or of all that were launched with it.

    Without a device: CUDA, MPS or the CPU, the first there is.

    Raises:
        InputError: the device is not there, cannot compute in this precision, or is not for several processes; or
            these did not come together.
    """
    find_device(device)
    # accelerate remembers the first one of a process; a job must not inherit another's precision or loss scale.
    AcceleratorState._reset_state(reset_partial_state=True)
    alone = launched() == 1
    cpu = device == "cpu" or not (alone or torch.cuda.is_available())
    try:
        group = [InitProcessGroupKwargs(timeout=LONGEST_WAIT)]
        accelerator = Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=group)
    except ValueError as error:
        raise InputError(f"precision {precision!r} cannot be had on this device: {error}") from None
    except RuntimeError as error:
        if alone:
            raise
        reason = first_line(error)
        raise InputError(f"the {launched()} processes did not come together: {reason}") from None
    if accelerator.distributed_type not in _OFFERED or accelerator.num_processes != launched():
        kind = accelerator.distributed_type.value
        raise InputError(
            f"{launched()} processes were launched, {accelerator.num_processes} would train together by {kind}: "
            "configure accelerate for MULTI_GPU or for MULTI_CPU (--cpu), without DeepSpeed, FSDP or Megatron"
        )
    if precision == "fp16" and accelerator.device.type == "cpu":
        # accelerate would compute in 32 bits and say nothing
        raise InputError("precision fp16 needs a CUDA or Metal device; on the CPU use bf16, or no")
    return accelerator


def channels_last(network: nn.Module) -> None:
    """Lay the filters out as the frames are, channels last: nearly twice as fast on a CPU, and what a GPU likes.

    Filters through time gain less: a step of X3D-XS takes a fifth to a quarter less time.

    Strides are set even where a filter has one pixel or one channel and torch would call it laid out so already: which
    kernel computes depends on them, and a network from a file must compute what the same network in memory does.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.ndim)
        if layout is not None:
            tensor.data = torch.empty_like(tensor, memory_format=layout).copy_(tensor.data)
