"""Request header fields that stop at the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

HOP_BY_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""They speak of one connection alone."""
_OURS = (
    "content-length",
    "forwarded",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
)
"""Set by the gateway or by nobody: an upstream may trust them.

Who calls, where it was sent to, and (``proxy``) what CGI takes for its own setting.
"""

_MANY = 8
"""Pieces of a header name. Each more would double the number of its spellings."""


def _spellings(name: str) -> Iterator[bytes]:
    """A header name with each ``-`` also as ``_``, which many upstreams read as the same.

    Of a name with very many only all or none: a tenant names the header of its keys.
    """
    pieces = name.split("-")
    if len(pieces) > _MANY:
        yield from (name.encode(), name.replace("-", "_").encode())
        return
    for joints in product("-_", repeat=len(pieces) - 1):
        yield "".join(a + b for a, b in zip(pieces, (*joints, ""), strict=True)).encode()


ALWAYS = frozenset(spelling for name in (*HOP_BY_HOP, *_OURS) for spelling in _spellings(name)) | {
    b"host",
    b"expect",
}


@lru_cache(maxsize=1024)
def by_key_header(name: str) -> tuple[bytes, frozenset[bytes]]:
    """The header that keys come in and, with it, all that stop.

    The same objects for all APIs that use it: there are thousands, and the set is large.
    """
    return name.encode(), ALWAYS | frozenset(_spellings(name))
