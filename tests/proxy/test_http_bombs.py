"""Requests and answers that are meant to fill the gateway's memory, and what a connection costs."""

from __future__ import annotations

import asyncio
import gzip
import socket
from typing import Any

import pytest
from http_weight import MEGABYTE, resident
from http_wire import Wire
from test_http_requests import get, request

PACKED = gzip.compress(bytes(200 * MEGABYTE), 1)
"""What would be 200 MB."""


async def stuffed(wire: Wire, start: bytes, piece: bytes, limit: int) -> int:
    """Sends ``piece`` until the gateway answers; returns the status."""
    wire.send(start)
    answering = asyncio.create_task(wire.answer())
    sent = 0
    while not answering.done() and sent < limit:
        wire.send(piece)
        sent += len(piece)
        await asyncio.wait([wire_drained(wire), answering], return_when=asyncio.FIRST_COMPLETED)
    return (await answering).status


def wire_drained(wire: Wire) -> asyncio.Task[None]:
    async def drained() -> None:
        try:
            await wire.writer.drain()
        except ConnectionError:
            await asyncio.sleep(0.01)

    return asyncio.create_task(drained())


@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (b"GET /orders/", b"x" * 100_000, 431),
        (b"GET /orders/7 HTTP/1.1\r\nX-", b"x" * 100_000, 431),
        (b"GET /orders/7 HTTP/1.1\r\nX: ", b"x" * 100_000, 431),
        (b"GET /orders/7 HTTP/1.1\r\n", b"a:\r\n" * 1000, 431),
        (b"", b"\r\n" * 50_000, 431),
    ],
)
async def test_a_head_without_end_is_refused(
    weighed: Any, start: bytes, piece: bytes, status: int
) -> None:
    gateway, _ = weighed
    wires = [Wire(gateway.port, patience=30) for _ in range(40)]
    for wire in wires:
        await wire.__aenter__()
    stati = await asyncio.gather(*(stuffed(wire, start, piece, 10 * MEGABYTE) for wire in wires))
    assert set(stati) == {status}
    for wire in wires:
        wire.writer.close()


@pytest.mark.parametrize("tail", [b"5;x=", b"0\r\nX: ", b"0\r\n"])
async def test_chunks_that_never_come_to_an_end_are_refused(weighed: Any, tail: bytes) -> None:
    """An extension, a trailer, and very many trailers."""
    gateway, site = weighed
    piece = b"a:b\r\n" * 20_000 if tail == b"0\r\n" else b"x" * 100_000
    start = request(site, "POST /orders/7 HTTP/1.1", "Transfer-Encoding: chunked") + tail
    wires = [Wire(gateway.port, patience=30) for _ in range(40)]
    for wire in wires:
        await wire.__aenter__()
    stati = await asyncio.gather(*(stuffed(wire, start, piece, 50 * MEGABYTE) for wire in wires))
    assert set(stati) == {431}
    for wire in wires:
        wire.writer.close()


async def test_very_many_parameters_weigh_little(weighed: Any, upstream: Any) -> None:
    """Forty calls at once, each with as many as a head has room for."""
    gateway, site = weighed
    query = "&".join(["a=1"] * 15_000)
    wires = [Wire(gateway.port, patience=30) for _ in range(40)]
    for wire in wires:
        await wire.__aenter__()
        wire.send(get(site, f"/orders/7?{query}"))
    assert [(await wire.answer()).status for wire in wires] == [200] * 40
    for wire in wires:
        wire.writer.close()


async def test_tiny_chunks_that_wait_weigh_little_more_than_what_they_hold(
    weighed: Any, upstream: Any
) -> None:
    """Each is the body of a call that waits for the one before it on its connection."""
    gateway, site = weighed
    hold = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream.script = script
    tiny = request(site, "GET /orders/7 HTTP/1.1")
    chunked = request(site, "POST /orders/7 HTTP/1.1", "Transfer-Encoding: chunked")
    before = gateway.peak_memory()
    wires = [Wire(gateway.port, patience=30) for _ in range(60)]
    for wire in wires:
        await wire.__aenter__()
        wire.send(tiny + chunked + b"2\r\nxy\r\n" * 40_000)
    await asyncio.sleep(3)
    grown = gateway.peak_memory() - before
    hold.set()
    for wire in wires:
        wire.writer.close()
    assert grown < 40 * MEGABYTE


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_packed_body_is_passed_on_as_it_is(
    weighed: Any, upstream: Any, encoding: str
) -> None:
    _, site = weighed
    bomb = PACKED
    headers = {"Content-Encoding": encoding}
    response = await site.call("/orders/7", "POST", content=bomb, headers=headers)
    assert response.status_code == 200
    assert upstream.calls[0].body == bomb


async def test_a_packed_answer_is_passed_on_as_it_is(weighed: Any, upstream: Any) -> None:
    gateway, site = weighed
    bomb = PACKED

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        writer.write((head % len(bomb)).encode() + bomb)

    upstream.script = script
    async with Wire(gateway.port) as wire:
        wire.send(get(site))
        answer = await wire.answer()
    assert answer.body == bomb


@pytest.mark.parametrize("part", ["head", "interim", "chunk", "trailer"])
async def test_an_upstream_that_never_comes_to_an_end_is_given_up(
    weighed: Any, upstream: Any, part: str
) -> None:
    gateway, site = weighed
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    first, piece = {
        "head": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 100_000),
        "interim": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 4000),
        "chunk": (chunked + b"5;x=", b"x" * 100_000),
        "trailer": (chunked + b"0\r\nX: ", b"x" * 100_000),
    }[part]
    cut = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        try:
            for _ in range(1000):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            cut.set()

    upstream.script = script
    async with Wire(gateway.port) as wire:
        wire.send(get(site))
        await asyncio.wait_for(cut.wait(), 10)


async def test_json_nested_without_end_is_refused_where_it_is_read(weighed: Any) -> None:
    """Elsewhere it is passed on like any body."""
    _, site = weighed
    deep = b"[" * MEGABYTE
    assert (await site.call("/orders/7", "POST", content=deep)).status_code == 200


def test_an_idle_connection_costs_little(gateway: Any) -> None:
    held = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(200)]
    before = resident(gateway.process.pid)
    held += [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(500)]
    for client in held:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    grown = resident(gateway.process.pid) - before
    for client in held:
        client.close()
    assert grown / 500 < 20_000
