"""What can go wrong on the way to an address, how often it is tried again, and when a run has to stop for it."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from edgevid.errors import InputError
from edgevid.interrupts import pending

RETRY_SETTING = "EDGEVID_RETRY_S"
"""Environment variable: how long a server that has answered before is waited for, in seconds."""
DEFAULT_RETRY_S = 60
WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Before the second, third, … time; also where nobody has ever answered, most likely since the address is wrong."""
_LATER_S = 8.0
"""Between the times after these."""

T = TypeVar("T")


class PassingError(Exception):
    """A fault that may be gone a moment later; the message is the reason, a few words.

    `unreachable`: nobody answers, or nobody who would know; else it may be this one file's fault. `unknown`: the host
    has no address, which passes only where it had one.
    """

    def __init__(self, reason: str, *, unreachable: bool = False, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unreachable = unreachable or unknown
        self.unknown = unknown


class LostError(InputError):
    """What was being read cannot be reached any more. No fault of a file: a run stops, saved, and is resumed later."""


@dataclass
class Hosts:
    """Who has answered this process, and how often something was tried again."""

    answered: set[str] = field(default_factory=set)
    tried_again: int = 0
    _told: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def again(self, host: str, error: PassingError, waited_s: float, limit_s: float) -> None:
        """Count it; where it takes long, tell, once."""
        with self._lock:
            self.tried_again += 1
            if not sum(WAITS_S) <= waited_s < limit_s or host in self._told:
                return
            self._told.add(host)
        print(f"edgevid: {host}: {error}; trying for {limit_s:g} s ({RETRY_SETTING})", file=sys.stderr, flush=True)


HOSTS = Hosts()


def persistently(
    attempt: Callable[[], T], where: str, sleep: Callable[[float], object] = time.sleep, hosts: Hosts = HOSTS
) -> T:
    """What `attempt` gives, tried again while it raises PassingError, after growing waits: for some seconds, and where
    nobody answers who has answered before, for as long as `EDGEVID_RETRY_S` says.

    Raises:
        LostError: nobody answers after the last wait; names `where`.
        InputError: somebody does, and this fault stays; or the setting is no time.
    """
    host = where.partition("://")[2].partition("/")[0]
    limit_s = float(retry_s()) if host in hosts.answered else sum(WAITS_S)
    waited_s, tries = 0.0, 1
    waits = _waits(limit_s)
    while True:
        try:
            found = attempt()
        except PassingError as error:
            never = error.unknown and host not in hosts.answered
            enough = tries > len(WAITS_S) and not error.unreachable
            wait_s = None if never or enough else next(waits, None)
            if wait_s is None:
                kind = LostError if error.unreachable else InputError
                if error.unreachable:
                    hosts.answered.discard(host)  # whoever asks next need not wait as long
                raise kind(f"{where}: {error}" + (f" (tried {tries} times)" if tries > 1 else "")) from None
            hosts.again(host, error, waited_s, limit_s)
            if pending():
                raise LostError(f"{where}: interrupted") from None
            sleep(wait_s)
            waited_s, tries = waited_s + wait_s, tries + 1
        else:
            hosts.answered.add(host)
            return found


def retry_s() -> int:
    """What the setting says. Raises InputError."""
    text = os.environ.get(RETRY_SETTING, str(DEFAULT_RETRY_S))
    if not text.isdecimal() or len(text) > 5:
        raise InputError(f"{RETRY_SETTING}={text!r}: seconds for which a lost connection is tried again, 0 to 99999")
    return int(text)


def _waits(limit_s: float) -> Iterator[float]:
    """The short ones, then more of them up to the limit."""
    yield from WAITS_S
    left_s = limit_s - sum(WAITS_S)
    while left_s > 0:
        yield min(_LATER_S, left_s)
        left_s -= _LATER_S
