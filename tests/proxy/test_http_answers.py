"""What an upstream's answer means, and that nothing unasked for reaches another call."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from contract.snapshot import Breaker

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.fixture
async def patient_site(alice_site: Any) -> Any:
    """Its upstream may fail as often as it likes."""
    up = msgspec.structs.replace(alice_site.snapshot.upstreams[0], breaker=Breaker(failures=1000))
    await alice_site.publish(upstreams=(up,))
    return alice_site


def replies(upstream: Any, *raws: bytes, close: bool = False) -> None:
    """The upstream's next answers, as bytes; then plain ones."""
    left = list(raws)

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if left else OK)
        await writer.drain()
        if close:
            writer.close()

    upstream.script = script


AMBIGUOUS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 1000 No\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" + OK,
    b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + OK,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK,
    b"HTTP/1.1 102 Processing\r\n\r\n" * 40_000 + OK,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"Content-Length: 2\r\n\r\nok",
    b"<html>not http</html>",
]


async def test_an_answer_that_can_be_read_in_two_ways_is_broken(
    patient_site: Any, upstream: Any
) -> None:
    for reply in AMBIGUOUS:
        replies(upstream, reply)
        response = await patient_site.call("/orders/7", "POST", content=b"x")
        assert (response.status_code, response.json()["code"]) == (502, "upstream_broken"), reply
        again = await patient_site.call("/orders/7", "POST", content=b"x")
        assert (again.status_code, again.text) == (200, "ok")
    assert upstream.connections == len(AMBIGUOUS) + 1


PLAIN = [
    ("GET", OK, "ok"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", ""),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ""),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ""),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
    ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", "ok"),
]


@pytest.mark.parametrize("pause", [None, 0.0, 0.05])
async def test_what_comes_after_an_answer_is_nobodys(
    patient_site: Any, upstream: Any, pause: float | None
) -> None:
    """In the same packet, right behind it, or while the connection rests."""
    reply = b""

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.target == "/second":
            writer.write(OK)
        elif pause is None:
            writer.write(reply + EVIL)
        else:
            writer.write(reply)
            await writer.drain()
            await asyncio.sleep(pause)
            writer.write(EVIL)

    upstream.script = script
    for method, reply, body in PLAIN:  # noqa: B007 - the script says ``reply``
        first = await patient_site.call("/orders/first", method)
        assert first.text == body
        if pause:
            await asyncio.sleep(2 * pause)
        for _ in range(2):
            second = await patient_site.call("/orders/second", "POST", content=b"x")
            # What comes at the same moment as the question may break it off, but not answer it.
            assert (second.status_code, second.text) == (200, "ok") or second.status_code == 502
        assert second.text == "ok"


async def test_a_connection_on_which_the_upstream_speaks_first_is_not_used(
    patient_site: Any, upstream: Any
) -> None:
    """An answer that was there before the question is not its answer."""
    replies(upstream, OK)
    await patient_site.call("/orders/first")

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + EVIL if call.target == "/first" else OK)

    upstream.script = script
    await patient_site.call("/orders/first")
    texts = [(await patient_site.call("/orders/second")).text for _ in range(3)]
    assert texts == ["ok"] * 3


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_body_where_there_is_none_ends_the_connection(
    patient_site: Any, upstream: Any, method: str
) -> None:
    status = b"204 No Content" if method == "GET" else b"200 OK"
    replies(upstream, b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello")
    assert (await patient_site.call("/orders/first", method)).content == b""
    assert (await patient_site.call("/orders/second")).text == "ok"
    assert upstream.connections == 2


async def test_an_answer_that_ends_with_its_connection_is_whole_only_if_it_is_closed(
    patient_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.05)
        if call.target == "/reset":
            writer.transport.abort()
        writer.close()

    upstream.script = script
    assert (await patient_site.call("/orders/closed")).text == "hello"
    upstream.read_body = False  # What is left unread makes the kernel reset.
    with pytest.raises(httpx.RemoteProtocolError):
        await patient_site.call("/orders/reset", "POST", content=b"x" * 500_000)


async def test_fields_of_the_connection_and_trailers_end_at_the_gateway(
    patient_site: Any, upstream: Any
) -> None:
    replies(
        upstream,
        b"HTTP/1.1 200 OK\r\nConnection: X-One, keep-alive\r\nConnection: X-Two\r\nX-One: 1\r\n"
        b"X-Two: 2\r\nX-Three: 3\r\nTrailer: X-Late\r\nTE: x\r\nUpgrade: h2c\r\n"
        b"Proxy-Authenticate: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n",
    )
    response = await patient_site.call("/orders/7")
    assert response.text == "ok"
    ours = {"content-length", "x-request-id", "transfer-encoding"}
    assert set(response.headers) - ours == {"x-three"}
    assert (await patient_site.call("/orders/8")).text == "ok"
    assert upstream.connections == 1


async def test_a_field_cannot_split_the_answer(patient_site: Any, upstream: Any) -> None:
    """Bytes that other parsers might take for a line's end are passed on as they are."""
    odd = "a\x85b\u00e9c".encode("latin-1")
    replies(upstream, b"HTTP/1.1 200 OK\r\nX-Odd: " + odd + b"\r\nContent-Length: 2\r\n\r\nok")
    response = await patient_site.call("/orders/7")
    raw = dict(response.headers.raw)
    assert next(value for name, value in raw.items() if name.lower() == b"x-odd") == odd
