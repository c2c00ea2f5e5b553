"""Reading parts of objects in S3 and the like, by fsspec, which knows whom to ask and with which credentials."""

import contextlib
from collections.abc import Iterator
from typing import Any

from edgevid.address import printable
from edgevid.errors import InputError, first_line
from edgevid_train.storage.contract import Facts, Response
from edgevid_train.storage.faults import PassingError


class Objects:
    """See `edgevid_train.storage.contract.Store`."""

    def facts(self, address: str) -> Facts:
        with _told(address):
            system, path = _system(address)
            about = system.info(path)
            if about.get("size") is None or about.get("type") == "directory":
                raise InputError(f"{printable(address)}: is no file")
            version = about.get("ETag") or about.get("etag") or about.get("LastModified") or about.get("mtime") or ""
            return Facts(int(about["size"]), str(version))

    @contextlib.contextmanager
    def read(self, address: str, start: int, stop: int, facts: Facts) -> Iterator[Response]:  # noqa: ARG002
        with _told(address):
            system, path = _system(address)
            yield Response(start, iter([system.cat_file(path, start=start, end=stop)]))


def _system(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(address)  # type: ignore[no-any-return]
    except ImportError as error:
        scheme, needs = address.partition("://")[0], first_line(error)
        extra = "; pip install 'edgevid[s3]'" if scheme == "s3" else ""
        raise InputError(f"{scheme}:// addresses need more than is installed: {needs}{extra}") from None
    except ValueError as error:
        raise InputError(f"{printable(address)}: {first_line(error)}") from None


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """Whatever a file system of fsspec raises, as our own errors."""
    try:
        yield
    except (InputError, PassingError):
        raise
    except FileNotFoundError:
        raise InputError(f"{printable(address)}: no such object") from None
    except PermissionError:
        raise InputError(f"{printable(address)}: no permission to read it") from None
    except OSError as error:
        gone = isinstance(error, ConnectionError | TimeoutError)
        reason = error.strerror or first_line(error)
        raise PassingError(reason, unreachable=gone) from None
    except Exception as error:  # those of each provider's own library, which need not be here to be named
        raise InputError(f"{printable(address)}: {first_line(error)}") from None
