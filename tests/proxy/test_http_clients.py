"""Clients that are slow, or leave."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from http_weight import MEGABYTE, slow_reader
from http_wire import Wire
from proxy_servers import GatewayProcess
from test_http_requests import get, request


@pytest.fixture
async def hasty(
    monkeypatch: Any, start_gateway: Any, proxy_valkey: Any, upstream: Any, sites: Any
) -> tuple[GatewayProcess, Any]:
    """A gateway whose clients get three seconds for what is fifteen or more elsewhere."""
    monkeypatch.setenv("HUBPO_CLIENT_HEAD_SECONDS", "3")
    monkeypatch.setenv("HUBPO_CLIENT_STALL_SECONDS", "3")
    gateway = start_gateway(proxy_valkey.url)
    site = sites(gateway, "alice")
    await site.publish()
    return gateway, site


async def until_closed(wire: Wire, piece: Callable[[], bytes], pause: float) -> float:
    """Seconds for which a client was let send such pieces."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    reading = asyncio.create_task(wire.reader.read())
    while not reading.done():
        wire.send(piece())
        await asyncio.wait([reading], timeout=pause)
        assert loop.time() - began < 15
    return loop.time() - began


async def test_a_client_that_sends_too_slowly_is_closed(hasty: Any, upstream: Any) -> None:
    """Whatever it is that comes a byte at a time; one that is merely slow is not."""
    gateway, site = hasty
    post = "POST /orders/7 HTTP/1.1"
    chunked = request(site, post, "Transfer-Encoding: chunked")
    kinds = {
        "nothing": (b"", b""),
        "head": (get(site)[:-2], b"x"),
        "body": (request(site, post, "Content-Length: 1000000"), b"x"),
        "chunks": (chunked, b"1\r\nx\r\n"),
        "extension": (chunked + b"5;", b"x"),
        "after a refusal": (request(site, "POST /nowhere HTTP/1.1", "Content-Length: 60000"), b"x"),
        "the next head": (get(site, "/orders/good") + b"GET / HTTP/1.1\r\nX-", b"x"),
    }

    async def lasts(kind: str) -> float:
        first, piece = kinds[kind]
        async with Wire(gateway.port) as wire:
            wire.send(first)
            return await until_closed(wire, lambda: piece, 0.2)

    async def gets_on() -> None:
        async with Wire(gateway.port) as wire:
            wire.send(request(site, "POST /orders/on HTTP/1.1", "Content-Length: 100000"))
            for _ in range(20):
                await asyncio.sleep(0.25)
                wire.send(b"x" * 5000)
            assert (await wire.answer()).status == 200

    *lasted, _ = await asyncio.gather(*map(lasts, kinds), gets_on())
    assert max(lasted) < 12, dict(zip(kinds, lasted, strict=True))
    assert [call.target for call in upstream.calls] == ["/good", "/on"]


async def test_a_client_that_reads_too_slowly_is_closed(hasty: Any, upstream: Any) -> None:
    """A byte now and then does not count as reading."""
    gateway, site = hasty
    ended = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        size = 50 * MEGABYTE
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        try:
            for _ in range(50):
                writer.write(b"x" * MEGABYTE)
                await writer.drain()
        finally:
            ended.set()

    upstream.script = script
    loop = asyncio.get_running_loop()
    async with slow_reader(gateway.port) as client:
        await loop.sock_sendall(client, get(site))

        async def nibble() -> None:
            """Until the kernel drops what it holds, too."""
            while client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != errno.ECONNRESET:
                assert await loop.sock_recv(client, 1)
                await asyncio.sleep(0.2)

        await asyncio.wait_for(asyncio.gather(nibble(), ended.wait()), 10)
    event = (await site.events(1))[-1]
    assert event.abandoned


@pytest.mark.parametrize("way", ["fin", "half", "rst"])
@pytest.mark.parametrize("when", ["body", "wait", "answer"])
async def test_a_client_that_leaves_is_recorded_and_the_upstream_told(
    gateway: Any, alice_site: Any, upstream: Any, way: str, when: str
) -> None:
    """One that closes its side alone has left: nobody can tell the difference."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if when == "answer":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            await writer.drain()
        began.set()
        await call.reader.read()
        ended.set()

    upstream.script, upstream.read_body = script, False
    async with Wire(gateway.port) as wire:
        line = "POST /orders/7 HTTP/1.1"
        length = 100_000 if when == "body" else 1
        wire.send(request(alice_site, line, f"Content-Length: {length}", body=b"x"))
        await asyncio.wait_for(began.wait(), 5)
        if when == "answer":
            await wire.reader.readuntil(b"hello")
        if way == "fin":
            wire.writer.close()
        elif way == "half":
            wire.writer.write_eof()
        else:
            wire.writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 1.0)
    event = (await alice_site.events(1))[-1]
    assert event.abandoned
    assert event.status == (200 if when == "answer" else 499)


async def test_a_client_that_leaves_at_once_is_recorded(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    async with Wire(gateway.port) as wire:
        wire.send(get(alice_site))
        await wire.writer.drain()
    event = (await alice_site.events(1))[-1]
    assert event.status in (200, 499)
