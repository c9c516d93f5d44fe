"""The gateway's HTTP/1.1 server: ``uvicorn --http proxy.server:Protocol``.

uvicorn holds the sockets, the signals and the workers; from the accepted connection on the
bytes are handled here, without the messages of ASGI in between, which cost more than
all checks of a call together. llhttp parses. The same gateway answers over plain ASGI
(``proxy.asgi``), at that price.

A connection answers one call at a time; calls sent ahead wait in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, cast

import httptools

from proxy.errors import ClientGone, GatewayError, HeadersTooLarge, MalformedRequest, render
from proxy.exchange import DONE, Exchange, Headers, RequestHead
from proxy.kept import KeptFields, keep

if TYPE_CHECKING:
    from proxy.asgi import Application
    from proxy.upstream.response import Response

logger = logging.getLogger(__name__)

HEAD_LIMIT = 65536
"""Bytes of a request's line and headers."""
HIGH_WATER = 65536
"""Bytes of a request's body held for a slow upstream before the client is no longer read."""
AHEAD = 16
"""Calls sent ahead on one connection before it is no longer read."""
KEEP_ALIVE_SECONDS = 75.0
HEAD_SECONDS = 15.0
"""From a head's first byte to its last."""
STALL_SECONDS = 25.0
"""A client that takes nothing of an answer, or sends nothing of a body, for so long is dropped."""
SWEEP_SECONDS = 1.0
STOPPING_SWEEP_SECONDS = 0.1
STOP_SECONDS = 30.0
"""For which calls may go on once the worker is to stop, where uvicorn is not told otherwise."""
IDLE_GRACE = 2.0
"""While the worker stops, so long does a connection wait for one more call."""

_PROBES = (b"/healthz", b"/readyz")
_BODILESS = (204, 304)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


_STATUS = {status: _status_line(status) for status in range(100, 1000)}
_METHODS: dict[bytes, str] = {}


class Call(Exchange):
    """One call on a connection. Its body is gathered here until it is read."""

    keep_alive: bool = True
    chunked: bool = False
    arrived: bool = True
    """The whole body is here, if perhaps not yet read."""
    expects: bool = False
    """The client waits for ``100 Continue`` before it sends the body."""
    task: asyncio.Task[None] | None = None
    _waiter: asyncio.Future[None] | None = None

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
            if self.expects:
                self.expects = False
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.resume_reading()
            connection.await_body()
            self._waiter = connection.loop.create_future()
            await self._waiter
        connection.deadline = 0.0
        chunks, self.chunks, self.held = self.chunks, [], 0
        self.body_done = self.arrived
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def pour(self, response: Response, feed: Callable[[bytes], bytes] | None) -> bytes:
        connection, chunked, silent = self.connection, self.chunked, self.method == "HEAD"

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
                    connection.transport.write(chunk)
            return connection.drained

        return await response.pour(sink)

    def take(self, chunk: bytes) -> None:
        """A piece of the body has arrived."""
        if self.finished:
            return
        self.chunks.append(chunk)
        self.held += len(chunk)
        if self.held > HIGH_WATER:
            self.connection.pause_reading()
        self.wake()

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def leave(self) -> None:
        if not self.finished:
            self.abandoned = True
            self.wake()
            # One that has not begun sees for itself, and is recorded.
            if self.entered and self.task is not None:
                self.task.cancel()

    def stop(self) -> None:
        """The worker stops and waits no longer."""
        if not self.finished and not self.stopped and self.task is not None:
            self.stopped = True
            self.task.cancel()

    def drop(self) -> None:
        self.connection.drop()

    # The answer

    def send_head(self, status: int, headers: Headers, length: int | None) -> Awaitable[None]:
        if length is None and self.method != "HEAD" and status not in _BODILESS:
            if self.connection.chunks_understood:
                self.chunked = True
            else:
                self.keep_alive = False
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
        lines = [_STATUS[status], *map(b": ".join, headers), b"x-request-id: " + self.id.encode()]
        if length is not None:
            lines.append(b"content-length: %d" % length)
        elif self.chunked:
            lines.append(b"transfer-encoding: chunked")
        if self.expects and not self.arrived:
            # Whether the body still comes is the client's choice, so what follows is unclear.
            self.keep_alive = False
            self.connection.closing = True
        if not self.keep_alive:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise ValueError("A header of the answer holds a line break.")
        return head


