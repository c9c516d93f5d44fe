"""Upstreams that fail, and clients that leave meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import msgspec
import pytest

from contract import snapshot


async def error_of(site: Any, **extra: Any) -> tuple[int, str]:
    response: httpx.Response = await site.call("/orders/7", **extra)
    return response.status_code, response.json()["code"]


async def test_an_upstream_that_nobody_serves_is_unreachable_then_left_out(
    alice_site: Any,
) -> None:
    up = alice_site.snapshot.upstreams[0]
    dead = snapshot.Target(id=f"dead-{alice_site.host}", scheme="http", host="127.0.0.1", port=1)
    await alice_site.publish(
        upstreams=(
            msgspec.structs.replace(up, targets=(dead,), breaker=snapshot.Breaker(failures=2)),
        )
    )
    assert await error_of(alice_site) == (502, "upstream_unreachable")
    assert await error_of(alice_site) == (502, "upstream_unreachable")
    assert await error_of(alice_site) == (503, "no_healthy_target")


async def test_a_silent_upstream_times_out(alice_site: Any, upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)

    upstream.script = script
    assert await error_of(alice_site) == (504, "upstream_timeout")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 30_000 + b"\r\n",
    ],
)
async def test_an_answer_that_is_not_one_is_broken(
    alice_site: Any, upstream: Any, reply: bytes
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    upstream.script = script
    assert await error_of(alice_site, method="POST") == (502, "upstream_broken")


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_breaks_off_does_not_look_complete(
    alice_site: Any, upstream: Any, framing: bytes
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    upstream.script = script
    with pytest.raises(httpx.RemoteProtocolError):
        await alice_site.call("/orders/7")
    event = (await alice_site.events(1))[-1]
    assert (event.status, event.error_code) == (200, "upstream_broken")


async def test_an_upstream_that_stalls_in_the_middle_is_given_up(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(3)

    upstream.script = script
    with pytest.raises(httpx.RemoteProtocolError):
        await alice_site.call("/orders/7")
    assert (await alice_site.events(1))[-1].error_code == "upstream_timeout"


async def test_an_early_refusal_reaches_a_client_that_is_still_sending(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(1)
        writer.close()

    async def pieces() -> Any:
        for _ in range(100):
            yield b"x" * 10_000
            await asyncio.sleep(0.005)

    upstream.script = script
    upstream.read_body = False
    response = await alice_site.call("/orders/7", "POST", content=pieces())
    assert (response.status_code, response.text) == (403, "no")


async def test_private_addresses_are_refused_where_the_tenant_may_not_use_them(
    alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "10.0.0.1", "169.254.169.254", "::1"):
        target = snapshot.Target(id=host, scheme="http", host=host, port=upstream.port)
        await alice_site.publish(
            private_upstreams=False, upstreams=(msgspec.structs.replace(up, targets=(target,)),)
        )
        assert await error_of(alice_site) == (502, "upstream_address_forbidden"), host
    assert upstream.calls == []


async def test_a_client_that_leaves_ends_the_upstream_call(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    patient = msgspec.structs.replace(up, timeouts=snapshot.Timeouts())
    await alice_site.publish(upstreams=(patient,))
    closed = asyncio.Event()

    async def until_gone(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.target == "/streaming":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            await writer.drain()
        with suppress(ConnectionError):
            await call.reader.read()
        closed.set()

    upstream.script = until_gone
    for path, status in (("/silent", 499), ("/streaming", 200)):
        closed.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        lines = [f"GET /orders{path} HTTP/1.1", f"Host: {alice_site.host}"]
        lines += [f"X-API-Key: {alice_site.key}", "", ""]
        writer.write("\r\n".join(lines).encode())
        if path == "/streaming":
            await reader.readuntil(b"hello")
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.wait_for(closed.wait(), 1.0)
        wanted = f"/orders{path}"
        for _ in range(100):
            found = [e for e in await alice_site.events(1) if e.path == wanted]
            if found:
                break
            await asyncio.sleep(0.05)
        assert (found[0].status, found[0].abandoned) == (status, True)
