"""A Valkey or Redis Cluster: which node has a name, and connections to the right one.

All of this also takes a single server, which has every name. Source of the key slots:
the Redis Cluster specification, "key distribution model".
"""

from __future__ import annotations

from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from msgspec import structs

from contract.servers import Server, is_cluster, servers
from proxy.valkey import Connection, Part, Redirected, ValkeyError, dial

SLOTS = 16_384


def slot_of(key: str) -> int:
    """What is between the first braces decides, if there is anything, or else the whole name."""
    begin = key.find("{") + 1
    end = key.find("}", begin)
    tag = key[begin:end] if begin and end > begin else key
    return crc_hqx(tag.encode(), 0) % SLOTS


class Map:
    """Which server has which slots, as the cluster said last."""

    def __init__(self, ranges: list[tuple[int, Server]], copied: Iterable[Server] = ()) -> None:
        """``ranges``: first slot and server, in order, from 0. ``copied``: those that have
        replicas which live."""
        self._starts = [start for start, _ in ranges]
        self._servers = [server for _, server in ranges]
        self.copied = frozenset(copied)

    def server(self, key: str) -> Server:
        return self._servers[bisect_right(self._starts, slot_of(key)) - 1]

    @property
    def servers(self) -> set[Server]:
        return set(self._servers)


async def load(url: str, known: set[Server] | None = None) -> Map:
    """Asks the servers in ``url``, then those ``known``, for the map. Raises ValkeyError."""
    named = servers(url)
    if not is_cluster(url):
        return Map([(0, named[0])])
    failure = ValkeyError("REDIS_URL names no server.")
    for server in (*named, *(known or ())):
        try:
            connection = await dial(server)
            try:
                return _read(await connection.ask("CLUSTER", "SLOTS"), server)
            finally:
                connection.close()
        except ValkeyError as error:
            failure = error
    raise failure


def _read(reply: list[Any], asked: Server) -> Map:
    """A slot that nobody has is put down to a neighbour, who will say so. Raises ValkeyError."""
    ranges: list[tuple[int, Server]] = []
    copied = set()
    for start, _, (host, port, *_), *replicas in sorted(reply, key=lambda entry: int(entry[0])):
        name = (host or b"").decode()
        place = name if name not in ("", "?") else asked.host
        server = structs.replace(asked, host=place, port=port)
        ranges.append((start if ranges else 0, server))
        if replicas:
            copied.add(server)
    if not ranges:
        raise ValkeyError("The cluster has given its slots to nobody.")
    return Map(ranges, copied)


async def connect(
    url: str, key: str = "", *, on_push: Callable[[list[Any]], None] | None = None
) -> Connection:
    """A connection to the server that has ``key``. Raises ValkeyError."""
    return await dial((await load(url)).server(key), on_push=on_push)


class Reach:
    """Asks whichever server has the key. Connects when first asked; ``close`` it at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._map: Map | None = None
        self._connections: dict[Server, Connection] = {}

    async def ask(self, command: str, key: str, *parts: Part, seconds: float = 2.0) -> Any:
        """Raises ValkeyError; the map is asked for anew after that, and before one more try
        where the key has moved.
        """
        try:
            return await self._ask(command, key, *parts, seconds=seconds)
        except Redirected:
            return await self._ask(command, key, *parts, seconds=seconds)

    async def beside(self, key: str, named: Callable[[int], str]) -> str:
        """Of the names ``named`` gives, by a number, the first that is where ``key`` is. Raises
        ValkeyError."""
        known = await self._known()
        server = known.server(key)
        return next(name for name in map(named, count()) if known.server(name) == server)

    async def _known(self) -> Map:
        if self._map is None:
            self._map = await load(self._url)
        return self._map

    async def _ask(self, command: str, key: str, *parts: Part, seconds: float) -> Any:
        try:
            server = (await self._known()).server(key)
            connection = self._connections.get(server)
            if connection is None or not connection.alive:
                connection = self._connections[server] = await dial(server)
            return await connection.ask(command, key, *parts, seconds=seconds)
        except ValkeyError:
            self._map = None
            raise

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