class Protocol(asyncio.Protocol):
    """One connection of a client. ``transport`` is set as long as it is ``not lost``."""

    __slots__ = (
        "_ahead",
        "_call",
        "_config",
        "_fault",
        "_head_size",
        "_incoming",
        "_kept",
        "_pairs",
        "_parser",
        "_partial",
        "_reading",
        "_server",
        "_sweeper",
        "_url",
        "application",
        "chunks_understood",
        "client",
        "closing",
        "deadline",
        "drained",
        "held",
        "loop",
        "lost",
        "scheme",
        "transport",
    )

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self.application: Application = config.loaded_app.data_plane
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.client = ""
        self.scheme = "http"
        self.lost = True
        self.closing = False
        """No further call is taken."""
        self.chunks_understood = True
        self.deadline = 0.0
        """Loop time at which the connection is given up; 0 where the client is not awaited."""
        self._server = server_state
        self._config = config
        self._sweeper = self.application.sweeper(self.loop)
        self._parser = httptools.HttpRequestParser(self)
        self._call: Call | None = None
        """The call being answered; further ones wait in ``_ahead``."""
        self._incoming: Call | None = None
        """The call whose body is being read."""
        self._ahead: list[Call] = []
        self._fault: GatewayError | None = None
        self._url = b""
        self._pairs: Headers = []
        self._partial = False
        """The parser has seen the beginning of a message and not its end."""
        self._head_size = 0
        self._kept: KeptFields | None = None
        self._reading = True
        self.held = b""
        """A head that leaves with what follows it, or at the end of this turn of the loop."""
        self.drained: asyncio.Future[None] | None = None
        """Pending while the client is slow to read."""

    @property
    def busy(self) -> bool:
        """A call is being answered."""
        return self._call is not None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.lost = False
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) and peer else ""
        if transport.get_extra_info("sslcontext"):
            self.scheme = "https"
        self.deadline = self._sweeper.now + HEAD_SECONDS
        self._server.connections.add(self)
        self._sweeper.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.closing = True
        self._server.connections.discard(self)
        self._sweeper.connections.discard(self)
        self.resume_writing()
        for call in (self._call, *self._ahead):
            if call is not None:
                call.leave()
        self._ahead.clear()

    def pause_writing(self) -> None:
        if self.drained is None:
            self.drained = self.loop.create_future()
            self.deadline = self._sweeper.now + STALL_SECONDS

    def resume_writing(self) -> None:
        drained, self.drained = self.drained, None
        if drained is not None:
            self.deadline = 0.0
            if not drained.done():
                drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        partial = self._partial
        if not partial:
            if self.closing:
                return
            kept = self._kept
            if kept is not None and self._call is None:
                message = kept.take(data)
                if message is not None:
                    method, path, query, body = message
                    call = Call(self, method, path, query, kept.head)
                    if not call.body_done:
                        call.length = len(body)
                        call.chunks.append(body)
                        call.arrived = True
                    self._begin(call)
                    return
            self._incoming = None
        self._feed(data)
        incoming = self._incoming
        if incoming is not None and not partial and not self._partial and not self._ahead:
            self._kept = keep(incoming.head, data)

    def _feed(self, data: bytes) -> None:
        if self._head_size or not self._partial:
            if not self._head_size and self._call is None:
                self.deadline = self._sweeper.now + HEAD_SECONDS
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Not offered here: the call is answered as it is, and nothing after it.
            self.closing = True
            if self._incoming is not None:
                self._incoming.keep_alive = False
        except (httptools.HttpParserError, httptools.HttpParserInvalidURLError) as error:
            cause = error.__context__
            if isinstance(cause, GatewayError):
                self._refuse(cause)
                return
            if cause is not None and not isinstance(cause, httptools.HttpParserError):
                logger.error("A request could not be taken.", exc_info=cause)
            self._refuse(MalformedRequest())
        else:
            if self._head_size > HEAD_LIMIT:
                self._refuse(HeadersTooLarge())

    # llhttp's side

    def on_message_begin(self) -> None:
        self._partial = True
        self._url = b""
        self._pairs = []
        self._head_size = self._head_size or 1

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, head = self._parser, RequestHead(self._pairs)
        self._head_size = 0
        old = parser.get_http_version() != "1.1"
        hosts = [1 for name, _ in head.pairs if name == b"host"]
        if len(hosts) != 1 and not (old and not hosts):
            raise MalformedRequest("A request must have one Host header.")
        name = parser.get_method()
        method = _METHODS.get(name) or _METHODS.setdefault(name, name.decode())
        url = self._url
        if url[:1] == b"/" and b"#" not in url:
            path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            path, query = parsed.path or b"/", parsed.query or b""
        if not path.isascii():
            raise MalformedRequest("The path holds characters that must be percent-encoded.")
        call = Call(self, method, path, query, head)
        if old:
            self.chunks_understood = call.keep_alive = False
        elif b"connection" in head.fields:
            call.keep_alive = parser.should_keep_alive()
        if not call.body_done:
            call.expects = head.fields.get(b"expect", b"").lower() == b"100-continue"
        self._incoming = call
        if self._call is None:
            self._begin(call)
        else:
            self._ahead.append(call)
            if len(self._ahead) >= AHEAD:
                self.pause_reading()

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.take(body)

    def on_message_complete(self) -> None:
        self._partial = False
        call = self._incoming
        if call is not None and not call.arrived:
            call.arrived = True
            call.wake()

    # Calls

    def _begin(self, call: Call) -> None:
        self._call = call
        self.deadline = 0.0
        if self._sweeper.stopping and not self._ahead:
            call.keep_alive = False
        if not call.keep_alive:
            self.closing = True
        application = self.application
        gateway = application.gateway
        if gateway is None or call.raw_path in _PROBES:
            call.finished = True
            self._say(*application.probe(call.path), last=self.closing)
            self.answered(call)
            return
        call.id = gateway.next_id()
        call.task = self.loop.create_task(gateway.handle(call))

    def answered(self, call: Call) -> None:
        """The last byte of the current answer has been written."""
        self._call = None
        if self._ahead:
            self._begin(self._ahead.pop(0))
            self.resume_reading()
        elif self._fault is not None:
            self._complain(self._fault)
        elif self.closing:
            self._flush()
            self.transport.close()
        else:
            self.deadline = self._sweeper.now + KEEP_ALIVE_SECONDS
            if not self._reading:
                self.resume_reading()

    def _refuse(self, error: GatewayError) -> None:
        """What came last cannot be read: answers the calls before it, then says so."""
        self.closing = True
        self._partial = False
        current = self._call
        if self._incoming is not None and not self._incoming.arrived:
            # Its body broke off in the middle: it can be neither answered nor followed.
            self.drop()
        elif current is None:
            self._complain(error)
        elif current.keep_alive:
            self._fault = error

    def _complain(self, error: GatewayError) -> None:
        self._fault = None
        self._say(error.status, *render(error, None), last=True)
        self.transport.close()

    def _say(self, status: int, headers: Headers, body: bytes, *, last: bool) -> None:
        """An answer outside of any call."""
        lines = [_STATUS[status], *map(b": ".join, headers), b"content-length: %d" % len(body)]
        if last:
            lines.append(b"connection: close")
        self.write(b"\r\n".join([*lines, b"\r\n"]) + body)

    def expire(self) -> None:
        """The client has not moved for too long."""
        self.deadline = 0.0
        self.transport.abort()

    def drop(self) -> None:
        """Ends the connection at once: an answer that breaks off must not look complete."""
        self.closing = True
        if not self.lost:
            self._flush()
            self.transport.close()

    def shutdown(self) -> None:
        """Called by uvicorn, for each connection, when the worker is to stop: see ``Sweeper``."""
        patience = float(self._config.timeout_graceful_shutdown or STOP_SECONDS)
        self._sweeper.stop(max(patience - 1.0, patience / 2))
        if self._call is not None and not self._call.status:
            self._call.keep_alive = False
            self.closing = True

    def wind_up(self, now: float, stop_at: float) -> None:
        """Looked at again and again while the worker stops."""
        if self._call is not None:
            if stop_at < now:
                self._call.stop()
            elif 0.0 < self.deadline < now:
                self.expire()
        elif self._partial:
            if stop_at < now:
                self.expire()
        elif self.deadline > now + IDLE_GRACE:
            self.deadline = min(now + IDLE_GRACE, stop_at)
        elif self.deadline < now and (stop_at < now or not _readable(self.transport)):
            self.transport.close()

    # Bytes

    def await_body(self) -> None:
        self.deadline = self._sweeper.now + STALL_SECONDS

    def pause_reading(self) -> None:
        if self._reading and not self.lost:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self.lost:
            self._reading = True
            self.transport.resume_reading()

    def hold(self, head: bytes) -> Awaitable[None]:
        """Writes a head together with what follows it in the same turn of the loop."""
        self.held = head
        self.loop.call_soon(self._flush)
        return DONE

    def write(self, data: bytes) -> Awaitable[None]:
        if self.lost:
            return DONE
        if self.held:
            data, self.held = self.held + data, b""
        if data:
            self.transport.write(data)
        return DONE if self.drained is None else self.drained

    def _flush(self) -> None:
        if self.held:
            self.write(b"")


