"""Asks the C library to keep freed memory for the next training step instead of giving it back to the system.

A step on the CPU frees and takes again gigabytes of activations. glibc returns each large block to the kernel at once,
which then has to find and clear its pages again: a sixth of a step's time on the virtual machine where
`benchmarks/allocator.py` was run.
"""

import ctypes
import sys

# from malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """Do it for this process, where its C library is glibc. Returns: whether that was so.

    Costs: the process keeps its largest size until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(
        mallopt(_M_MMAP_MAX, 0)
        and mallopt(_M_ARENA_MAX, 1)  # the backward pass runs in a thread of its own: one pool for both
        and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        and mallopt(_M_TOP_PAD, 64 << 20)
    )
