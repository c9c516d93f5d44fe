"""The gateway's HTTP/1.1 server: ``uvicorn --http proxy.server:Protocol``.

uvicorn holds the sockets, the signals and the workers; from the accepted connection on the
bytes are handled here, without the messages of ASGI in between, which cost more than
all checks of a call together. llhttp parses. The same gateway answers over plain ASGI
(``proxy.asgi``), at that price.

A connection answers one call (``proxy.call``) at a time; calls sent ahead wait in order.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable
from functools import cache
from random import random
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, cast

import httptools

from proxy import head as rules
from proxy.call import STATUS, Call
from proxy.errors import (
    GatewayError,
    GatewayOverloaded,
    HeadersTooLarge,
    MalformedRequest,
)
from proxy.exchange import DONE, Headers, RequestHead
from proxy.kept import KeptFields, keep
from proxy.shapes import render, shaped

if TYPE_CHECKING:
    from proxy.asgi import Application
    from proxy.sweeper import Sweeper

logger = logging.getLogger(__name__)

HEAD_LIMIT = 65536
"""Bytes of a request's line and headers."""
MOST_FIELDS = 256
AHEAD = 16
"""Calls sent ahead on one connection before it is no longer read."""
SLICE = 16384
"""Bytes that are parsed in one go: no more calls than these hold come on top of ``AHEAD``."""
KEEP_ALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""A connection is read for so long after its last answer, which would be lost otherwise if the
client was still sending."""
UNSENT = 131072
"""Bytes that the kernel takes for a client beyond what is on its way, where it can be told."""
TURNED_AWAY_SECONDS = 0.3
STOP_SECONDS = 30.0
"""For which calls may go on once the worker is to stop, where uvicorn is not told otherwise."""

_UNSENT_OPTION: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_PROBES = (b"/healthz", b"/readyz")


@cache
def _turned_away(ai: bool, seconds: int) -> tuple[bytes, bytes]:
    """What a call that is too much is told, up to its id, and the body."""
    headers, body = shaped(GatewayOverloaded(seconds), "", ai=ai)
    lines = [STATUS[503], *map(b": ".join, headers), b"content-length: %d" % len(body)]
    return b"\r\n".join([*lines, b"x-request-id: "]), body


class Protocol(asyncio.Protocol):
    """One connection of a client. ``transport`` and the parser are set as long as it is
    ``not lost``."""

    __slots__ = (
        "_ahead",
        "_call",
        "_config",
        "_fault",
        "_incoming",
        "_kept",
        "_pairs",
        "_parser",
        "_partial",
        "_reading",
        "_server",
        "_size",
        "_turned_away",
        "_unread",
        "_url",
        "application",
        "client",
        "closing",
        "deadline",
        "drained",
        "held",
        "loop",
        "lost",
        "scheme",
        "sweeper",
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
        self.deadline = 0.0
        """Loop time at which the connection is given up; 0 where the client is not awaited."""
        self._server = server_state
        self._config = config
        self.sweeper: Sweeper = self.application.sweeper(self.loop)
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
        self._size = 0
        """Bytes that came of a head, or between two pieces of a body."""
        self._unread = b""
        """What was read together with too many calls sent ahead."""
        self._kept: KeptFields | None = None
        self._reading = True
        self._turned_away = 0.0
        """Loop time."""
        self.held = b""
        """A head that leaves with what follows it, or at the end of this turn of the loop."""
        self.drained: asyncio.Future[None] | None = None
        """Pending while the client is slow to read."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.lost = False
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self.client = peer[0]
            if _UNSENT_OPTION is not None:
                own = transport.get_extra_info("socket")
                own.setsockopt(socket.IPPROTO_TCP, _UNSENT_OPTION, UNSENT)
        if transport.get_extra_info("sslcontext"):
            self.scheme = "https"
        self.deadline = self.sweeper.now + self.sweeper.head_seconds
        self._server.connections.add(self)
        self.sweeper.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.closing = True
        self._server.connections.discard(self)
        self.sweeper.connections.discard(self)
        self._remember(None)
        self.resume_writing()
        current, self._call, self._incoming = self._call, None, None
        for call in (current, *self._ahead):
            if call is not None:
                call.leave()
        self._ahead.clear()
        # It refers to this connection, which would wait for the cycle collector.
        self._parser = cast("httptools.HttpRequestParser", None)

    def pause_writing(self) -> None:
        if self.drained is None:
            self.drained = self.loop.create_future()
            self.deadline = self.sweeper.now + self.sweeper.stall_seconds
            if self._call is not None:
                self._call.hold_back(self.drained)

    def resume_writing(self) -> None:
        drained, self.drained = self.drained, None
        if drained is not None:
            self.deadline = 0.0
            if not drained.done():
                drained.set_result(None)
            if self._call is None and not self.lost:
                self._proceed()

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
            self._remember(keep(incoming.head, data))

    def _remember(self, fields: KeptFields | None) -> None:
        kept, self._kept = self._kept, fields
        if kept is not None and kept.head.kept:
            self.application.forget(kept.head)

    def _feed(self, data: bytes) -> None:
        if len(data) <= SLICE:
            if data:
                self._parse(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), SLICE):
            self._parse(view[start : start + SLICE])
            if self.closing and not self._partial:
                return
            if len(self._ahead) >= AHEAD:
                self._unread = data[start + SLICE :]
                return

    def _parse(self, data: bytes | memoryview) -> None:
        if not self._size and not self._partial and self._call is None:
            self.deadline = self.sweeper.now + self.sweeper.head_seconds
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Not offered here: the call is answered as it is, and nothing after it.
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, GatewayError):
                self._refuse(cause)
                return
            if cause is not None and not isinstance(cause, httptools.HttpParserError):
                logger.error("A request could not be taken.", exc_info=cause)
            self._refuse(MalformedRequest())
        else:
            if self._size > HEAD_LIMIT or len(self._pairs) > MOST_FIELDS:
                self._refuse(HeadersTooLarge())

    # llhttp's side

    def on_message_begin(self) -> None:
        if self.closing:
            raise MalformedRequest
        self._partial = True
        self._url = b""
        self._pairs = []
        self._size = self._size or 1

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, url, head = self._parser, self._url, RequestHead(self._pairs)
        if self._size > HEAD_LIMIT or len(self._pairs) > MOST_FIELDS:
            self._check_size()
        self._size = 0
        # What comes from here on are trailers, which end here.
        self._pairs = []
        version = parser.get_http_version()
        old = version != "1.1"
        if old and version != "1.0":
            raise MalformedRequest("The gateway speaks HTTP/1.1.")
        rules.check_host(head, old=old)
        method = rules.METHODS.get(parser.get_method()) or rules.method(parser.get_method())
        if url[:1] == b"/" and url.isascii() and b"#" not in url:
            path, _, query = url.partition(b"?")
        else:
            path, query = rules.target(url, head)
        call = Call(self, method, path, query, head)
        if old:
            call.old, call.keep_alive = True, False
        elif b"connection" in head.fields:
            call.keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        if not call.body_done:
            rules.check_body(head, old=old, upgrade=parser.should_upgrade())
            call.expects = not old and head.fields.get(b"expect", b"").lower() == b"100-continue"
        if not call.keep_alive:
            self.closing = True
        self._incoming = call
        if self._call is None:
            self._begin(call)
        else:
            self._ahead.append(call)
            if len(self._ahead) >= AHEAD:
                self.pause_reading()

    def _check_size(self) -> None:
        """Of the head alone: its beginning may have come with what went before."""
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._pairs)
        if size > HEAD_LIMIT or len(self._pairs) > MOST_FIELDS:
            raise HeadersTooLarge

    def on_body(self, body: bytes) -> None:
        self._size = 0
        if self._incoming is not None:
            self._incoming.take(body)

    def on_message_complete(self) -> None:
        self._partial = False
        self._size = 0
        call = self._incoming
        if call is not None and not call.arrived:
            call.arrived = True
            call.wake()

    # Calls

    def _begin(self, call: Call) -> None:
        self._call = call
        self.deadline = 0.0
        if self.sweeper.stopping and not self._ahead:
            call.keep_alive = False
            self.closing = True
        gateway = self.application.gateway
        if gateway is None or call.raw_path in _PROBES:
            self.loop.call_soon(self._probe, call)
            return
        call.id = gateway.next_id()
        load = gateway.load
        room = load.room
        if room:
            if room == load.batch:
                load.arm()
            load.room = room - 1
            call.task = self.loop.create_task(gateway.handle(call))
            return
        seconds = gateway.admit_in_turn(call, call.handle)
        if not seconds:
            return
        if self._incoming is None:
            self._turn_away(call, seconds)
        else:
            self.loop.call_soon(self._turn_away, call, seconds)

    def _probe(self, call: Call) -> None:
        self._pass_over(call)
        status, headers, body = self.application.probe(call.path)
        self._say(status, headers, body, last=not call.keep_alive, bodiless=call.method == "HEAD")
        self.answered(call)

    def _turn_away(self, call: Call, seconds: int) -> None:
        """As cheaply as can be: there is too much to do already. What comes next from one who has
        asked again too soon is not even read for a moment."""
        self._pass_over(call)
        head, body = _turned_away(call.raw_path.startswith(b"/v1/"), seconds)
        end = b"\r\n\r\n" if call.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.write(head + call.id.encode() + end + (b"" if call.method == "HEAD" else body))
        self.answered(call)
        now, before = self.loop.time(), self._turned_away
        self._turned_away = now
        if now < before + TURNED_AWAY_SECONDS and not self.closing:
            self.pause_reading()
            # Not all at the same moment again.
            self.loop.call_later(TURNED_AWAY_SECONDS * (0.5 + random()), self.resume_reading)

    def _pass_over(self, call: Call) -> None:
        """It is answered without being handled."""
        call.finished = True
        if not call.arrived:
            # Whether the body still comes is perhaps the client's choice.
            call.keep_alive = False
            self.closing = True

    def answered(self, call: Call) -> None:
        """The last byte of the current answer has been written."""
        self._call = None
        if not call.keep_alive:
            # The client was told that nothing after it is answered.
            self._ahead.clear()
            self._fault = None
        if self.drained is None:
            self._proceed()
        else:
            # Who is slow to read asks nothing more meanwhile.
            self.pause_reading()

    def _proceed(self) -> None:
        """To the next call, or to the end."""
        if self._ahead:
            self._begin(self._ahead.pop(0))
            if len(self._ahead) < AHEAD:
                unread, self._unread = self._unread, b""
                self._feed(unread)
            if len(self._ahead) < AHEAD:
                self.resume_reading()
        elif self._fault is not None:
            self._complain(self._fault)
        elif self.closing:
            self.end()
        else:
            seconds = self.sweeper.head_seconds if self._partial else KEEP_ALIVE_SECONDS
            self.deadline = self.sweeper.now + seconds
            if not self._partial:
                self._incoming = None
            if not self._reading:
                self.resume_reading()

    def _refuse(self, error: GatewayError) -> None:
        """What came last cannot be read: answers the calls before it, then says so."""
        over, self.closing, self._partial = self.closing, True, False
        incoming = self._incoming
        if incoming is not None and not incoming.arrived:
            incoming.spoil(error)
        elif over:
            # It follows the last call that is answered.
            return
        elif self._call is None and self.drained is None:
            self._complain(error)
        else:
            self._fault = error

    def _complain(self, error: GatewayError) -> None:
        self._fault = None
        self.sweeper.complaints[error.code] += 1
        self._say(error.status, *render(error, None), last=True)
        self.end()

    def _say(
        self, status: int, headers: Headers, body: bytes, *, last: bool, bodiless: bool = False
    ) -> None:
        """An answer outside of any call."""
        lines = [STATUS[status], *map(b": ".join, headers), b"content-length: %d" % len(body)]
        if last:
            lines.append(b"connection: close")
        self.write(b"\r\n".join([*lines, b"\r\n"]) + (b"" if bodiless else body))

    def end(self) -> None:
        """All is said. Closing at once would destroy it while the client is still sending."""
        self.closing = True
        self._partial = False
        if self.lost:
            return
        self._flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.resume_reading()
            slow = self.transport.get_write_buffer_size() > 0
            seconds = self.sweeper.stall_seconds if slow else LINGER_SECONDS
            self.deadline = self.sweeper.now + seconds
        else:
            self.transport.close()

    def look(self, now: float) -> bool:
        """Gives up on a client that has not moved for too long; whether it did."""
        if 0.0 < self.deadline < now:
            self.deadline = 0.0
            if self.transport.get_write_buffer_size():
                # The kernel need not try on: the answer ends in the middle anyway.
                self._reset()
            else:
                self.transport.abort()
            return True
        due = now + self.sweeper.stall_seconds
        rests = self.deadline > due
        waits = not self.deadline and (self.drained is not None or self.transport.is_closing())
        if (rests or waits) and self.transport.get_write_buffer_size():
            # Nothing more is awaited, but it has not even taken what was said.
            self.deadline = due
        return False

    def drop(self) -> None:
        """Ends the connection at once: an answer that breaks off must not look complete."""
        self.closing = True
        if self.lost:
            return
        self._flush()
        if self._call is not None and self._call.endless:
            self._reset()
        else:
            self.transport.close()

    def _reset(self) -> None:
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def shutdown(self) -> None:
        """Called by uvicorn, for each connection, when the worker is to stop: see ``Sweeper``."""
        patience = float(self._config.timeout_graceful_shutdown or STOP_SECONDS)
        self.sweeper.stop(max(patience - 1.0, patience / 2))
        if self._call is not None and not self._call.status and not self._ahead:
            self._call.keep_alive = False
            self.closing = True

    def wind_up(self, now: float, grace: float, stop_at: float) -> None:
        """Looked at again and again while the worker stops."""
        if self._call is not None:
            if stop_at < now:
                self._call.stop()
            else:
                self.look(now)
        elif self._partial:
            if stop_at < now:
                self.transport.abort()
        elif self.deadline > now + grace:
            self.deadline = min(now + grace, stop_at)
        elif self.deadline < now and (stop_at < now or not _readable(self.transport)):
            self.transport.close()

    # Bytes

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


def _readable(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that the loop has not yet read."""
    waiting = poll()
    waiting.register(transport.get_extra_info("socket").fileno(), POLLIN)
    return bool(waiting.poll(0))
