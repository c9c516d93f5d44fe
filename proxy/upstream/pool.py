"""Keep-alive connections to every target, and the one way to send a request upstream.

The pool holds mutable state by nature: idle and active connections per lane, a lane being
a target together with how it may be reached. It shares nothing between calls but that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

from contract.snapshot import Target, Timeouts
from proxy.errors import ConnectFailed, UpstreamBroken, UpstreamTimeout
from proxy.upstream.addresses import resolve
from proxy.upstream.connection import Connection
from proxy.upstream.response import Response

__all__ = ["Pool", "Response"]

MAX_IDLE = 256
"""Idle connections kept for each lane."""
IDLE_SECONDS = 30.0
"""An idle connection is closed after this."""
FRESH_SECONDS = 4.0
"""A call that must not be sent twice takes no connection that was idle for longer."""
SWEEP_SECONDS = 0.25
"""Granularity of the timeouts."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CHUNKED = (b"transfer-encoding", b"chunked")
_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"})

LaneKey = tuple[Target, bool, bool]


class Lane:
    """Connections to one target. ``idle`` is a stack: the freshest is used first."""

    __slots__ = ("active", "connecting", "dropped", "host", "idle", "key", "loop", "target")

    def __init__(self, key: LaneKey, loop: asyncio.AbstractEventLoop) -> None:
        target = self.target = key[0]
        self.key = key
        self.loop = loop
        self.idle: list[Connection] = []
        self.active: set[Connection] = set()
        self.connecting = 0
        self.dropped = False
        """The pool has forgotten it; a new one is made when it is asked for."""
        name = f"[{target.host}]" if ":" in target.host else target.host
        default = 443 if target.scheme == "https" else 80
        self.host = (name if target.port == default else f"{name}:{target.port}").encode("idna")

    def __repr__(self) -> str:
        return f"<Lane {self.target.id}: {len(self.active)} active, {len(self.idle)} idle>"

    def release(self, connection: Connection) -> None:
        self.active.discard(connection)
        if len(self.idle) >= MAX_IDLE:
            connection.abort(None)
            return
        connection.used = True
        connection.idle_since = self.loop.time()
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self.active.discard(connection)
        if connection.response is None and connection in self.idle:
            self.idle.remove(connection)

    def take(self, oldest: float) -> Connection | None:
        """An idle connection that came back no earlier than ``oldest``."""
        if not self.idle or self.idle[-1].idle_since < oldest:
            return None
        connection = self.idle.pop()
        self.active.add(connection)
        return connection


