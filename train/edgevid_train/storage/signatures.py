"""Queries of addresses (`…/a.mp4?X-Amz-Signature=…`), in this process' memory and nowhere else.

Whoever has one may read what it signs. So a name is what comes before it, and all that is kept or told of a file goes
by its name: messages, ledgers, recipes, runs, and what is cached, which stays valid as signatures come and go. Only
the request that goes out is given the query again.
"""

from urllib.parse import quote

_queries: dict[str, str] = {}


def sign(address: str, query: str) -> None:
    """Ask for what is at an address, which has no query itself, with this one from now on."""
    _queries[address] = quote(query, safe="%/:?@=&~+,;!$'()*[]")


def query_of(address: str) -> str:
    """Without its question mark; empty where there is none."""
    return _queries.get(address, "")


def signed(address: str) -> str:
    """The address as it is asked for. Not to be kept, and not to be told."""
    query = query_of(address)
    return f"{address}?{query}" if query else address
