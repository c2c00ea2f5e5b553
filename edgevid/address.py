"""Addresses, and what in them is nobody's business."""

import re

_USER = re.compile(r"[^/?#]*@|(?!\[)[^/?#@]*:(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
"""User and password before a host: up to the @ there or, where a password holds an unescaped / ? or #, which would end
a host's name, up to the last @ of all. A colon and a number is a port."""


def has_user(address: str) -> bool:
    """Whether a user, and with it perhaps a password, stands in an address."""
    return _USER.match(address.partition("://")[2]) is not None


def printable(address: str) -> str:
    """An address without what may be secret: user, password, query and fragment."""
    scheme, _, rest = address.partition("://")
    user = _USER.match(rest)
    shown = rest[user.end() :] if user else rest
    return f"{scheme}://{re.split('[?#]', shown, maxsplit=1)[0]}"
