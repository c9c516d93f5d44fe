"""What stays behind a call: of its connection, in memory, and for who does not take its answer."""

from __future__ import annotations

import asyncio
import socket
import weakref
from contextlib import suppress
from typing import Any

import pytest
from http_loopless import Application, Pipe, settle
from http_weight import MEGABYTE, resident, slow_reader
from http_wire import Wire
from proxy_servers import GatewayProcess
from test_http_requests import request


@pytest.fixture
async def hasty(
    monkeypatch: Any, start_gateway: Any, proxy_valkey: Any, sites: Any
) -> tuple[GatewayProcess, Any]:
    """A gateway whose clients get two seconds to take what waits."""
    monkeypatch.setenv("HUBPO_CLIENT_STALL_SECONDS", "2")
    gateway = start_gateway(proxy_valkey.url)
    site = sites(gateway, "alice")
    await site.publish()
    return gateway, site


async def test_a_probe_does_not_take_the_next_call_for_a_body_that_was_held_back(
    gateway: Any,
) -> None:
    probe = (
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n"
    )
    async with Wire(gateway.port) as wire:
        wire.send(probe)
        said = await wire.answer()
        assert (said.status, said.value("connection")) == (200, "close")
        assert await wire.closed()


async def test_nor_does_a_call_that_is_turned_away(
    monkeypatch: Any, start_gateway: Any, proxy_valkey: Any, sites: Any
) -> None:
    monkeypatch.setenv("HUBPO_GATEWAY_CALLS", "2")
    gateway = start_gateway(proxy_valkey.url)
    site = sites(gateway, "alice")
    await site.publish()
    fields = "Expect: 100-continue", "Content-Length: 50"
    async with asyncio.timeout(20), asyncio.TaskGroup() as busy:
        hold = busy.create_task(
            held_open(gateway.port, request(site, "POST /orders/7 HTTP/1.1", *fields))
        )
        while True:
            async with Wire(gateway.port) as wire:
                wire.send(request(site, "POST /nowhere HTTP/1.1", *fields))
                said = await wire.answer()
                assert said.value("connection") == "close"
                if said.status == 503:
                    break
        hold.cancel()


async def held_open(port: int, head: bytes) -> None:
    async with Wire(port) as wire:
        wire.send(head)
        await asyncio.Event().wait()


async def test_a_resting_connection_keeps_nothing_of_its_last_call() -> None:
    connection = Application().connect()
    calls: list[weakref.ref[Any]] = []
    handle = connection.application.gateway.handle

    async def watched(call: Any) -> None:
        calls.append(weakref.ref(call))
        await handle(call)

    connection.application.gateway.handle = watched
    for body in (b"", b"ab"):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.data_received(head)
        connection.data_received(body)
        await settle()
    assert [call() for call in calls] == [None, None]


async def test_fields_are_forgotten_with_their_connection(
    start_gateway: Any, proxy_valkey: Any, sites: Any
) -> None:
    """Those of very many connections, one after the other."""
    gateway = start_gateway(proxy_valkey.url)
    site = sites(gateway, "alice")
    await site.publish()
    fields = b"".join(b"%04d:\r\n" % number for number in range(240))

    def connects(number: int) -> None:
        call = b"GET /nowhere HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (site.host.encode(), fields)
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            for _ in range(2):
                client.sendall(call)
                assert client.recv(65536).startswith(b"HTTP/1.1 404")

    loop = asyncio.get_running_loop()
    for number in range(200):
        await loop.run_in_executor(None, connects, number)
    before = resident(gateway.process.pid)
    for number in range(800):
        await loop.run_in_executor(None, connects, number)
    assert resident(gateway.process.pid) - before < 15 * MEGABYTE


class Stuck(Pipe):
    """Nothing more gets through, so closing it takes for ever."""

    def get_write_buffer_size(self) -> int:
        return 0 if self.over else 100

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    closing = False


async def test_an_answer_that_broke_off_does_not_wait_without_end_for_who_does_not_take_it() -> (
    None
):
    application = Application()

    async def breaks_off(call: Any) -> None:
        await call.start(200, [], 100)
        await call.write(b"some of it")
        call.drop()

    application.gateway.handle = breaks_off
    connection, pipe = application.connect(), Stuck()
    connection.connection_made(pipe)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await settle()
    assert pipe.closing
    assert pipe.said.endswith(b"some of it")
    now = connection.sweeper.now
    for passed in (1, 20, 30):
        assert not pipe.over
        connection.look(now + passed)
    assert pipe.over


async def test_a_client_that_sends_and_does_not_read_is_closed_when_all_is_sent(
    hasty: Any, upstream: Any
) -> None:
    gateway, site = hasty
    sent, ended = asyncio.Event(), asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        size = 50 * MEGABYTE
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await sent.wait()
        await call.reader.readexactly(200_000)
        with suppress(ConnectionError):
            await call.reader.read()
        ended.set()

    upstream.script, upstream.read_body = script, False
    loop = asyncio.get_running_loop()
    async with slow_reader(gateway.port) as client:
        head = request(site, "POST /orders/7 HTTP/1.1", "Content-Length: 200000")
        await loop.sock_sendall(client, head + bytes(100_000))
        await asyncio.sleep(1)
        await loop.sock_sendall(client, bytes(100_000))
        sent.set()
        await asyncio.wait_for(ended.wait(), 15)