class Sweeper:
    """Gives up on connections past their deadline. ``now`` is loop time, a second coarse.

    When the worker is to stop, it takes no new connections, and each that it has ends with the
    answer to its next call, which says so. One that stays idle for ``IDLE_GRACE`` is closed:
    a client that keeps its connection busy is always told before, and one that does not finds
    it closed when it looks. Calls that are not over in time are given up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connections: set[Protocol] = set()
        self.stopping = False
        self._stop_at = 0.0
        self._loop = loop
        self.now = loop.time()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def stop(self, seconds: float) -> None:
        """Calls have so long to be over."""
        if not self.stopping:
            self.stopping = True
            self._stop_at = self._loop.time() + seconds
            self._timer.cancel()
            self._sweep()

    def _sweep(self) -> None:
        self.now = self._loop.time()
        for connection in list(self.connections):
            if self.stopping:
                connection.wind_up(self.now, self._stop_at)
            elif 0.0 < connection.deadline < self.now:
                connection.expire()
        pause = STOPPING_SWEEP_SECONDS if self.stopping else SWEEP_SECONDS
        self._timer = self._loop.call_later(pause, self._sweep)

    def close(self) -> None:
        self._timer.cancel()


def _readable(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that the loop has not yet read."""
    waiting = poll()
    waiting.register(transport.get_extra_info("socket").fileno(), POLLIN)
    return bool(waiting.poll(0))
