"""Which store an address belongs to."""

from edgevid_train.storage.contract import Store
from edgevid_train.storage.http import Http
from edgevid_train.storage.objects import Objects


def store_for(address: str) -> Store:
    """Of http(s) the standard library's, of everything else (s3, gs, …) fsspec's."""
    return Http() if address.startswith(("http://", "https://")) else Objects()
