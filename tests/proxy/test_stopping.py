"""A worker that is told to stop: what is under way is answered, and nobody's next call is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest
from msgspec.structs import replace
from proxy_servers import GatewayProcess, Site, answer

from contract.snapshot import Timeouts

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture
async def stopping(start_gateway: Any, proxy_valkey: Any, sites: Any) -> Any:
    """``stopping(seconds)``: a gateway that has so long to stop, and a site on it."""
    clients = []

    async def make(seconds: int) -> tuple[GatewayProcess, Site]:
        process = start_gateway(proxy_valkey.url, stop_seconds=seconds)
        site = sites(process, "stopping")
        clients.append(site.client)
        await site.publish()
        return process, site

    yield make
    for client in clients:
        await client.aclose()


class Client:
    """A client that keeps its connection and takes ``Connection: close`` at its word."""

    def __init__(self, port: int, site: Site) -> None:
        self.port = port
        self.head = f"Host: {site.host}\r\nX-API-Key: {site.key}\r\n\r\n".encode()
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def call(self, path: bytes = b"/orders/7") -> bytes:
        """The head of the answer, in lower case; its body is read."""
        assert self.reader is not None
        assert self.writer is not None
        self.writer.write(b"GET " + path + b" HTTP/1.1\r\n" + self.head)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await self.reader.readexactly(length)
        return head

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


async def has_stopped(process: GatewayProcess) -> bool:
    """By itself: uvicorn ends with the signal that it was sent once it is done."""
    return await asyncio.to_thread(process.process.wait, 15) == -signal.SIGTERM


async def test_no_call_of_busy_clients_is_lost(stopping: Any) -> None:
    """Each client is told on an answer that its connection ends, and never finds it gone."""
    process, site = await stopping(20)
    answered, told = 0, 0
    begun = asyncio.Event()

    async def client(number: int) -> None:
        nonlocal answered, told
        mine = Client(process.port, site)
        await mine.connect()
        while True:
            head = await mine.call()
            assert head.startswith(b"http/1.1 200"), head
            answered += 1
            if answered > 300:
                begun.set()
            if b"connection: close" in head:
                told += 1
                assert mine.reader is not None
                assert await mine.reader.read() == b""
                mine.close()
                return
            await asyncio.sleep(0.001 * (number % 7))

    clients = [asyncio.create_task(client(number)) for number in range(40)]
    await begun.wait()
    process.process.terminate()
    await asyncio.wait_for(asyncio.gather(*clients), 20)
    assert told == 40
    assert await has_stopped(process)
    assert len(await site.events(answered)) == answered


async def test_a_slow_answer_and_a_stream_end_as_they_should(stopping: Any, upstream: Any) -> None:
    process, site = await stopping(20)
    go_on = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.target == "/marker":
            writer.write(answer())
        elif call.target == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n")
            await writer.drain()
            await go_on.wait()
            writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        else:
            await go_on.wait()
            writer.write(answer(b"late"))

    upstream.script = script
    slow = asyncio.create_task(site.call("/orders/slow"))
    stream = asyncio.create_task(site.call("/orders/stream"))
    while len(upstream.calls) < 2:
        await asyncio.sleep(0.01)
    process.process.terminate()
    await asyncio.sleep(0.3)
    assert process.process.poll() is None
    go_on.set()
    assert (await slow).text == "late"
    assert (await slow).headers["connection"] == "close"
    assert (await stream).text == "one two"
    assert await has_stopped(process)


async def test_what_takes_too_long_is_given_up_and_recorded(stopping: Any, upstream: Any) -> None:
    process, site = await stopping(2)

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.target == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n")
            await writer.drain()
        await asyncio.sleep(30)

    upstream.script = script
    patient = replace(site.snapshot.upstreams[0], timeouts=Timeouts())
    await site.publish(upstreams=(patient,))
    slow = asyncio.create_task(site.call("/orders/slow"))
    stream = Client(process.port, site)
    await stream.connect()
    assert stream.writer is not None
    assert stream.reader is not None
    stream.writer.write(b"GET /orders/stream HTTP/1.1\r\n" + stream.head)
    await stream.reader.readuntil(b"one ")
    while len(upstream.calls) < 2:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    process.process.terminate()
    response = await slow
    assert (response.status_code, response.json()["code"]) == (503, "gateway_stopping")
    assert response.headers["retry-after"] == "1"
    rest = await stream.reader.read()
    assert not rest.endswith(b"0\r\n\r\n"), "a stream that was cut off does not look complete"
    assert await has_stopped(process)
    assert time.monotonic() - began < 10
    events = {event.path: event for event in await site.events(2)}
    assert events["/orders/slow"].status == 503
    assert events["/orders/stream"].status == 200
    assert {event.error_code for event in events.values()} == {"gateway_stopping"}
    stream.close()


async def test_an_idle_connection_has_a_while_for_one_more_call(stopping: Any) -> None:
    process, site = await stopping(20)
    early, never = Client(process.port, site), Client(process.port, site)
    await early.connect()
    await never.connect()
    assert b"connection: close" not in await early.call()
    assert b"connection: close" not in await never.call()
    process.process.terminate()
    await asyncio.sleep(0.3)
    assert b"connection: close" in await early.call()
    assert never.reader is not None
    assert await asyncio.wait_for(never.reader.read(), 10) == b""
    assert await has_stopped(process)
    early.close()
    never.close()


async def test_a_worker_that_stops_says_that_it_is_not_ready(stopping: Any) -> None:
    process, site = await stopping(20)
    client = Client(process.port, site)
    await client.connect()
    process.process.terminate()
    await asyncio.sleep(0.3)
    assert (await client.call(b"/readyz")).startswith(b"http/1.1 503")
    client.close()
