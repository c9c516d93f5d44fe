"""One connection to an upstream after another call's, or with an upstream that breaks off."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from proxy_servers import answer

from contract.snapshot import Target, Timeouts
from proxy.errors import UpstreamBroken, UpstreamTimeout
from proxy.upstream.pool import Pool, Response

PATIENT = Timeouts(connect=10, first_byte=60, idle=60)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


async def send(pool: Pool, port: int, method: str = "GET", body: Any = b"", **extra: Any) -> Any:
    target = Target(id="t", scheme="http", host="127.0.0.1", port=port)
    options: dict[str, Any] = {"timeouts": PATIENT, "private_ok": True} | extra
    return await pool.send(target, method, b"/x", [], body, **options)


async def begun(pool: Pool, upstream: Any) -> tuple[Response, asyncio.Event]:
    """An answer of which the first of two pieces has come; the event sends the other."""
    rest = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if len(upstream.calls) == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            await rest.wait()
            writer.write(b"cd")
        else:
            await asyncio.sleep(30)

    upstream.script = script
    response = await send(pool, upstream.port)
    return response, rest


async def test_a_call_after_a_stream_has_its_own_time_to_the_first_byte(
    pool: Pool, upstream: Any
) -> None:
    response, rest = await begun(pool, upstream)

    def sink(chunk: bytes) -> None:
        rest.set()

    assert await response.pour(sink) == b"cd"
    response.close()
    async with asyncio.timeout(20):
        with pytest.raises(UpstreamTimeout):
            await send(pool, upstream.port, timeouts=Timeouts(first_byte=0.5, idle=60))
    assert upstream.connections == 1


async def test_what_a_sink_raises_for_the_first_piece_ends_the_stream(
    pool: Pool, upstream: Any
) -> None:
    response, rest = await begun(pool, upstream)
    while "2 bytes held" not in repr(response):
        await asyncio.sleep(0)

    def sink(chunk: bytes) -> None:
        rest.set()
        raise ValueError(chunk)

    async with asyncio.timeout(20):
        with pytest.raises(ValueError, match="ab"):
            await response.pour(sink)
    response.close()


async def test_an_upstream_that_reads_no_more_and_ends_its_side_has_broken_off(pool: Pool) -> None:
    gone = asyncio.Event()

    async def half_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write_eof()
        await gone.wait()
        writer.transport.resume_reading()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1 << 28)
        gone.clear()
        writer.close()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield bytes(1 << 20)

    server = await asyncio.start_server(half_closed, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(20):
        with pytest.raises(UpstreamBroken):
            await send(pool, port, "POST", body())
        gone.set()
        while gone.is_set():
            await asyncio.sleep(0.01)
    server.close()


async def test_a_connection_lost_on_its_way_to_a_call_that_waits_is_not_used(
    pool: Pool, upstream: Any
) -> None:
    upstream.script = lambda call, writer: _ok(writer)
    first = await send(pool, upstream.port, most=1)
    assert await first.read(10) == b"ok"
    second = asyncio.create_task(send(pool, upstream.port, "POST", b"once", most=1))
    (lane,) = pool.lanes
    while not lane.waiting:
        await asyncio.sleep(0)
    (connection,) = lane.active
    first.close()
    connection.abort(None)
    async with asyncio.timeout(20):
        response = await second
    assert await response.read(10) == b"ok"
    response.close()
    assert (upstream.connections, len(upstream.calls)) == (2, 2)
    assert (len(lane.idle), len(lane.active), lane.connecting) == (1, 0, 0)


async def _ok(writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"ok"))


async def test_tiny_chunks_that_nobody_reads_weigh_little_more_than_what_they_hold(
    pool: Pool, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"2\r\nxy\r\n" * 60_000)
        await asyncio.sleep(30)

    upstream.script = script
    response = await send(pool, upstream.port)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        async with asyncio.timeout(20):
            while len(response.peek()) < 100_000:
                await asyncio.sleep(0.05)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        response.close()
    assert grown < 1_000_000
