"""One call on a connection of the gateway's own server: its body, and its answer as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from proxy.errors import ClientGone, GatewayError
from proxy.exchange import DONE, Exchange, Headers, RequestHead

if TYPE_CHECKING:
    from proxy.ai.tap import StreamTap
    from proxy.server import Protocol
    from proxy.sweeper import Sweeper
    from proxy.upstream.response import Response

HIGH_WATER = 65536
"""Bytes of a request's body held for a slow upstream before the client is no longer read."""
MOST_PIECES = 256
"""In which what is held may lie: an object for each tiny chunk would weigh far more than it."""
LEAST_BODY = 4096
"""Bytes of a body that is waited for, which must come in each ``Sweeper.stall_seconds``."""

_BODILESS = (204, 304)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


STATUS = {status: _status_line(status) for status in range(100, 1000)}


class Call(Exchange):
    """One call on a connection. Its body is gathered here until it is read."""

    keep_alive: bool = True
    chunked: bool = False
    arrived: bool = True
    """The whole body is here, if perhaps not yet read."""
    expects: bool = False
    """The client waits for ``100 Continue`` before it sends the body."""
    old: bool = False
    """It came in HTTP/1.0."""
    endless: bool = False
    """The answer ends with the connection."""
    fault: GatewayError | None = None
    """The rest of the body cannot be read."""
    task: asyncio.Task[None] | None = None
    source: Response | None = None
    """What is poured into the answer at the moment."""
    _waiter: asyncio.Future[None] | None = None
    _enough: int = 0
    """Bytes of the body that must be here at ``_due``, loop time, if it is waited for."""
    _due: float = 0.0
    _read: float = 0.0
    """Loop time at which it was last read."""

    def __init__(
        self,
        connection: Protocol,
        method: str,
        raw_path: bytes,
        query: bytes,
        head: RequestHead,
    ) -> None:
        super().__init__("", method, raw_path, query, head)
        self.connection = connection
        self.client = connection.client
        self.scheme = connection.scheme
        if not self.body_done:
            self.arrived = False
            self.chunks: list[bytes] = []
            self.held = 0

    async def receive(self) -> bytes:
        connection = self.connection
        while not self.chunks and not self.arrived:
            if connection.lost:
                self.abandoned = True
                raise ClientGone
            if self.fault is not None:
                raise self.fault
            if self.expects:
                self.expects = False
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.resume_reading()
            connection.deadline = self._deadline(connection.sweeper)
            self._waiter = connection.loop.create_future()
            await self._waiter
        connection.deadline = 0.0
        self._read = connection.sweeper.now
        chunks, self.chunks, self.held = self.chunks, [], 0
        self.body_done = self.arrived
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _deadline(self, sweeper: Sweeper) -> float:
        came = self.request_bytes + self.held
        if came >= self._enough:
            self._enough = came + LEAST_BODY
            self._due = sweeper.now + sweeper.stall_seconds
        else:
            # Meanwhile it was not waited for.
            self._due += sweeper.now - self._read
        return self._due

    async def pour(
        self,
        response: Response,
        feed: Callable[[bytes], bytes] | None,
        watch: StreamTap | None = None,
    ) -> bytes:
        connection, chunked, silent = self.connection, self.chunked, self.method == "HEAD"
        write = connection.transport.write
        straight = chunked and (feed is None or watch is not None)
        if watch is not None:
            response.tail, response.mark = watch.tail, watch.mark

        def sink(chunk: bytes) -> asyncio.Future[None] | None:
            # What write() does, in one step: this is all that a piece of a stream costs here.
            if feed is not None:
                chunk = feed(chunk)
            if chunk and not silent:
                self.response_bytes += len(chunk)
                if chunked:
                    chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
                if connection.held or connection.lost:
                    connection.write(chunk)
                else:
                    write(chunk)
            drained = connection.drained
            if straight and drained is None and not connection.held and not connection.lost:
                response.direct = write if watch is None or watch.at_rest else None
            return drained

        self.source = response
        try:
            return await response.pour(sink)
        finally:
            self.source = None
            self.response_bytes += response.passed

    def hold_back(self, drained: asyncio.Future[None]) -> None:
        """The client is slow to read."""
        if self.source is not None:
            self.source.hold_back(drained)

    def take(self, chunk: bytes) -> None:
        """A piece of the body has arrived."""
        if self.finished:
            return
        chunks = self.chunks
        chunks.append(chunk)
        if len(chunks) > MOST_PIECES:
            self.chunks = [b"".join(chunks)]
        self.held += len(chunk)
        if self.held > HIGH_WATER:
            self.connection.pause_reading()
        self.wake()

    def spoil(self, error: GatewayError) -> None:
        """The body broke off in the middle: who reads on is told ``error``."""
        self.keep_alive = False
        self.fault = error
        if self.finished:
            self.connection.end()
        else:
            self.wake()

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def handle(self) -> None:
        """Its turn has come."""
        gateway = self.connection.application.gateway
        if gateway is not None:
            self.task = self.connection.loop.create_task(gateway.handle(self))

    def leave(self) -> None:
        if self.source is not None:
            self.source.direct = None
        if not self.finished:
            self.abandoned = True
            self.wake()
            # One that has not begun sees for itself, and is recorded.
            if self.entered and self.task is not None:
                self.task.cancel()

    def stop(self) -> None:
        """The worker stops and waits no longer."""
        if self.entered and not self.finished and not self.stopped and self.task is not None:
            self.stopped = True
            self.task.cancel()

    def drop(self) -> None:
        self.connection.drop()

    # The answer

    def send_head(self, status: int, headers: Headers, length: int | None) -> Awaitable[None]:
        if length is None and self.method != "HEAD" and status not in _BODILESS:
            if self.old:
                self.endless = True
                self.keep_alive = False
            else:
                self.chunked = True
        return self.connection.hold(self._head(status, headers, length))

    def send_body(self, chunk: bytes) -> Awaitable[None]:
        if self.method == "HEAD":
            return DONE
        if self.chunked:
            if not chunk:
                return DONE
            chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        return self.connection.write(chunk)

    def send_end(self, last: bytes) -> Awaitable[None]:
        if self.method == "HEAD":
            last = b""
        elif self.chunked:
            last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if last else b"0\r\n\r\n"
        self.connection.write(last)
        self.connection.answered(self)
        return DONE

    def send_whole(
        self, status: int, headers: Headers, body: bytes, length: int
    ) -> Awaitable[None]:
        head = self._head(status, headers, None if status in _BODILESS else length)
        if self.method != "HEAD":
            head += body
        self.connection.write(head)
        self.connection.answered(self)
        return DONE

    def _head(self, status: int, headers: Headers, length: int | None) -> bytes:
        """Raises ValueError where a field holds a line break: it would start another."""
        lines = [STATUS[status], *map(b": ".join, headers), b"x-request-id: " + self.id.encode()]
        if length is not None:
            lines.append(b"content-length: %d" % length)
        elif self.chunked:
            lines.append(b"transfer-encoding: chunked")
        if not self.arrived and (self.expects or not self._small()):
            # Of what is awaited whether it still comes is the client's choice, and what is
            # large is not worth reading.
            self.expects = self.keep_alive = False
            self.connection.closing = True
        if not self.keep_alive:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise ValueError("A header of the answer holds a line break.")
        return head

    def _small(self) -> bool:
        return self.length is not None and self.length <= HIGH_WATER
