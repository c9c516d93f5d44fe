"""Bodies on their way to the upstream and back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.policies import BodyLimit

MEGABYTE = 1 << 20


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, MEGABYTE])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_body_arrives_whole(
    alice_site: Any, upstream: Any, size: int, chunked: bool
) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]

    async def pieces() -> Any:
        for start in range(0, size, 50_000):
            yield body[start : start + 50_000]

    content = pieces() if chunked else body
    response = await alice_site.call("/orders/7", "POST", content=content)
    assert response.status_code == 200
    call = upstream.calls[0]
    assert call.body == body
    framing = call.values("transfer-encoding") + call.values("content-length")
    assert len(framing) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_stream_both_ways_in_little_memory(
    alice_site: Any, upstream: Any, gateway: Any, chunked: bool
) -> None:
    size = 50 * MEGABYTE
    piece = b"x" * MEGABYTE
    upstream.keep_bodies = False

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        assert call.size == size
        if chunked:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(50):
            writer.write(b"%x\r\n%b\r\n" % (MEGABYTE, piece) if chunked else piece)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")

    async def pieces() -> Any:
        for _ in range(50):
            yield piece

    upstream.script = script
    before = gateway.peak_memory()
    headers = {} if chunked else {"Content-Length": str(size)}
    headers |= {"Host": alice_site.host, "X-API-Key": alice_site.key}
    got = 0
    async with alice_site.client.stream(
        "POST", "/orders/7", headers=headers, content=pieces()
    ) as response:
        assert response.status_code == 200
        async for chunk in response.aiter_raw(65536):
            got += len(chunk)
            if got % (5 * MEGABYTE) < 65536:
                await asyncio.sleep(0.01)  # slower than the upstream
    assert got == size
    assert gateway.peak_memory() - before < 20 * MEGABYTE
    event = (await alice_site.events(1))[-1]
    assert (event.request_bytes, event.response_bytes) == (size, size)


async def test_chunks_are_handed_on_as_they_come(alice_site: Any, upstream: Any) -> None:
    go = asyncio.Event()

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await writer.drain()
        await go.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    upstream.script = script
    headers = {"Host": alice_site.host, "X-API-Key": alice_site.key}
    async with alice_site.client.stream("GET", "/orders/7", headers=headers) as response:
        chunks = response.aiter_raw()
        assert await asyncio.wait_for(anext(chunks), 2) == b"one"
        go.set()
        assert await asyncio.wait_for(anext(chunks), 2) == b"two"


async def test_an_answer_without_a_length_ends_with_the_connection(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello ")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"world")
        writer.close()

    upstream.script = script
    assert (await alice_site.call("/orders/7")).text == "hello world"


async def test_a_body_over_the_limit_is_refused_before_and_while_reading(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.publish(apis=(alice_site.api(policies=(BodyLimit(max_bytes=100_000),)),))

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 10_000

    declared = await alice_site.call("/orders/7", "POST", content=b"x" * 100_001)
    assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
    assert upstream.calls == []
    chunked = await alice_site.call("/orders/7", "POST", content=pieces())
    assert (chunked.status_code, chunked.json()["code"]) == (413, "body_too_large")
    fits = await alice_site.call("/orders/7", "POST", content=b"x" * 100_000)
    assert fits.status_code == 200
