"""An upstream's answer while it is being read from its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.errors import UpstreamBroken, UpstreamError

Sink = Callable[[bytes], "asyncio.Future[None] | None"]

if TYPE_CHECKING:
    from proxy.upstream.connection import Connection


MOST_PIECES = 256
"""In which what is held may lie: an object for each tiny chunk would weigh far more than it."""


class Response:
    """An upstream's answer. Iterate over it or ``read`` it, then ``close`` it in any case.

    ``headers`` have lower-case names and are those that speak of the answer, not of the
    connection; ``length`` is what Content-Length said. ``complete`` tells that the whole
    body has arrived, if not yet been read.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_held",
        "_sink",
        "_waiter",
        "chunked",
        "coded",
        "complete",
        "direct",
        "error",
        "headers",
        "length",
        "mark",
        "passed",
        "status",
        "tail",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._chunks: list[bytes] = []
        self._held = 0
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.direct: Callable[[bytes], object] | None = None
        """Takes a frame of a chunked body as it came, in place of the sink: the sink may set it
        while it does nothing to what it is given but write it as a frame."""
        self.tail = b"\r\n"
        self.mark: bytes | None = None
        """Only frames that end with ``tail`` and do not hold ``mark`` may go there."""
        self.passed = 0
        """Bytes of the body that went there."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False
        self.coded = False
        """The body is compressed, or otherwise in a content coding."""
        self.complete = False
        self.error: UpstreamError | None = None

    def __repr__(self) -> str:
        state = "complete" if self.complete else "broken" if self.error else "open"
        return f"<Response {self.status} {state}, {self._held} bytes held>"

    def __aiter__(self) -> Response:
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the body. Raises UpstreamBroken or UpstreamTimeout."""
        while not self._chunks:
            if self.complete:
                self.close()
                raise StopAsyncIteration
            if self.error is not None:
                raise self.error
            if self._connection is None:
                raise RuntimeError("The response was closed before it was read.")
            await self._wait(self._connection)
        chunk = self.take()
        if self._connection is not None:
            self._connection.resume()
        return chunk

    async def begun(self) -> None:
        """Returns once something of the body is held, or it is complete. Raises UpstreamBroken and
        UpstreamTimeout."""
        while not self._chunks and not self.complete:
            if self.error is not None:
                raise self.error
            if self._connection is None:
                raise RuntimeError("The response was closed before it was read.")
            await self._wait(self._connection)

    def peek(self) -> bytes:
        """Whatever body is held now, which stays there."""
        return b"".join(self._chunks)

    def take(self) -> bytes:
        """Whatever body is held now, without waiting."""
        chunks = self._chunks
        if not chunks:
            return b""
        self._chunks = []
        self._held = 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def read(self, limit: int) -> bytes:
        """The whole body; UpstreamBroken where it has more than ``limit`` bytes."""
        if self.complete and self._held <= limit:
            return self.take()
        parts, size = [], 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                self.close()
                raise UpstreamBroken(f"The upstream's answer has more than {limit} bytes.")
            parts.append(chunk)
        return b"".join(parts)

    async def pour(self, sink: Sink) -> bytes:
        """Hands every piece to ``sink`` as it arrives, and returns the last one instead.

        Nothing waits in between, so this costs far less than iterating. Where ``sink``
        returns a future the upstream is not read until that is done. Raises UpstreamBroken,
        UpstreamTimeout, and what ``sink`` raises.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("The response was closed before it was read.")
        self._sink = sink
        try:
            self.flush()
            while not self.complete:
                if self.error is not None:
                    raise self.error
                await self._wait(connection)
        finally:
            self._sink = self.direct = None
        return self.take()

    def close(self) -> None:
        """Gives the connection back if the message was complete, else drops it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.done(reusable=self.complete)

    def hold_back(self, drained: asyncio.Future[None]) -> None:
        """The client is slow: nothing is read until ``drained`` is done."""
        self.direct = None
        if self._connection is not None:
            self._connection.pause_until(drained)

    async def _wait(self, connection: Connection) -> None:
        connection.arm_idle()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            connection.deadline = 0.0

    # Called by the connection

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def flush(self) -> None:
        """All that one read brought is here."""
        if self.complete or self._sink is None:
            self.wake()
            return
        connection, chunks = self._connection, self._chunks
        if not chunks or connection is None:
            return
        connection.stirred = True
        self._held = 0
        if len(chunks) == 1:
            chunk = chunks.pop()
        else:
            chunk = b"".join(chunks)
            chunks.clear()
        try:
            drained = self._sink(chunk)
        except Exception as error:  # raised where the answer is poured
            if self._waiter is None:
                raise
            if not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if drained is not None:
            connection.pause_until(drained)
        elif connection.paused:
            connection.resume()

    def hold(self, chunk: bytes) -> int:
        chunks = self._chunks
        chunks.append(chunk)
        if len(chunks) > MOST_PIECES:
            self._chunks = [b"".join(chunks)]
        self._held += len(chunk)
        return self._held
