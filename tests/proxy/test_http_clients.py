"""Clients that send ahead, are slow, leave, or try to fill the gateway's memory."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_loopless import Application, outcome, settle
from http_wire import Wire
from proxy_servers import GatewayProcess
from test_http_requests import get, request

MEGABYTE = 1 << 20
PACKED = gzip.compress(bytes(200 * MEGABYTE), 1)
"""What would be 200 MB."""


@pytest.fixture(scope="module")
def scale(proxy_valkey: Any, proxy_dir: Path) -> Iterator[tuple[GatewayProcess, int]]:
    """A gateway that has not yet been used for anything, and its bytes."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir)
    process.wait_until_ready()
    yield process, process.peak_memory()
    process.stop()


@pytest.fixture
async def weighed(scale: Any, sites: Any) -> AsyncIterator[tuple[GatewayProcess, Any]]:
    """It may not grow by 50 MB, whatever all tests together do to it."""
    gateway, before = scale
    site = sites(gateway, "alice")
    await site.publish()
    yield gateway, site
    assert gateway.peak_memory() - before < 50 * MEGABYTE


# Calls sent ahead


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


class slow_reader:
    """A socket that takes little before it is read."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> socket.socket:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        return self.socket

    async def __aexit__(self, *error: object) -> None:
        self.socket.close()


# Clients that are slow


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


# Clients that leave


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


# Bombs


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


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
