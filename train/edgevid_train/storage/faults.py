"""What can go wrong on the way to an address, and how often it is tried again."""

import time
from collections.abc import Callable
from typing import TypeVar

from edgevid.errors import InputError

WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Before the second, third, … time."""

T = TypeVar("T")


class PassingError(Exception):
    """A fault that may be gone a moment later; the message is the reason, a few words."""


def persistently(attempt: Callable[[], T], where: str, sleep: Callable[[float], object] = time.sleep) -> T:
    """What `attempt` gives, tried again while it raises PassingError.

    Raises:
        InputError: it still does after the last wait; names `where`.
    """
    for wait_s in WAITS_S:
        try:
            return attempt()
        except PassingError:
            sleep(wait_s)
    try:
        return attempt()
    except PassingError as error:
        raise InputError(f"{where}: {error} (tried {len(WAITS_S) + 1} times)") from None
