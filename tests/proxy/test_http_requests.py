"""What a request means: framing, targets, hosts, versions, and the fields that end here."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from http_wire import Answer, Wire

from contract.policies import BodyLimit


def request(site: Any, line: str, *fields: str, body: bytes = b"") -> bytes:
    """A request of the site's app with these fields."""
    lines = [line, f"Host: {site.host}", f"X-API-Key: {site.key}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def get(site: Any, path: str = "/orders/7", *fields: str) -> bytes:
    return request(site, f"GET {path} HTTP/1.1", *fields)


async def ask(gateway: Any, raw: bytes, method: str = "GET") -> Answer:
    async with Wire(gateway.port) as wire:
        wire.send(raw)
        return await wire.answer(method)


async def refused(gateway: Any, raw: bytes, status: int = 400) -> str:
    """The gateway refuses and closes. Returns the error's code."""
    async with Wire(gateway.port) as wire:
        wire.send(raw)
        answer = await wire.answer()
        assert answer.status == status, (raw, answer)
        assert answer.value("content-type") == "application/problem+json"
        assert answer.value("connection") == "close"
        assert await wire.closed()
        return str(msgspec.json.decode(answer.body)["code"])


# Framing

SMUGGLED = b"0\r\n\r\nGET /orders/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


AMBIGUOUS = [
    ["Content-Length: 5", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5, 5"],
    ["Content-Length: +5"],
    ["Content-Length: -5"],
    ["Content-Length: 0x5"],
    ["Content-Length: 5 5"],
    ["Content-Length: 5_0"],
    ["Content-Length: "],
    ["Content-Length: 18446744073709551616"],
    ["Content-Length : 5"],
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Transfer-Encoding: xchunked"],
    ["Transfer-Encoding: chunked, identity"],
    ["Transfer-Encoding: identity"],
    ["Transfer-Encoding: gzip, chunked"],
    ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked, chunked"],
    ["Transfer-Encoding: chunked;q=1"],
    ["Transfer-Encoding: \x0bchunked"],
    ['Transfer-Encoding: "chunked"'],
    ["Transfer-Encoding:"],
    ["Transfer-Encoding : chunked"],
    ["Transfer-Encoding\t: chunked"],
    [" Transfer-Encoding: chunked"],
    ["X: y", " Transfer-Encoding: chunked"],
    ["X: y\rTransfer-Encoding: chunked"],
    ["X: y\nTransfer-Encoding: chunked"],
    ["X: y\x00", "Transfer-Encoding: chunked"],
    ["Transfer Encoding: chunked"],
]
BROKEN = [
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5;\r\nhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nBad Trailer: x\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: a\nb\r\n\r\n",
]


async def test_a_length_that_can_be_read_in_two_ways_is_refused(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    line = "POST /orders/7 HTTP/1.1"
    raws = [request(alice_site, line, *fields, body=SMUGGLED) for fields in AMBIGUOUS]
    codes = await asyncio.gather(*(refused(gateway, raw) for raw in raws))
    assert set(codes) == {"malformed_request"}
    assert upstream.calls == []


async def test_a_chunk_that_is_not_one_is_refused_and_its_body_never_complete(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    head = request(alice_site, "POST /orders/7 HTTP/1.1", "Transfer-Encoding: chunked")
    codes = await asyncio.gather(*(refused(gateway, head + body) for body in BROKEN))
    assert set(codes) == {"malformed_request"}
    assert upstream.calls == []


async def test_a_coding_is_known_by_any_case(gateway: Any, alice_site: Any, upstream: Any) -> None:
    raw = request(
        alice_site, "POST /orders/7 HTTP/1.1", "Transfer-Encoding: CHUNKED",
        body=b"5;a=b\r\nhello\r\n0\r\n\r\n",
    )  # fmt: skip
    assert (await ask(gateway, raw)).status == 200
    assert upstream.calls[0].body == b"hello"


@pytest.mark.parametrize("together", [True, False])
async def test_trailers_end_at_the_gateway(
    gateway: Any, alice_site: Any, upstream: Any, together: bool
) -> None:
    head = request(alice_site, "POST /orders/7 HTTP/1.1", "Transfer-Encoding: chunked")
    async with Wire(gateway.port) as wire:
        wire.send(head)
        if not together:
            await asyncio.sleep(0.02)
        wire.send(b"5\r\nhello\r\n0\r\nX-Trailer: late\r\nHost: evil\r\n\r\n")
        assert (await wire.answer()).status == 200
        wire.send(get(alice_site))
        assert (await wire.answer()).status == 200
    assert upstream.calls[0].body == b"hello"
    assert upstream.calls[0].values("x-trailer") == []
    assert len(upstream.calls[0].values("host")) == 1


# Hosts, targets, versions


async def test_a_request_without_exactly_one_host_is_refused(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    host = alice_site.host
    for hosts in ([], [host, host], [host, "other"], ["a b"], [f"{host}/x"], [f"x@{host}"], ["é"]):
        lines = [f"Host: {host}" for host in hosts] + [f"X-API-Key: {alice_site.key}", "", ""]
        raw = "\r\n".join(["GET /orders/7 HTTP/1.1", *lines])
        await refused(gateway, raw.encode())
    assert upstream.calls == []


async def test_a_target_that_names_no_path_here_is_refused(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    for target in (
        "http://other.example/orders/7",
        "http://user@{host}/orders/7",
        "http://{host}@other.example/orders/7",
        "ftp://{host}/orders/7",
        "http:///orders/7",
        "{host}/orders/7",
        "orders/7",
        "*",
        "/orders/\xe9",
        "/orders/7?q=\xe9",
        "/orders/\x007",
        "/orders/\x7f",
        "/orders/7\t",
        "/orders/7 8",
        "",
    ):
        target = target.format(host=alice_site.host)
        await refused(gateway, request(alice_site, f"GET {target} HTTP/1.1"))
    assert upstream.calls == []


async def test_connect_is_refused(gateway: Any, alice_site: Any, upstream: Any) -> None:
    for target in ("{host}:443", "/orders/7", "http://{host}/orders/7"):
        target = target.format(host=alice_site.host)
        await refused(gateway, request(alice_site, f"CONNECT {target} HTTP/1.1"))
    assert upstream.calls == []


async def test_a_target_may_name_the_host_once_more_and_a_fragment_stays_here(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    host = alice_site.host.upper()
    for target in (f"http://{host}/orders/7?x=1", f"HTTP://{host}:80/orders/7?x=1#there",
                   "/orders/7?x=1#there"):  # fmt: skip
        assert (await ask(gateway, get(alice_site, target))).status == 200
    assert [call.target for call in upstream.calls] == ["/7?x=1"] * 3


async def test_other_versions_are_refused(gateway: Any, alice_site: Any, upstream: Any) -> None:
    for version in ("HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1", "http/1.1", ""):
        await refused(gateway, request(alice_site, f"GET /orders/7 {version}".rstrip()))
    assert upstream.calls == []


async def test_http_1_0_is_answered_without_chunks_and_closed(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")

    upstream.script = script
    raw = request(alice_site, "GET /orders/7 HTTP/1.0", "Connection: keep-alive")
    answer = await ask(gateway, raw + get(alice_site))
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.values("transfer-encoding") == []
    assert len(upstream.calls) == 1
    chunked = request(
        alice_site, "POST /orders/7 HTTP/1.0", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    )
    await refused(gateway, chunked)


async def test_an_answer_cut_short_for_http_1_0_is_reset(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    """Only the end of the connection tells how long it is."""

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()

    upstream.script = script
    with pytest.raises(ConnectionResetError):
        await ask(gateway, request(alice_site, "GET /orders/7 HTTP/1.0"))


# Upgrades that are not offered


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
async def test_an_upgrade_that_is_not_offered_is_passed_over(
    gateway: Any, alice_site: Any, upstream: Any, protocol: str
) -> None:
    fields = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AA")
    async with Wire(gateway.port) as wire:
        wire.send(get(alice_site, "/orders/7", *fields) + get(alice_site, "/orders/smuggled"))
        answer = await wire.answer()
        assert (answer.status, answer.value("connection")) == (200, "close")
        assert await wire.closed()
    assert [call.target for call in upstream.calls] == ["/7"]
    assert upstream.calls[0].values("upgrade") + upstream.calls[0].values("http2-settings") == []
    sized = request(
        alice_site, "POST /orders/7 HTTP/1.1", *fields, "Content-Length: 4", body=b"abcd"
    )
    await refused(gateway, sized)
    assert len(upstream.calls) == 1


# Expectations


async def test_a_client_that_waits_is_told_to_go_on(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    fields = ("Expect: 100-Continue", "Content-Length: 5")
    async with Wire(gateway.port) as wire:
        for _ in range(2):
            wire.send(request(alice_site, "POST /orders/7 HTTP/1.1", *fields))
            assert await wire.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            wire.send(b"hello")
            assert (await wire.answer()).status == 200
    assert [call.body for call in upstream.calls] == [b"hello"] * 2
    assert upstream.calls[0].values("expect") == []


async def test_who_is_refused_is_not_asked_for_the_body(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    await alice_site.publish(apis=(alice_site.api(policies=(BodyLimit(max_bytes=4),)),))
    fields = ("Expect: 100-continue", "Content-Length: 5")
    for raw, status in (
        (request(alice_site, "POST /orders/7 HTTP/1.1", *fields), 413),
        (request(alice_site, "POST /orders/7 HTTP/1.1", *fields).replace(b"hub_", b"hob_"), 401),
    ):
        async with Wire(gateway.port) as wire:
            wire.send(raw)
            head = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"connection: close" in head
            # Whether this is the body after all or a request, nobody answers it.
            wire.send(get(alice_site))
            assert b"HTTP/1.1" not in await wire.reader.read()
    assert upstream.calls == []


async def test_an_old_client_is_not_told_to_go_on(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    fields = ("Expect: 100-continue", "Content-Length: 5")
    async with Wire(gateway.port) as wire:
        wire.send(request(alice_site, "POST /orders/7 HTTP/1.0", *fields))
        await asyncio.sleep(0.05)
        wire.send(b"hello")
        head = await wire.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
    assert upstream.calls[0].body == b"hello"


# Refusals before the body has come


async def test_after_an_early_refusal_a_small_body_is_passed_over(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    """It is not taken for the next request."""
    raw = request(alice_site, "POST /nowhere HTTP/1.1", "Content-Length: 1000")
    async with Wire(gateway.port) as wire:
        for _ in range(2):
            wire.send(raw)
            assert (await wire.answer()).status == 404
            wire.send(get(alice_site, "/orders/smuggled").ljust(1000))
            wire.send(get(alice_site))
            assert (await wire.answer()).status == 200
    assert [call.target for call in upstream.calls] == ["/7", "/7"]


async def test_after_an_early_refusal_a_large_body_is_not_waited_for(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    raw = request(alice_site, "POST /nowhere HTTP/1.1", "Content-Length: 1000000000")
    async with Wire(gateway.port) as wire:
        wire.send(raw)
        await asyncio.sleep(0.02)
        wire.send(b"x" * 1_000_000)
        answer = await wire.answer()
        assert (answer.status, answer.value("connection")) == (404, "close")
        assert await wire.closed()


# HEAD


async def test_head_says_what_get_would_have_and_has_no_body(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    replies = {
        "/sized": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "/unsized": b"HTTP/1.1 200 OK\r\n\r\n",
        "/204": b"HTTP/1.1 204 No Content\r\n\r\n",
        "/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    }

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(replies[call.target])

    upstream.script = script
    lengths = {}
    async with Wire(gateway.port) as wire:
        for path in replies:
            wire.send(request(alice_site, f"HEAD /orders{path} HTTP/1.1"))
            answer = await wire.answer("HEAD")
            lengths[path] = answer.value("content-length")
        assert lengths["/sized"] == "5"
        assert lengths["/chunked"] is None
        assert lengths["/unsized"] is None
        assert lengths["/204"] is None
        for line in ("HEAD /nowhere", "HEAD /healthz", "HEAD /readyz"):
            wire.send(request(alice_site, f"{line} HTTP/1.1"))
            assert (await wire.answer("HEAD")).status in (200, 404)
        wire.send(request(alice_site, "GET /orders/sized HTTP/1.1", "Connection: close"))
        with pytest.raises(asyncio.IncompleteReadError):
            await wire.answer()  # The upstream's body never comes; nothing else does either.
    assert upstream.connections <= 2


# Fields that end here


async def test_a_caller_cannot_take_out_what_the_gateway_sets(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    named = "host, content-length, x-forwarded-for, forwarded, x-request-id, transfer-encoding"
    fields = (f"Connection: {named}", "Connection: X-Own, keep-alive", "X-Own: 1")
    line = "POST /orders/7 HTTP/1.1"
    raw = request(alice_site, line, *fields, "Content-Length: 5", body=b"hello")
    assert (await ask(gateway, raw)).status == 200
    call = upstream.calls[0]
    assert call.body == b"hello"
    for name in ("host", "content-length", "x-forwarded-for", "forwarded", "x-request-id"):
        assert len(call.values(name)) == 1, name
    assert call.values("x-own") == []


async def test_no_spelling_of_a_field_that_upstreams_trust_gets_through(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    for field in (
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "X_Forwarded_For: 6.6.6.6",
        "x_forwarded-for: 6.6.6.6",
        "X_REAL_IP: 6.6.6.6",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Scheme: https",
        "X-Forwarded-Ssl: on",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-Client-IP: 6.6.6.6",
        "X-Cluster-Client-IP: 6.6.6.6",
        "True-Client-IP: 6.6.6.6",
        "Proxy: http://evil.example",
        "Proxy-Connection: keep-alive",
        "Trailer: X",
        "Keep-Alive: timeout=5",
    ):
        assert (await ask(gateway, get(alice_site, "/orders/7", field))).status == 200
        name, _, value = field.partition(": ")
        assert value not in [got for key, got in upstream.calls[-1].headers if key == name.lower()]
