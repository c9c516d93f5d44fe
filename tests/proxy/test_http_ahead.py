"""Calls that are sent ahead of the answers before them."""

from __future__ import annotations

import asyncio
from typing import Any

from http_loopless import Application, outcome, settle
from http_weight import MEGABYTE, slow_reader
from http_wire import Wire
from test_http_requests import get, request


async def test_calls_sent_ahead_are_answered_in_order(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05 if call.target.endswith("0") else 0)
        body = call.target.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    upstream.script = script
    async with Wire(gateway.port) as wire:
        wire.send(b"".join(get(alice_site, f"/orders/{number}") for number in range(30)))
        bodies = [(await wire.answer()).body.decode() for _ in range(30)]
    assert bodies == [f"/{number}" for number in range(30)]


async def test_an_old_client_behind_a_new_one_does_not_change_its_answer(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    """The first answer is in chunks, although a client of HTTP/1.0 waits behind it."""

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")

    upstream.script = script
    old = get(alice_site).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with Wire(gateway.port) as wire:
        wire.send(get(alice_site) + old)
        first, second = await wire.answer(), await wire.answer()
    assert (first.body, first.value("transfer-encoding")) == (b"hello", "chunked")
    assert (second.body, second.value("transfer-encoding")) == (b"hello", None)


async def test_a_worker_that_stops_answers_what_was_sent_ahead_and_then_says_so() -> None:
    connection = Application().connect()
    call = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.data_received(call * 3)
    connection.shutdown()
    await settle()
    said = connection.transport.said
    assert said.count(b"HTTP/1.1 200 ") == 3
    assert said.count(b"connection: close") == 1
    assert said.endswith(b"connection: close\r\n\r\nok")
    assert connection.transport.over


async def test_who_is_turned_away_is_not_asked_for_the_body_either() -> None:
    application = Application()
    application.gateway.load.room = 0
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n"
    call = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for more, body in ((b"Expect: 100-continue\r\n\r\n", b""), (b"\r\n", b"x" * 9)):
        connection = application.connect()
        _, said, over = await outcome(connection, [head + more + body, call, call])
        assert said.count(b"HTTP/1.1 503 ") == said.count(b"connection: close") == 1
        assert over


async def test_who_is_turned_away_twice_in_a_moment_is_not_read_for_a_while() -> None:
    """Its connection stays; when to ask again it is told each time."""
    application = Application()
    application.gateway.load.room = 0
    call = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    connection = application.connect()
    pipe: Any = connection.transport
    for turned_away in (1, 2):
        _, said, over = await outcome(connection, [call])
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 3\r\n" in said
        assert not over
        assert pipe.reading is (turned_away == 1)
    await asyncio.sleep(0.5)
    assert pipe.reading


async def test_the_last_answer_reaches_a_client_that_takes_its_time(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    size = 8 * MEGABYTE

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    upstream.script = script
    loop = asyncio.get_running_loop()
    async with slow_reader(gateway.port) as client:
        await loop.sock_sendall(client, get(alice_site, "/orders/7", "Connection: close"))
        got, paused = 0, False
        while data := await loop.sock_recv(client, 65536):
            got += len(data)
            if got > size - 20_000 and not paused:
                paused = True
                await asyncio.sleep(3.5)  # longer than a connection is kept that has taken all
    assert got > size


async def test_thousands_of_calls_in_one_read_wait_as_bytes(weighed: Any, upstream: Any) -> None:
    gateway, site = weighed
    hold, count, connections = asyncio.Event(), 8000, 8

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream.script = script
    before = gateway.peak_memory()
    wires = [Wire(gateway.port, patience=60) for _ in range(connections)]
    for wire in wires:
        await wire.__aenter__()
        wire.send(get(site) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * count)
    await asyncio.sleep(0.5)
    assert gateway.peak_memory() - before < 20 * MEGABYTE
    hold.set()
    for wire in wires:
        assert (await wire.answer()).status == 200
        wire.writer.close()
    async with Wire(gateway.port, patience=60) as wire:
        wire.send(get(site) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        statuses = [(await wire.answer()).status for _ in range(count + 1)]
    assert statuses == [200] * (count + 1)


async def test_a_fault_behind_good_calls_costs_none_of_them(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    broken = request(
        alice_site, "POST /orders/x HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nhelloX"
    )
    async with Wire(gateway.port) as wire:
        wire.send(get(alice_site) * 3 + broken + get(alice_site))
        assert [(await wire.answer()).status for _ in range(4)] == [200, 200, 200, 400]
        assert await wire.closed()
    assert len(upstream.calls) == 3


async def test_who_does_not_read_asks_no_more(weighed: Any, upstream: Any) -> None:
    """Calls are not answered into a buffer that nobody empties."""
    gateway, site = weighed
    body = b"x" * 60_000

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    upstream.script = script
    before = gateway.peak_memory()
    async with slow_reader(gateway.port) as client:
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(loop.sock_sendall(client, get(site) * 20_000))
        last = -1
        while len(upstream.calls) != last:
            last = len(upstream.calls)
            await asyncio.sleep(0.5)
        assert last < 2000
        sending.cancel()
    assert gateway.peak_memory() - before < 20 * MEGABYTE
