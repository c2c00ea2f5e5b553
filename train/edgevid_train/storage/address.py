"""Names of files that are addresses: `https:/host/data/a.mp4` for what `https://host/data/a.mp4` is."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from edgevid.address import has_user, printable
from edgevid.errors import InputError
from edgevid_train.storage import signatures

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.DOTALL)
_WRITTEN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.*", re.DOTALL)
_HTTP = re.compile(r"(https?):/{1,2}([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL | re.IGNORECASE)
_FILE = re.compile(r"file:(?://([^/]*)(?=/)|(?!//))(/.*)", re.DOTALL | re.IGNORECASE)
_LOGIN = re.compile(r"(?:ftps?|sftp|ssh|scp|smb|davs?|hdfs|webhdfs)://[^/?#@]*:.*@", re.DOTALL | re.IGNORECASE)
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_written(text: str) -> bool:
    """Whether a text is an address and no path, as people and tables write them."""
    return _WRITTEN.fullmatch(text) is not None or _FILE.fullmatch(text) is not None


def named(text: str) -> Path:
    """The name for what a person or a table writes: a path, an address, or a path as one (`file:///data/a%20b.mp4`).

    What follows the `?` of an http(s) address, which may sign it, is no part of the name: see
    `edgevid_train.storage.signatures`.

    Raises:
        InputError: a file of another computer, a password or `..` in an address, or no address at all.
    """
    if not text.strip():
        raise InputError("an empty path names no data")
    local = _FILE.fullmatch(text)
    if local is not None:
        return _local(local[1] or "", local[2])
    found = _HTTP.fullmatch(text)
    if found is None:
        if text.lower().startswith("file:/"):
            raise InputError(f"{_told(text)}: a file's address is file:///folder/file")
        if _WRITTEN.fullmatch(text) is not None:
            _check(text, text, "let the provider's own settings or environment hold them")
        return Path(text)
    scheme, host, path, query = found.groups()
    if not host.rpartition("@")[2]:
        raise InputError(f"{scheme}:// without a host is no address")
    instead = "give a signed address (…?signature), whose signature is not kept"
    _check(f"{scheme}://{host}{text[found.end(2) :]}", path, instead)
    name = Path(f"{scheme.lower()}://{host}{path}")
    if query:
        signatures.sign(_bare(name), query)
    return name


def _check(address: str, path: str, instead: str) -> None:
    """Refuse what a name must not hold: a run keeps it, and what is made of it is put below a folder of ours."""
    told = _told(printable(address))
    over_http = _HTTP.fullmatch(address) is not None  # elsewhere an @ may part a container from its account
    if has_user(address) if over_http else _LOGIN.match(address):
        raise InputError(f"{told}: user and password stand in the address, which a run would keep; {instead}")
    if ".." in path.split("/"):
        raise InputError(f"{told}: an address has no ..; write what it leads to")


def _local(host: str, path: str) -> Path:
    if host.lower() not in ("", "localhost"):
        where = _told(f"file://{host}{path}")
        raise InputError(f"{where}: a file of another computer; a file here is file:///…, three slashes")
    decoded = os.fsdecode(unquote_to_bytes(path))
    if "\0" in decoded:
        raise InputError(f"file://{_told(path)}: cannot be a file's name")
    return Path(decoded)


def _told(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def address_of(file: Path) -> str | None:
    """The address that a name stands for, quoted as addresses are over HTTP; None where it is a path."""
    found = _ADDRESS.fullmatch(file.as_posix())
    if found is None:
        return None
    scheme, rest = found.groups()
    if scheme in ("http", "https"):
        # What a person typed may be quoted already; what a table says is not.
        rest = quote(_LONE_PERCENT.sub("%25", rest), safe="/%:@=&~+,;!$'()*[]")
    return f"{scheme}://{rest}"


def is_signed(file: Path) -> bool:
    """Whether this process was told the query of an address."""
    return bool(signatures.query_of(_bare(file)))


def sign_as(file: Path, other: Path) -> None:
    """What a table or a pattern names beside itself is asked for with its own query, unless it has another one."""
    query = signatures.query_of(_bare(other))
    if query and not is_signed(file):
        signatures.sign(_bare(file), query)


def _bare(file: Path) -> str:
    """What a query belongs to: for a member of a shard the shard's address."""
    shard = next((parent for parent in file.parents if parent.suffix.lower() == ".tar"), file)
    return address_of(shard) or ""


def shown(file: Path) -> str:
    """For messages: the address without what may be secret (user, password, query), or the path."""
    address = address_of(file)
    if address is None:
        return str(file)
    if address.startswith(("http://", "https://")):  # in which a question mark of the name is quoted already
        address = address_of(Path(file.as_posix().partition("?")[0])) or address
    return printable(address).replace("%7B", "{").replace("%7D", "}")  # a pattern reads as it was written


def absolute(path: Path) -> Path:
    """So that it may be used from anywhere. An address is that already."""
    return path if address_of(path) else path.absolute()
