"""Headers on their way to the upstream and back, and answers that have no body."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import msgspec


async def test_hop_by_hop_headers_end_at_the_gateway_both_ways(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: X-Inner, close\r\nX-Inner: a\r\nX-Outer: b\r\n"
            b"Keep-Alive: timeout=5\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\n\r\nok"
        )
        writer.close()

    upstream.script = script
    headers = {
        "Connection": "X-Private, keep-alive",
        "X-Private": "1",
        "X-Public": "2",
        "TE": "trailers",
        "Keep-Alive": "timeout=1",
        "Proxy-Authorization": "Basic x",
    }
    response = await alice_site.call("/orders/7", headers=headers)
    assert response.text == "ok"
    sent = {name.lower() for name, _ in upstream.calls[0].headers}
    assert "x-public" in sent
    assert not sent & {"x-private", "te", "keep-alive", "proxy-authorization", "connection"}
    assert response.headers["x-outer"] == "b"
    assert "x-inner" not in response.headers
    assert "keep-alive" not in response.headers
    assert response.headers.get_list("x-request-id") != ["theirs"]


async def test_what_the_caller_says_of_itself_is_replaced(alice_site: Any, upstream: Any) -> None:
    lies = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X_Forwarded_For": "1.2.3.4",
        "X-Forwarded_Host": "evil.example",
        "X-Real-IP": "1.2.3.4",
        "Forwarded": "for=1.2.3.4",
        "X-Request-Id": "mine",
        "X_Harmless": "kept",
    }
    response = await alice_site.call("/orders/7", headers=lies)
    call = upstream.calls[0]
    assert call.values("x-forwarded-for") == ["127.0.0.1"]
    assert call.values("x-forwarded-proto") == ["http"]
    assert call.values("x-forwarded-host") == [alice_site.host]
    assert call.values("forwarded") == [f'for=127.0.0.1;proto=http;host="{alice_site.host}"']
    assert call.values("x-request-id") == [response.headers["x-request-id"]]
    assert call.values("x_harmless") == ["kept"]
    assert "1.2.3.4" not in str(call.headers)
    assert "evil.example" not in str(call.headers)
    assert len(call.values("host")) == 1


async def test_the_host_is_the_targets_or_where_asked_the_callers(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.call("/orders/7")
    up = msgspec.structs.replace(alice_site.snapshot.upstreams[0], preserve_host=True)
    await alice_site.publish(upstreams=(up,))
    await alice_site.call("/orders/7")
    hosts = [call.values("host") for call in upstream.calls]
    assert hosts == [[f"127.0.0.1:{upstream.port}"], [alice_site.host]]


async def test_repeated_headers_and_encoded_bodies_come_back_as_sent(
    alice_site: Any, upstream: Any
) -> None:
    packed = gzip.compress(b"hello " * 100)

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        fields = f"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\n{len(packed)}"
        head, length = fields.rsplit("\r\n", 1)
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\nContent-Length: {length}\r\n\r\n".encode())
        writer.write(packed)

    upstream.script = script
    response = await alice_site.call("/orders/7")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.text == "hello " * 100


async def test_head_204_and_304_have_no_body_and_keep_the_connection(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        status = call.target.strip("/")
        length = "Content-Length: 5\r\n" if status in ("200", "304") else ""
        writer.write(f'HTTP/1.1 {status} X\r\n{length}ETag: "a"\r\n\r\n'.encode())

    upstream.script = script
    head = await alice_site.call("/orders/200", "HEAD")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    for status in (204, 304):
        response = await alice_site.call(f"/orders/{status}")
        assert (response.status_code, response.content) == (status, b"")
        assert response.headers["etag"] == '"a"'
    assert upstream.connections == 1


async def test_interim_answers_are_skipped(alice_site: Any, upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")
        writer.write(b"Content-Length: 2\r\n\r\nok")

    upstream.script = script
    response = await alice_site.call("/orders/7")
    assert (response.status_code, response.text) == (201, "ok")
    assert "link" not in response.headers
