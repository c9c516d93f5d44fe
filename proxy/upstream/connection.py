"""One HTTP/1.1 connection to a target.

A connection carries one call at a time. Nothing here waits on a timer of its own: the
pool sweeps over ``deadline``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import httptools

from contract.snapshot import Timeouts
from proxy.errors import UpstreamBroken, UpstreamError
from proxy.stopped import HOP_BY_HOP
from proxy.upstream.frames import FRAMES, several
from proxy.upstream.response import Response

if TYPE_CHECKING:
    from proxy.upstream.pool import Lane

HEAD_LIMIT = 65536
"""Bytes that an upstream may send in a row without a piece of a body: its head above all."""
_HEAD_TOO_LARGE = f"The upstream's headers or trailers exceed {HEAD_LIMIT} bytes."
HIGH_WATER = 131072
"""Bytes of body held for a slow reader before the upstream is no longer read."""


_line_of = FRAMES.get
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_READ = _FRAMING | {b"content-encoding"}
_NOT_PASSED = frozenset(name.encode() for name in (*HOP_BY_HOP, "x-request-id")) - _FRAMING
"""Header fields that speak of this connection alone, and the one that is the gateway's."""


class Connection(asyncio.Protocol):
    """States: idle (``response`` is None), waiting for the head (``_head`` is pending), reading."""

    __slots__ = (
        "_between",
        "_closed",
        "_drain",
        "_head",
        "_head_done",
        "_head_size",
        "_interim",
        "_keep_alive",
        "_loop",
        "_method",
        "_named",
        "_parser",
        "_pump",
        "_transport",
        "_written",
        "deadline",
        "idle_since",
        "lane",
        "paused",
        "response",
        "stirred",
        "timeouts",
        "until",
        "used",
    )

    def __init__(self, lane: Lane, loop: asyncio.AbstractEventLoop) -> None:
        self.lane = lane
        self.deadline = 0.0
        """Loop time at which the pool gives up on this call; 0 where nothing is awaited."""
        self.idle_since = 0.0
        self.used = False
        self.until = 0.0
        """Loop time at which the whole call must be over; 0 where it need not be."""
        self.timeouts = Timeouts()
        self.response: Response | None = None
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[Response] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._method = ""
        self._named = b""
        self._head_size = 0
        self._head_done = False
        self._interim = False
        self._keep_alive = False
        self._between = False
        """What was read so far ends with a frame of a chunked body, and others follow."""
        self.paused = False
        self.stirred = False
        """Something has come since the pool last looked: its deadline is due anew."""
        self._written = True
        self._closed = False

    # The pool's side

    def call(
        self, method: str, head: bytes, body: bytes | AsyncIterator[bytes], length: int | None
    ) -> asyncio.Future[Response]:
        """Sends one request; the future is the head of its answer.

        ``head`` is complete with its empty line. A streamed body is sent raw where
        ``length`` is given, else chunked. The future raises UpstreamBroken, UpstreamTimeout
        and whatever ``body`` raises; who gives it up calls ``done``.
        """
        self.response = Response(self)
        self._method = method
        self._head_size = 0
        self._head_done = False
        self._keep_alive = self.stirred = self._between = False
        self._named = b""
        transport = cast("asyncio.Transport", self._transport)
        future = self._head = self._loop.create_future()
        if isinstance(body, bytes):
            transport.write(head + body if body else head)
            self.deadline = self._loop.time() + self.timeouts.first_byte
        else:
            transport.write(head)
            self._written = False
            self._pump = self._loop.create_task(self._send(body, length))
        return future

    async def _send(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """Sends a streamed body and waits while the upstream is slow to read it."""
        sent = 0
        try:
            async for chunk in body:
                if self._closed or self._transport is None:
                    return
                sent += len(chunk)
                if length is None:
                    chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
                elif sent > length:
                    raise UpstreamBroken("The request body is longer than its Content-Length.")
                self._transport.write(chunk)
                if self._drain is not None:
                    self.arm_idle()
                    await self._drain
                    self.deadline = 0.0
            if length is None and not self._closed and self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
            elif length is not None and sent < length:
                raise UpstreamBroken("The request body is shorter than its Content-Length.")
        except Exception as error:  # noqa: BLE001 - handed to the caller, who waits for the head
            if self._head is not None and not self._head.done():
                self._head.set_exception(error)
            else:
                self.abort(UpstreamBroken("The request broke off while it was being answered."))
            return
        self._written = True
        if not self._head_done:
            self.deadline = self._loop.time() + self.timeouts.first_byte

    def arm_idle(self) -> None:
        self.deadline = self._loop.time() + self.timeouts.idle

    def pause_until(self, drained: asyncio.Future[None]) -> None:
        """The client is slow: the upstream waits, and need not be in time meanwhile."""
        if not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()
        self.deadline = 0.0
        drained.add_done_callback(self._drained)

    def _drained(self, _: asyncio.Future[None]) -> None:
        if self.response is not None and not self._closed:
            self.resume()
            self.arm_idle()

    def resume(self) -> None:
        if self.paused and self._transport is not None:
            self.paused = False
            self._transport.resume_reading()

    def done(self, *, reusable: bool) -> None:
        """The call is over. The connection goes back to its lane or is dropped."""
        self.response = None
        self._head = None
        self.deadline = self.until = 0.0
        pump, self._pump = self._pump, None
        if pump is not None and not self._written:
            pump.cancel()
            reusable = False
        self._written = True
        if reusable and self._keep_alive and not self._closed:
            self.resume()
            self.lane.release(self)
        else:
            self.abort(None)

    def abort(self, error: UpstreamError | None) -> None:
        """Drops the connection; whoever waits is told ``error``."""
        if self._transport is not None:
            self._transport.abort()
        self._between = False
        if not self._closed:
            self._closed = True
            self.lane.forget(self)
        if error is not None:
            self._tell(error)

    def _tell(self, error: UpstreamError) -> None:
        response = self.response
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        elif response is not None:
            # What was complete stays so: more has come than its end.
            if not response.complete and response.error is None:
                response.error = error
            response.wake()
        if self._drain is not None and not self._drain.done():
            self._drain.set_exception(error)
            self._drain.exception()

    @property
    def untouched(self) -> bool:
        """Nothing has been received of the current call's answer."""
        return self._head_size == 0

    @property
    def usable(self) -> bool:
        return not self._closed

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self.lane.forget(self)
        if exc is None:
            self._finish_at_eof()
        self._tell(UpstreamBroken())
        # It refers to this connection, which would wait for the cycle collector.
        self._parser = cast("httptools.HttpResponseParser", None)

    def eof_received(self) -> None:
        # It may be long before the connection is lost: what is not yet written goes first.
        self.connection_lost(None)

    def _finish_at_eof(self) -> None:
        """A body with neither length nor chunks ends with the connection."""
        response = self.response
        if response is None or response.complete or not self._head_done or response.error:
            return
        if response.length is None and not response.chunked:
            response.complete = True
            response.wake()

    def pause_writing(self) -> None:
        self._drain = self._loop.create_future()

    def resume_writing(self) -> None:
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._between:
            # All that a piece of a stream costs here, where it is one frame.
            response = self.response
            if (
                response is not None
                and (direct := response.direct) is not None
                and (line := _line_of(len(data))) is not None
                and data.startswith(line)
                and data.endswith(response.tail)
                and (response.mark is None or response.mark not in data)
            ):
                self.stirred = True
                response.passed += len(data) - len(line) - 2
                direct(data)
                return
            if self._take_frames(data):
                return
        if self.response is None or self.response.complete:
            # Unasked for: a connection that does this cannot be trusted with the next call.
            self.abort(None)
            return
        room = HEAD_LIMIT - self._head_size
        self._head_size += len(data)
        if len(data) > room and not self._head_done and not _ends_within(data, room):
            self.abort(UpstreamBroken(_HEAD_TOO_LARGE))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort(UpstreamBroken("The upstream's answer is not valid HTTP/1.1."))
            return
        if self._between and data[-1:] != b"\n":
            # The next size line has begun.
            self._between = False
        if self._head_done and self.response is not None:
            self.response.flush()
        if self._head_size > HEAD_LIMIT:
            self.abort(UpstreamBroken(_HEAD_TOO_LARGE))

    def _take_frames(self, data: bytes) -> bool:
        """Whether ``data`` is whole frames and nothing else. The parser, which is between two
        of them, need not see those."""
        response = self.response
        payload = None if response is None else several(data)
        if response is None or payload is None:
            return False
        self.on_body(payload)
        response.flush()
        return True

    # httptools' side

    def on_message_begin(self) -> None:
        if self._head_done:
            self._keep_alive = False
            raise UpstreamBroken

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self.response
        if response is None or self._head_done:
            return
        name = name.lower()
        if name in _READ:
            if name == b"content-length":
                response.length = int(value)
            elif name == b"connection":
                self._named += b"," + value.lower()
            elif name == b"content-encoding":
                response.coded = response.coded or value.strip().lower() not in (b"", b"identity")
                response.headers.append((name, value))
            elif response.chunked or value.strip().lower() != b"chunked":
                # The field ends here, so what it says would be lost.
                raise UpstreamBroken
            else:
                response.chunked = True
        elif name not in _NOT_PASSED:
            response.headers.append((name, value))

    def on_headers_complete(self) -> None:
        response = cast("Response", self.response)
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101 or status < 100:
                raise UpstreamBroken
            self._interim = True
            response.headers.clear()
            response.length = None
            response.coded = False
            self._named = b""
            return
        if self._named:
            self._drop_named(response)
        response.status = status
        self._head_done = True
        self.deadline = 0.0
        if self._method == "HEAD":
            # The parser cannot know that no body follows, so it starts afresh.
            self._keep_alive = self._parser.should_keep_alive()
            self._parser = httptools.HttpResponseParser(self)
            response.complete = True
        head = self._head
        if head is not None and not head.done():
            head.set_result(response)

    def _drop_named(self, response: Response) -> None:
        """Takes out the fields that Connection fields make hop-by-hop."""
        named = {token.strip() for token in self._named.split(b",")}
        if not named <= {b"", b"keep-alive", b"close"}:
            response.headers = [pair for pair in response.headers if pair[0] not in named]

    def on_chunk_header(self) -> None:
        self._between = False

    def on_chunk_complete(self) -> None:
        self._between = True

    def on_body(self, body: bytes) -> None:
        response = self.response
        if response is None or response.complete:
            self._keep_alive = False
            return
        self._head_size = 1
        if response.hold(body) > HIGH_WATER and not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        response = self.response
        if response is None or response.complete:
            return
        self._keep_alive = self._parser.should_keep_alive()
        self._between = False
        response.complete = True


def _ends_within(data: bytes, room: int) -> bool:
    return data.find(b"\r\n\r\n", 0, max(room, 0)) >= 0
