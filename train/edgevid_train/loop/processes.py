"""Several processes that train one network: who leads, who takes which share, and what all agree on.

They are started by accelerate, on one computer or on each of several:

    accelerate launch --multi_gpu --num_processes 4 -m edgevid train-distill --recipe … --data … --out …
    accelerate launch --multi_gpu --num_processes 2 -m edgevid train-distill --device cpu …
    accelerate launch --multi_gpu --num_machines 2 --machine_rank 0 --main_process_ip HOST \
        --main_process_port 29500 --num_processes 8 -m edgevid train-distill …   (on the other with --machine_rank 1)

(`accelerate launch --cpu` starts a single process, whatever number it is given. `torchrun --nproc_per_node 2 -m
edgevid …` does what the second line does.)

Each takes its share of every batch, of the clips to read and of those held out; `optim.batch` stays the whole batch,
and a step is that of the whole batch. What is not: batch norms take the statistics of each share (`student.norm` may
freeze them; the first process' running ones are kept), and dropout, exits by lot and mixed clips are drawn in each.
`data.cache_mb`, `data.loaders` and `drawn.workers` are each process' own. Only the first writes and speaks. All must
see the data and the folder of the run under the same paths. Alone, a process leads itself and all this does nothing.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from edgevid.errors import EdgevidError
from edgevid_train.loop.interrupt import StoppedError

Item = TypeVar("Item")

LONGEST_WAIT = timedelta(hours=6)
"""For another process, which may have the larger files to read. Of one that has ended, the launcher tells."""
_GRACE_S = 10.0
"""Interpreters end slowly on a busy machine."""


def launched() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; 0 leads."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ.get("RANK", "0")) if launched() > 1 else 0


def leads() -> bool:
    """Whether this process writes and speaks."""
    return rank() == 0


def own(items: Sequence[Item]) -> Sequence[Item]:
    """This process' share of what is shared out one by one."""
    return items[rank() :: count()]


def joined(shares: Sequence[Sequence[Item]]) -> list[Item]:
    """What `own` shared out, in its order again."""
    longest = max(map(len, shares))
    return [share[i] for i in range(longest) for share in shares if i < len(share)]


def gathered(value: Item) -> list[Item]:
    """The value of each process, in order. All must ask."""
    if count() == 1:
        return [value]
    values: list[Item | None] = [None] * count()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def together(work: Callable[[], Item]) -> list[Item]:
    """What each process makes of its share. Raises StoppedError in all of them when one was stopped."""
    try:
        mine, stopped = [work()], ""
    except StoppedError as error:
        mine, stopped = [], str(error)
    every = gathered((mine, stopped))
    for _, why in every:
        if why:
            raise StoppedError(why)
    return [value for values, _ in every for value in values]


def wait() -> None:
    """Until all have come this far."""
    gathered(None)


def sums(values: Sequence[float]) -> list[float]:
    """The sums over all processes; each gives as many."""
    return [sum(column) for column in zip(*gathered(tuple(values)), strict=True)]


@torch.no_grad()
def same_everywhere(tensors: Iterable[Tensor]) -> None:
    """Give every process what the first one has."""
    if count() > 1:
        for tensor in tensors:
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)


@torch.no_grad()
def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the sum of all gradients. A parameter without one in every process keeps none.

    Not torch's DistributedDataParallel: that wants as many backward passes everywhere, and a process that runs out of
    memory makes more of them, with fewer clips each.
    """
    if count() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    known = torch.tensor([p.grad is not None for p in trained], dtype=torch.float32, device=trained[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    flat = torch.cat([known, *(gradient.float().flatten() for gradient in gradients)])
    dist.all_reduce(flat)
    known, *parts = torch.split(flat, [len(trained), *(p.numel() for p in trained)])
    for p, gradient, part, anywhere in zip(trained, gradients, parts, known.tolist(), strict=True):
        if anywhere:
            p.grad = gradient.copy_(part.view(p.shape))


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """What ends all processes is told once, by the first; what ends another one alone, by that one and a little later.

    The launcher ends the others as soon as one has ended.
    """
    try:
        yield
    except StoppedError as error:
        if leads():
            raise
        raise SystemExit(error.exit_status) from None
    except EdgevidError as error:
        if leads():
            raise
        time.sleep(_GRACE_S)
        raise type(error)(f"process {rank()}: {error}") from None
    except Exception:
        if launched() > 1:  # most likely another one has ended, and this one will be
            time.sleep(_GRACE_S)
        raise
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
