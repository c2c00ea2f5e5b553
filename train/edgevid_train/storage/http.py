"""Reading parts of what is at an http(s) address: range requests (RFC 9110, section 14), by the standard library."""

import contextlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from edgevid.address import printable
from edgevid.errors import InputError
from edgevid_train.storage.contract import Facts, Response
from edgevid_train.storage.faults import LostError, PassingError
from edgevid_train.storage.signatures import query_of, signed

TIMEOUT_S = 20.0
_PIECE = 1 << 20
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NOBODY_THERE = {429, 502, 503, 504}
"""What servers say of themselves, not of a file."""
_NO_HEAD = {403, 405, 501}
"""How servers answer HEAD that only know GET, or that signed the address for GET."""
_NOT_ALLOWED = {400, 401, 403}
_NO_HOST = {socket.EAI_NONAME}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class Http:
    """See `edgevid_train.storage.contract.Store`."""

    def facts(self, address: str) -> Facts:
        try:
            with _asked(address, "HEAD") as reply:
                length = _number(reply.headers.get("Content-Length"))
                if length is not None:
                    return Facts(length, _version(reply))
        except _RefusedError as refusal:
            if refusal.status not in _NO_HEAD:
                raise
        with _asked(address, "GET", (0, 1)) as reply:
            found = _RANGE.match(reply.headers.get("Content-Range", ""))
            length = _number(found[2] if found else reply.headers.get("Content-Length"))
            if length is None:
                raise InputError(f"{printable(address)}: the server does not say how long it is")
            return Facts(length, _version(reply))

    @contextlib.contextmanager
    def read(self, address: str, start: int, stop: int, facts: Facts) -> Iterator[Response]:
        with _still_allowed(address), _asked(address, "GET", (start, stop)) as reply:
            if _version(reply) != facts.version:
                raise InputError(f"{printable(address)}: changed while it was read")
            if reply.status != http.client.PARTIAL_CONTENT:
                yield Response(0, _pieces(reply), whole=True)
                return
            found = _RANGE.match(reply.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise InputError(f"{printable(address)}: the server answers with another range than was asked for")
            yield Response(start, _pieces(reply))


class _RefusedError(InputError):
    """The server answers, and will not answer otherwise."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def _still_allowed(address: str) -> Iterator[None]:
    """A signature that was good enough to ask how long a file is, and is not any more. Raises LostError."""
    try:
        yield
    except _RefusedError as refusal:
        if refusal.status in _NOT_ALLOWED and query_of(address):
            raise LostError(str(refusal)) from None
        raise


@contextlib.contextmanager
def _asked(address: str, method: str, span: tuple[int, int] | None = None) -> Iterator[Any]:
    """The server's reply. Raises PassingError, InputError."""
    headers = {"User-Agent": "edgevid", "Accept-Encoding": "identity"}
    if span is not None:
        headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    try:
        request = urllib.request.Request(signed(address), headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            yield reply
    except urllib.error.HTTPError as error:
        error.close()
        what = f"{error.code} {http.client.responses.get(error.code, '')}".strip()
        if error.code in _TRY_AGAIN:
            raise PassingError(f"the server says {what}", unreachable=error.code in _NOBODY_THERE) from None
        if error.code in _NOT_ALLOWED:
            what += "; the signature it was asked for with may have expired" if query_of(address) else ""
        raise _RefusedError(f"{printable(address)}: the server says {what}", error.code) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise InputError(f"{printable(address)}: {_words(error.reason)}") from None
        unknown = getattr(error.reason, "errno", 0) in _NO_HOST
        raise PassingError(_words(error.reason), unreachable=True, unknown=unknown) from None
    except (http.client.InvalidURL, ValueError):
        raise InputError(f"{printable(address)}: is no address") from None
    except (OSError, http.client.HTTPException) as error:
        raise PassingError(_words(error)) from None


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(reason, http.client.BadStatusLine) and not isinstance(reason, ConnectionError):
        return "the answer is not HTTP"
    if isinstance(reason, http.client.HTTPException):
        return "the connection was cut"
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).splitlines()[0]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _version(reply: Any) -> str:
    return reply.headers.get("ETag") or reply.headers.get("Last-Modified") or ""


def _pieces(reply: Any) -> Iterator[bytes]:
    while piece := reply.read(_PIECE):
        yield piece
