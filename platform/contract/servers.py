"""How the address of Valkey or Redis is written (``REDIS_URL``), for both planes.

``redis://``, ``rediss://`` or ``unix:///path`` name a single server, ``redis+cluster://`` and
``rediss+cluster://`` a cluster by one or more of its nodes, separated by commas.
"""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct, structs

_CLUSTERS = ("redis+cluster", "rediss+cluster")


class AddressError(ValueError):
    """The sentence says what is wrong with an address, without its password."""


class Server(Struct, frozen=True):
    """One server and how to sign in there. ``path`` is a socket's, then host and port are empty."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    user: str = ""
    password: str | None = None
    database: str = "0"


def is_cluster(url: str) -> bool:
    return url.partition("://")[0] in _CLUSTERS


def servers(url: str) -> tuple[Server, ...]:
    """The single server, or those from which a cluster can be asked for its map.

    Raises AddressError.
    """
    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    common = Server(
        tls=parts.scheme.startswith("rediss"),
        user=unquote(user),
        password=unquote(password) if colon else None,
    )
    if parts.scheme == "unix":
        named = parse_qs(parts.query).get("db", ["0"])[0]
        return (structs.replace(common, path=unquote(parts.path), database=named),)
    if parts.scheme in ("redis", "rediss"):
        named = parse_qs(parts.query).get("db", [parts.path.strip("/") or "0"])[0]
        return (_at(common, places, named),)
    if is_cluster(url):
        if parts.path.strip("/") not in ("", "0"):
            raise AddressError("A cluster has no databases: REDIS_URL must end after its ports.")
        return tuple(_at(common, place, "0") for place in places.split(","))
    raise AddressError(
        "REDIS_URL must begin with redis://, rediss://, unix://, redis+cluster:// or "
        f"rediss+cluster://, not with {parts.scheme or 'nothing'}."
    )


def _at(common: Server, place: str, database: str) -> Server:
    parts = urlsplit(f"//{place}")
    try:
        port = parts.port or 6379
    except ValueError:
        raise AddressError(f"REDIS_URL names no port in {place!r}.") from None
    return structs.replace(common, host=parts.hostname or "127.0.0.1", port=port, database=database)
