"""Addresses, and what in them is nobody's business."""

import re

_USER = re.compile(r"[^/?#]*@|(?!\[)[^/?#@]*:(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
"""User and password before a host: up to the @ there or, where a password holds an unescaped / ? or #, which would end
a host's name, up to the last @ of all. A colon and a number is a port."""


def has_user(address: str) -> bool:
    """Whether a user, and with it perhaps a password, stands in an address."""
    return _USER.match(address.partition("://")[2]) is not None


def printable(address: str, *, ports: bool = True) -> str:
    """An address without what may be secret: user, password, query and fragment.

    `ports`: a colon and a number before a later @ is a port, and the @ a part of the path. Without it the number is
    taken for the beginning of a password, and rather too much is left out.
    """
    scheme, _, rest = address.partition("://")
    user = _USER.match(rest)
    shown = rest[user.end() :] if user else rest
    if not ports and ":" in shown.partition("@")[0]:
        shown = shown.rpartition("@")[2]
    return f"{scheme}://{re.split('[?#]', shown, maxsplit=1)[0]}"