class Pool:
    """``trust`` is a TLS context for verified targets; by default the system's authorities."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[LaneKey, Lane] = {}
        self._trust = trust
        self._blind: ssl.SSLContext | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._arm()

    async def send(
        self,
        target: Target,
        method: str,
        path: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes | AsyncIterator[bytes],
        timeouts: Timeouts,
        *,
        tls_verify: bool = True,
        private_ok: bool = False,
    ) -> Response:
        """Sends one request and returns its response as soon as the head is there.

        ``path`` is the raw origin form with the query; ``target.path`` is not added here.
        ``headers`` have lower-case names and no hop-by-hop fields; Host is added where it
        is missing. A streamed body has the length that Content-Length names, else it is
        chunked; for bytes the length is set here.

        Raises ConnectFailed and AddressForbidden (nothing was sent), UpstreamTimeout,
        UpstreamBroken, and what ``body`` raises. A call that may be repeated and met a
        connection that the upstream had just closed is repeated once on a new one.
        """
        lane = self.lane(target, tls_verify=tls_verify, private_ok=private_ok)
        head, length = _head(lane.host, method, path, headers, body)
        return await self.call(lane, method, head, body, length, timeouts)

    def lane(self, target: Target, *, tls_verify: bool, private_ok: bool) -> Lane:
        """Where calls to a target queue up. May be kept until it is ``dropped``."""
        key = (target, tls_verify, private_ok)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._loop)
        return lane

    async def call(
        self,
        lane: Lane,
        method: str,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None,
        timeouts: Timeouts,
    ) -> Response:
        """As ``send``, for a ``head`` that is complete; ``length`` is a streamed body's."""
        repeatable = isinstance(body, bytes) and method in _IDEMPOTENT
        fresh = IDLE_SECONDS if repeatable else FRESH_SECONDS
        connection = lane.take(self._loop.time() - fresh)
        if connection is None:
            connection = await self._connect(lane, timeouts)
        connection.timeouts = timeouts
        try:
            return await connection.call(method, head, body, length)
        except BaseException as error:
            again = (
                repeatable
                and connection.used
                and connection.untouched
                and isinstance(error, UpstreamBroken)
            )
            connection.done(reusable=False)
            if not again:
                raise
        connection = await self._connect(lane, timeouts)
        connection.timeouts = timeouts
        try:
            return await connection.call(method, head, body, length)
        except BaseException:
            connection.done(reusable=False)
            raise

    async def _connect(self, lane: Lane, timeouts: Timeouts) -> Connection:
        lane.connecting += 1
        try:
            async with asyncio.timeout(timeouts.connect):
                return await self._dial(lane)
        except TimeoutError as error:
            raise ConnectFailed(
                f"The service behind this API accepted no connection in {timeouts.connect:g} s. "
                "Try again later."
            ) from error
        finally:
            lane.connecting -= 1

    async def _dial(self, lane: Lane) -> Connection:
        target, tls_verify, private_ok = lane.key
        addresses = await resolve(target.host, target.port, private_ok=private_ok)
        secure = target.scheme == "https"
        failure: OSError | None = None
        for family, address in addresses:
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(lane, self._loop),
                    address,
                    target.port,
                    family=family,
                    flags=socket.AI_NUMERICHOST,
                    ssl=self._context(tls_verify) if secure else None,
                    server_hostname=target.host if secure else None,
                )
            except OSError as error:  # ssl.SSLError is one
                failure = error
                continue
            lane.active.add(connection)
            return connection
        if isinstance(failure, ssl.SSLError):
            raise ConnectFailed(
                "The TLS connection to the service behind this API failed: check the upstream's "
                "certificate and host name."
            ) from failure
        raise ConnectFailed from failure

    def _context(self, verify: bool) -> ssl.SSLContext:
        if verify:
            if self._trust is None:
                self._trust = ssl.create_default_context()
            return self._trust
        if self._blind is None:
            self._blind = ssl.create_default_context()
            self._blind.check_hostname = False
            self._blind.verify_mode = ssl.CERT_NONE
        return self._blind

    # Time

    def _arm(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Gives up on calls past their deadline, and closes what was idle for too long."""
        now = self._loop.time()
        for key, lane in list(self._lanes.items()):
            for connection in list(lane.active):
                if connection.stirred:
                    connection.stirred = False
                    if connection.deadline:
                        connection.arm_idle()
                elif 0.0 < connection.deadline < now:
                    connection.abort(UpstreamTimeout())
            while lane.idle and lane.idle[0].idle_since < now - IDLE_SECONDS:
                lane.idle[0].abort(None)
            if not lane.idle and not lane.active and not lane.connecting:
                lane.dropped = True
                del self._lanes[key]
        self._arm()

    def close(self) -> None:
        """Drops every connection; calls in flight fail."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for lane in self._lanes.values():
            for connection in [*lane.idle, *lane.active]:
                connection.abort(UpstreamBroken())


def _head(
    host: bytes,
    method: str,
    path: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes | AsyncIterator[bytes],
) -> tuple[bytes, int | None]:
    """The request's head as bytes, and the declared length of a streamed body.

    Raises ValueError where a name or value holds a line break: it would start a header,
    or a request, of its own.
    """
    length: int | None = None
    named = dict(headers)
    if not _OURS.isdisjoint(named):
        host = named.get(b"host", host)
        if b"content-length" in named:
            length = int(named[b"content-length"])
        headers = [pair for pair in headers if pair[0] not in _OURS]
    # A method that usually has a body says so when it has none.
    if not isinstance(body, bytes):
        framing = _CHUNKED if length is None else (b"content-length", b"%d" % length)
        headers = [*headers, framing]
    elif body or method in _BODY_METHODS:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    start = b"%b %b HTTP/1.1\r\nhost: %b" % (method.encode(), path, host)
    head = b"\r\n".join([start, *map(b": ".join, headers), b"\r\n"])
    breaks = len(headers) + 3
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
        raise ValueError("A header to the upstream holds a line break.")
    return head, length
