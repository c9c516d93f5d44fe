"""A bare connection to Valkey or Redis: pack, write, match replies to calls in order.

The client libraries cost tens of microseconds a call, which the hot path cannot pay.
hiredis packs and parses; there is nothing here beyond that but connecting.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from contract.servers import Server

Part = str | bytes | int

# The stub says a tuple of one part where any number is taken.
pack = cast("Callable[[tuple[Part, ...]], bytes]", hiredis.pack_command)


def word(part: Part) -> bytes:
    """One word of a command as it is sent."""
    text = part if isinstance(part, bytes) else str(part).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


class ValkeyError(Exception):
    """The server refused a command, or the connection is gone."""


class Redirected(ValkeyError):
    """A node of a cluster did nothing: another one has the keys, or will have them soon, or
    nobody has them.

    ``kind`` is MOVED, ASK, TRYAGAIN or CLUSTERDOWN; ``place`` is ``host:port`` after the first
    two, else empty.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.kind, _, rest = text.partition(" ")
        self.place = rest.rpartition(" ")[2] if self.kind in ("MOVED", "ASK") else ""


_REDIRECTIONS = ("MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ")


class Connection(asyncio.Protocol):
    """``on_push`` receives every message of a subscribed connection; calls get futures."""

    def __init__(self, on_push: Callable[[list[Any]], None] | None = None) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._on_push = on_push
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection is gone."""

    @property
    def alive(self) -> bool:
        return not self.lost.done()

    def call(self, *parts: Part) -> asyncio.Future[Any]:
        """Sends a command now. The future holds the reply or raises ValkeyError."""
        return self.send(pack(parts))

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """``call`` for a command that is packed already."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None or self.lost.done():
            future.set_exception(ValkeyError("The connection is closed."))
            return future
        self._waiting.append(future)
        self._transport.write(command)
        return future

    async def ask(self, *parts: Part, seconds: float = 2.0) -> Any:
        """A call with a time-out. Raises ValkeyError; a late answer closes the connection."""
        try:
            async with asyncio.timeout(seconds):
                return await self.call(*parts)
        except TimeoutError:
            self.close()
            raise ValkeyError(f"No answer to {parts[0]!r} in {seconds:g} s.") from None

    def subscribe(self, channel: str) -> None:
        """From here on every message goes to ``on_push``."""
        if self._transport is not None:
            self._transport.write(pack(("SUBSCRIBE", channel)))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._fail()

    def _fail(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ValkeyError("The connection was lost."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            reply = self._reader.gets()
            while reply is not False:
                self._take(reply)
                reply = self._reader.gets()
        except hiredis.ProtocolError:
            self.close()

    def _take(self, reply: Any) -> None:
        if not self._waiting:
            if self._on_push is not None:
                self._on_push(reply)
            return
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, Exception):
            kind = Redirected if str(reply).startswith(_REDIRECTIONS) else ValkeyError
            future.set_exception(kind(str(reply)))
        else:
            future.set_result(reply)


async def dial(
    server: Server, *, seconds: float = 1.0, on_push: Callable[[list[Any]], None] | None = None
) -> Connection:
    """A connection that has signed in and answered. Raises ValkeyError."""
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    try:
        async with asyncio.timeout(seconds):
            if server.path:
                _, connection = await loop.create_unix_connection(
                    lambda: Connection(on_push), server.path
                )
            else:
                _, connection = await loop.create_connection(
                    lambda: Connection(on_push),
                    server.host,
                    server.port,
                    ssl=ssl.create_default_context() if server.tls else None,
                )
            if server.password is not None:
                user = [server.user] if server.user else []
                await connection.call("AUTH", *user, server.password)
            if server.database != "0":
                await connection.call("SELECT", server.database)
            await connection.call("PING")
            return connection
    except (OSError, TimeoutError, ValkeyError) as error:
        if connection is not None:
            connection.close()
        raise ValkeyError(str(error) or "No answer in time.") from error
