"""What reaches the upstream and what comes back."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from proxy_servers import GatewayProcess, Valkey

from contract import snapshot
from contract.policies import BodyLimit

MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=["proxy.server:Protocol", "httptools"])
def gateway(request: Any, proxy_valkey: Valkey, proxy_dir: Path) -> Iterator[GatewayProcess]:
    """All of this holds with the gateway's own server, and over ASGI with another's."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir, request.param)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


def route(path: str, *methods: str, rewrite: str | None = None, **extra: Any) -> snapshot.Route:
    return snapshot.Route(id=path, path=path, methods=methods, rewrite=rewrite, **extra)


# Paths and methods


async def test_the_listen_path_is_taken_off_and_the_rest_handed_on_raw(
    alice_site: Any, upstream: Any
) -> None:
    for path in ("/orders", "/orders/", "/orders/a%20b/c%2Fd?x=%2F&y", "/orders/7/?q=1"):
        assert (await alice_site.call(path)).status_code == 200
    targets = [call.target for call in upstream.calls]
    assert targets == ["/", "/", "/a%20b/c%2Fd?x=%2F&y", "/7/?q=1"]


async def test_a_rewrite_takes_the_parameters_and_a_target_its_own_prefix(
    alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    target = msgspec.structs.replace(up.targets[0], path="/base")
    routes = (
        route("/{id}/lines/{line}", rewrite="/v2/lines/{line}/of/{id}"),
        route("/files/{rest*}", rewrite="/store/{rest}"),
    )
    await alice_site.publish(
        apis=(alice_site.api(routes=routes),),
        upstreams=(msgspec.structs.replace(up, targets=(target,)),),
    )
    await alice_site.call("/orders/a%20b/lines/3?x=1")
    await alice_site.call("/orders/files/a/b/")
    targets = [call.target for call in upstream.calls]
    assert targets == ["/base/v2/lines/3/of/a%20b?x=1", "/base/store/a/b/"]


async def test_a_path_that_no_route_matches_is_not_found(alice_site: Any, upstream: Any) -> None:
    await alice_site.publish(apis=(alice_site.api(routes=(route("/{id}", "GET"),)),))
    for path in ("/other", "/orders/7/lines", "/ordersx", "/"):
        response = await alice_site.call(path)
        assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
    assert upstream.calls == []


async def test_a_method_that_no_route_takes_is_refused_with_those_that_one_does(
    alice_site: Any,
) -> None:
    await alice_site.publish(apis=(alice_site.api(routes=(route("/{id}", "GET", "PUT"),)),))
    response = await alice_site.call("/orders/7", "DELETE")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
async def test_every_method_passes_where_the_route_names_none(
    alice_site: Any, upstream: Any, method: str
) -> None:
    assert (await alice_site.call("/orders/7", method)).json()["method"] == method


@pytest.mark.parametrize(
    "path",
    [
        "/orders/../admin",
        "/orders/%2e%2e/admin",
        "/orders/..%2fadmin",
        "/orders/%2e%2e%2fadmin",
        "/orders/..%5cadmin",
        "/orders/..;/admin",
        "/orders%2f..%2fadmin",
        "/orders/%252e%252e/admin",
    ],
)
async def test_no_spelling_of_a_path_escapes_the_listen_path(
    gateway: Any, alice_site: Any, upstream: Any, path: str
) -> None:
    head = await raw(gateway, f"GET {path} HTTP/1.1", alice_site)
    assert head.startswith(b"HTTP/1.1 404")
    assert upstream.calls == []


@pytest.mark.parametrize("path", ["/%73ecret/7", "/x%2F../secret/7", "//secret/7", "/%2Fsecret/7"])
async def test_no_spelling_of_a_path_slips_past_a_stricter_route(
    gateway: Any, alice_site: Any, upstream: Any, path: str
) -> None:
    strict = route("/secret/{id}", policies=(BodyLimit(max_bytes=0),))
    routes = (strict, route("/{rest*}"))
    await alice_site.publish(apis=(alice_site.api(routes=routes),))
    head = await raw(gateway, f"POST /orders{path} HTTP/1.1", alice_site, "Content-Length: 1", "x")
    assert head.split(b" ")[1] in (b"404", b"413")
    assert upstream.calls == []


async def raw(gateway: Any, first: str, site: Any, header: str = "X: y", body: str = "") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    lines = [first, f"Host: {site.host}", f"X-API-Key: {site.key}", header, "", body]
    writer.write("\r\n".join(lines).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    return head


# Headers


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


# Answers without a body


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


# Bodies


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


# Connections


async def test_connections_are_kept_and_used_again(alice_site: Any, upstream: Any) -> None:
    for _ in range(5):
        assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    assert upstream.connections == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_costs_no_call(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.connection == 1 and len(upstream.calls) == 2:
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.script = script
    for _ in range(2):
        assert (await alice_site.call("/orders/7")).status_code == 200
    assert upstream.connections == 2


async def test_a_post_is_never_sent_twice(alice_site: Any, upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if len(upstream.calls) == 2:
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.script = script
    assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    second = await alice_site.call("/orders/7", "POST", content=b"x")
    assert (second.status_code, second.json()["code"]) == (502, "upstream_broken")
    assert len(upstream.calls) == 2


async def test_targets_take_turns_and_a_dead_one_is_passed_over(
    alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    dead = snapshot.Target(id="dead", scheme="http", host="127.0.0.1", port=1)
    both = msgspec.structs.replace(
        up, targets=(dead, up.targets[0]), breaker=snapshot.Breaker(failures=2)
    )
    await alice_site.publish(upstreams=(both,))
    for _ in range(6):
        assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    assert len(upstream.calls) == 6


# Upstreams that fail


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
