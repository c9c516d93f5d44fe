"""The server's protocol with fewer system calls: ``uvicorn --http proxy.server:Protocol``.

uvloop writes at once, so uvicorn's separate writes of head and body are two system
calls, and two packets, for every answer. Here a head waits for the body that
follows it in the same turn of the event loop; one that comes alone leaves at the turn's
end. And the head of a plain answer is put together in a few steps, where uvicorn looks
at every name and value by itself. Everything else is uvicorn's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_FRAMING = frozenset({b"connection", b"transfer-encoding"})


class Corked:
    """A transport whose writes of one turn leave as one."""

    __slots__ = ("_held", "_loop", "_transport", "abort", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None
        self.is_closing = transport.is_closing
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        held = self._held
        if held is not None:
            self._held = None
            self._transport.write(held + data)
        elif data.startswith(b"HTTP/1."):
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._transport.write(held)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Cycle(RequestResponseCycle):
    """Sends the head of an answer with a Content-Length and nothing unusual itself."""

    def send(self, message: Any) -> Any:
        if (
            self.response_started
            or message["type"] != "http.response.start"
            or self.disconnected
            or self.flow.write_paused
            or self.access_log
            or self.default_headers
            or not self.keep_alive
        ):
            return super().send(message)
        headers = message["headers"]
        named = dict(headers)
        length = named.get(b"content-length")
        if length is None or not _FRAMING.isdisjoint(named):
            return super().send(message)
        head = b"\r\n".join([*map(b": ".join, headers), b"\r\n"])
        breaks = len(headers) + 1
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
            # A line break inside a field: uvicorn refuses it, and says why.
            return super().send(message)
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        self.expected_content_length = int(length)
        self.transport.write(STATUS_LINE[message["status"]] + head)
        return _DONE


class _Done:
    """An awaitable that has nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Iterator[None]:
        return iter(())


_DONE = _Done()


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Cycle
        super()._start_asgi_task(cycle, app)
