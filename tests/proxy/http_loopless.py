"""A server connection without a socket, to feed it very many reads of one's own cutting.

The gateway behind it takes down what it is asked, with the body, and answers "ok".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from proxy.call import Call
from proxy.errors import GatewayError
from proxy.exchange import RequestHead
from proxy.server import Protocol
from proxy.shapes import render
from proxy.sweeper import Sweeper

Seen = tuple[str, bytes, bytes, tuple[tuple[bytes, bytes], ...], bytes]
"""Method, path, query, fields and body of a call."""


class Pipe(asyncio.Transport):
    """Takes everything at once. ``said`` is what the client would have read."""

    def __init__(self) -> None:
        super().__init__({"socket": SimpleNamespace(setsockopt=lambda *option: None)})
        self.said = b""
        self.over = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.said += data

    def write_eof(self) -> None:
        self.over = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return self.over

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Taker:
    """In the place of the gateway."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.load = SimpleNamespace(room=1_000_000, batch=0)

    def admit_in_turn(self, call: Call, begin: Callable[[], object]) -> int:
        return 3

    def next_id(self) -> str:
        return "id"

    async def handle(self, call: Call) -> None:
        call.entered = True
        try:
            body = await call.read_body(1 << 20)
        except asyncio.CancelledError:
            return  # The client has left.
        except GatewayError as error:
            headers, body = render(error, None)
            await call.respond(error.status, headers, body)
            return
        fields = tuple(
            pair for pair in call.head.pairs if pair[0] not in (b"content-length", b"host")
        )
        self.seen.append((call.method, call.raw_path, call.query, fields, body))
        await call.respond(200, [], b"ok")


class Application:
    def __init__(self) -> None:
        self.gateway = Taker()
        self.forgotten: list[RequestHead] = []
        self._sweeper = Sweeper(asyncio.get_running_loop(), 15.0, 25.0)

    def forget(self, head: RequestHead) -> None:
        self.forgotten.append(head)

    def sweeper(self, loop: asyncio.AbstractEventLoop) -> Sweeper:
        return self._sweeper

    def probe(self, path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return 200, [], b"ok\n"

    def connect(self) -> Protocol:
        config = SimpleNamespace(
            loaded_app=SimpleNamespace(data_plane=self), timeout_graceful_shutdown=5
        )
        state = SimpleNamespace(connections=set(), tasks=set())
        connection = Protocol(config, state, {}, asyncio.get_running_loop())
        connection.connection_made(Pipe())
        return connection


async def outcome(connection: Protocol, reads: list[bytes]) -> tuple[list[Seen], bytes, bool]:
    """The calls that these reads make, the answers to them, and whether the connection ends."""
    taker, pipe = connection.application.gateway, connection.transport
    taker.seen, pipe.said = [], b""
    for data in reads:
        connection.data_received(data)
        await settle()
    return taker.seen, pipe.said, pipe.over


async def settle() -> None:
    """Every call that is complete is answered."""
    for _ in range(8):
        await asyncio.sleep(0)
