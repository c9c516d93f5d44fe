"""Keep-alive connections to every target, and the one way to send a request upstream.

The pool holds mutable state by nature: idle and active connections per lane, a lane being
a target together with how it may be reached. It shares nothing between calls but that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Collection
from typing import Protocol

from contract.snapshot import Target, Timeouts
from proxy.errors import (
    ConnectFailed,
    UpstreamBroken,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from proxy.upstream.addresses import resolve
from proxy.upstream.connection import Connection
from proxy.upstream.response import Response

__all__ = ["Pool", "Response"]

MAX_IDLE = 256
"""Idle connections kept for each lane."""
MAX_CONNECTIONS = 2000
MAX_WAITING = 200
"""Calls under way on a lane, and calls that wait, where its upstream says nothing else."""
IDLE_SECONDS = 30.0
"""An idle connection is closed after this."""
FRESH_SECONDS = 4.0
"""A call that must not be sent twice takes no connection that was idle for longer."""
SWEEP_SECONDS = 0.25
"""Granularity of the timeouts."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CHUNKED = (b"transfer-encoding", b"chunked")
_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"})

_TOO_LONG = "The whole call took longer than it may. Try again later, or ask for less at once."

LaneKey = tuple[Target, bool, bool]


class Sender(Protocol):
    """Whose call it is: ``attempts`` counts the requests that are sent for it."""

    attempts: int


