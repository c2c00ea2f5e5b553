"""Names of files that are addresses: `https:/host/data/a.mp4` for what `https://host/data/a.mp4` is."""

import re
from pathlib import Path
from urllib.parse import quote

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.DOTALL)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def address_of(file: Path) -> str | None:
    """The address that a name stands for, quoted as addresses are over HTTP; None where it is a path."""
    found = _ADDRESS.fullmatch(file.as_posix())
    if found is None:
        return None
    scheme, rest = found.groups()
    if scheme in ("http", "https"):
        # What a person typed may be quoted already; what a table says is not.
        rest = quote(_LONE_PERCENT.sub("%25", rest), safe="/%:@?=&~+,;!$'()*[]")
    return f"{scheme}://{rest}"


def shown(file: Path) -> str:
    """For messages: the address without what may be secret (user, password, query), or the path."""
    address = address_of(file)
    return str(file) if address is None else printable(address)


def printable(address: str) -> str:
    """Without user, password and query."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def absolute(path: Path) -> Path:
    """So that it may be used from anywhere. An address is that already."""
    return path if address_of(path) else path.absolute()