class Lane:
    """Connections to one target. ``idle`` is a stack: the freshest is used first."""

    __slots__ = (
        "active",
        "connecting",
        "dropped",
        "host",
        "idle",
        "key",
        "loop",
        "most",
        "most_waiting",
        "target",
        "waiting",
    )

    def __init__(self, key: LaneKey, loop: asyncio.AbstractEventLoop) -> None:
        target = self.target = key[0]
        self.key = key
        self.loop = loop
        self.idle: list[Connection] = []
        self.active: set[Connection] = set()
        self.connecting = 0
        self.most = MAX_CONNECTIONS
        """Calls under way at once. Further ones wait, ``most_waiting`` of them at most."""
        self.most_waiting = MAX_WAITING
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()
        """The longest first. Each is given a connection, or None and the right to make one."""
        self.dropped = False
        """The pool has forgotten it; a new one is made when it is asked for."""
        name = f"[{target.host}]" if ":" in target.host else target.host
        default = 443 if target.scheme == "https" else 80
        self.host = (name if target.port == default else f"{name}:{target.port}").encode("idna")

    def __repr__(self) -> str:
        return f"<Lane {self.target.id}: {len(self.active)} active, {len(self.idle)} idle>"

    def release(self, connection: Connection) -> None:
        connection.used = True
        if self.waiting and self._serve(connection):
            return
        self.active.discard(connection)
        if len(self.idle) >= MAX_IDLE or not connection.usable:
            connection.abort(None)
            return
        connection.idle_since = self.loop.time()
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self.active.discard(connection)
        if connection.response is None and connection in self.idle:
            self.idle.remove(connection)
        if self.waiting:
            self.invite()

    def invite(self) -> None:
        """There may be room for one more connection."""
        if not self.full and self._serve(None):
            self.connecting += 1

    @property
    def full(self) -> bool:
        return len(self.active) + self.connecting >= self.most

    def _serve(self, connection: Connection | None) -> bool:
        """Whether somebody waited for it."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

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
        sender: Sender | None = None,
        tls_verify: bool = True,
        private_ok: bool = False,
        most: int = MAX_CONNECTIONS,
        most_waiting: int = MAX_WAITING,
    ) -> Response:
        """Sends one request and returns its response as soon as the head is there.

        ``path`` is the raw origin form with the query; ``target.path`` is not added here.
        ``headers`` have lower-case names and no hop-by-hop fields; Host is added where it
        is missing. A streamed body has the length that Content-Length names, else it is
        chunked; for bytes the length is set here.

        Raises ConnectFailed, AddressForbidden and UpstreamOverloaded (nothing was sent),
        UpstreamTimeout, UpstreamBroken, and what ``body`` raises. A call that may be repeated
        and met a connection that the upstream had just closed is repeated once on a new one.
        """
        lane = self.lane(target, tls_verify, private_ok, most, most_waiting)
        head, length = _head(lane.host, method, path, headers, body)
        until = 0.0 if timeouts.total is None else self._loop.time() + timeouts.total
        return await self.call(lane, method, head, body, length, timeouts, until, sender)

    def lane(
        self, target: Target, tls_verify: bool, private_ok: bool, most: int, most_waiting: int
    ) -> Lane:
        """Where calls to a target queue up. May be kept until it is ``dropped``."""
        key = (target, tls_verify, private_ok)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._loop)
        lane.most, lane.most_waiting = most, most_waiting
        return lane

    @property
    def lanes(self) -> Collection[Lane]:
        return self._lanes.values()

    async def call(
        self,
        lane: Lane,
        method: str,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None,
        timeouts: Timeouts,
        until: float = 0.0,
        sender: Sender | None = None,
    ) -> Response:
        """As ``send``, for a ``head`` that is complete; ``length`` is a streamed body's.

        ``until`` is the loop time at which the whole call must be over, if it must.
        """
        repeatable = isinstance(body, bytes) and method in IDEMPOTENT
        fresh = IDLE_SECONDS if repeatable else FRESH_SECONDS
        connection = lane.take(self._loop.time() - fresh)
        if connection is None:
            connection = await self._another(lane, timeouts, until)
        connection.timeouts, connection.until = timeouts, until
        if sender is not None:
            sender.attempts += 1
        try:
            return await connection.call(method, head, body, length)
        except BaseException as error:
            again = (
                repeatable
                and connection.used
                and connection.untouched
                and isinstance(error, UpstreamBroken)
            )
            _end(connection, error)
            if not again:
                raise
        connection = await self._another(lane, timeouts, until)
        connection.timeouts, connection.until = timeouts, until
        if sender is not None:
            sender.attempts += 1
        try:
            return await connection.call(method, head, body, length)
        except BaseException as error:
            _end(connection, error)
            raise

    async def _another(self, lane: Lane, timeouts: Timeouts, until: float) -> Connection:
        """A connection other than the idle ones. Waits for one where there may be no more."""
        seconds = timeouts.connect
        if until:
            seconds = min(seconds, until - self._loop.time())
        if lane.full:
            connection = await self._turn(lane, seconds)
            if connection is not None:
                if connection.usable:
                    return connection
                return await self._another(lane, timeouts, until)
        else:
            lane.connecting += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._dial(lane)
        except TimeoutError as error:
            if until and until <= self._loop.time():
                raise UpstreamTimeout(_TOO_LONG) from error
            raise ConnectFailed(
                f"The service behind this API accepted no connection in {seconds:g} s. "
                "Try again later."
            ) from error
        finally:
            lane.connecting -= 1
            if lane.waiting:
                lane.invite()

    async def _turn(self, lane: Lane, seconds: float) -> Connection | None:
        """A connection that came free, or None where the caller may make one. Raises
        UpstreamOverloaded."""
        if len(lane.waiting) >= lane.most_waiting:
            raise UpstreamOverloaded
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        lane.waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except BaseException as error:
            if not waiter.done() or waiter.cancelled():
                if waiter in lane.waiting:
                    lane.waiting.remove(waiter)
            elif (given := waiter.result()) is not None:
                lane.release(given)
            else:
                lane.connecting -= 1
                lane.invite()
            if isinstance(error, TimeoutError):
                raise UpstreamOverloaded from error
            raise

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
                if 0.0 < connection.until < now:
                    connection.abort(UpstreamTimeout(_TOO_LONG))
            while lane.idle and lane.idle[0].idle_since < now - IDLE_SECONDS:
                lane.idle[0].abort(None)
            if not (lane.idle or lane.active or lane.connecting or lane.waiting):
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


def _end(connection: Connection, error: BaseException) -> None:
    """Drops a connection whose call has failed."""
    if isinstance(error, UpstreamError):
        error.answered = not connection.untouched
    connection.done(reusable=False)


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
