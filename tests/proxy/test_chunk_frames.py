"""Frames of a chunked answer that are handed on as they come mean what the parser says they mean.

The upstream's reads are cut by hand and fed to its connection; the client's side is a connection
of the gateway's own server. What the client gets is read by a reader that shares nothing with
either, and what it must get is what llhttp makes of the same bytes in one piece.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
from http_loopless import Application, Pipe, settle
from http_wire import _chunked

from proxy.ai import usages
from proxy.ai.tap import StreamTap
from proxy.errors import UpstreamError
from proxy.upstream.connection import HEAD_LIMIT, Connection
from proxy.upstream.frames import FRAMES, LARGEST, several

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ASKED = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
END = b"0\r\n\r\n"
ODD = [
    b"a",
    b"\r\n",
    b"5\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5\r\nhello\r\n" * 3,
    b"data: {}\n\n",
    b"data: {}\r\n\r\n",
    b"x" * 15,
    b"x" * 16,
    b"y" * 255,
    b"y" * 256,
    b"z" * LARGEST,
    b"z" * (LARGEST + 1),
    bytes(range(256)) * 20,
]


def frame(payload: bytes, line: bytes = b"%x") -> bytes:
    return line % len(payload) + b"\r\n" + payload + b"\r\n"


class Relay:
    """In the place of the gateway: pours the upstream's answer into each call."""

    def __init__(self, tap: StreamTap | None) -> None:
        self.load = SimpleNamespace(room=1_000_000, batch=0)
        self.upstream = Pipe()
        self.given_back = 0
        lane = SimpleNamespace(release=self.release, forget=lambda connection: None)
        self.connection = Connection(lane, asyncio.get_running_loop())
        self.connection.connection_made(self.upstream)
        self.tap = tap
        self.broken = False
        self.call: Any = None

    def release(self, connection: Connection) -> None:
        self.given_back += 1

    def next_id(self) -> str:
        return "id"

    async def handle(self, call: Any) -> None:
        self.call, self.broken = call, False
        call.entered = True
        response = await self.connection.call("GET", b"asked", b"", None)
        try:
            await call.start(response.status, [])
            if self.tap is None:
                last = await call.pour(response, None)
            else:
                last = await call.pour(response, self.tap.feed, self.tap)
                last = (self.tap.feed(last) if last else b"") + self.tap.end()
            await call.finish(last)
        except UpstreamError:
            self.broken = True
            call.drop()
        finally:
            response.close()


class Line:
    """A client's connection, the relay behind it, and the upstream's connection."""

    def __init__(self, tap: StreamTap | None = None) -> None:
        application = Application()
        self.relay = application.gateway = Relay(tap)
        self.front = application.connect()
        self.client: Pipe = self.front.transport

    async def ask(self, asked: bytes = ASKED) -> None:
        self.client.said = b""
        self.front.data_received(asked)
        await settle()

    async def outcome(self, reads: list[bytes]) -> tuple[bytes, bool, int]:
        """Of one call: the body as the client reads it, whether it is whole, and its count."""
        await self.ask()
        for data in reads:
            if self.relay.upstream.over:
                break
            self.relay.connection.data_received(data)
            await asyncio.sleep(0)
        await settle()
        if not self.relay.call.finished and not self.relay.broken:
            self.relay.connection.eof_received()
            await settle()
        body, whole = read(self.client.said)
        assert whole != self.relay.broken
        assert self.client.over == self.relay.broken
        return body, whole, self.relay.call.response_bytes


def read(said: bytes) -> tuple[bytes, bool]:
    """A chunked answer, perhaps without its end. Its framing must be right in any case."""
    head, _, framed = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), said
    assert b"transfer-encoding: chunked" in head
    if framed.endswith(END):
        body, at = _chunked(framed, 0)
        if at == len(framed):
            return body, True
    body, at = _chunked(framed + END, 0)
    assert at == len(framed + END)
    return body, False


class Meaning:
    """What llhttp makes of an answer in one piece."""

    def __init__(self, answer: bytes) -> None:
        self.body = b""
        self.whole = False
        try:
            httptools.HttpResponseParser(self).feed_data(answer)
        except httptools.HttpParserError:
            self.whole = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


async def same(reads: list[bytes]) -> None:
    """The client reads what is meant; of a broken answer as much as was right."""
    meant = Meaning(b"".join(reads))
    line = Line()
    body, whole, count = await line.outcome(reads)
    assert whole == meant.whole, reads
    assert count == len(body)
    if whole:
        assert body == meant.body, reads
        assert line.relay.given_back == 1
    else:
        assert meant.body.startswith(body), reads


def cuts(data: bytes) -> list[list[bytes]]:
    return [[data[:at], data[at:]] for at in range(1, len(data))]


async def test_every_payload_as_a_read_of_its_own() -> None:
    frames = [frame(payload) for payload in ODD]
    await same([HEAD, *frames, END])
    await same([HEAD + frames[0], *frames, frames[0] + END])
    assert any(len(one) in FRAMES for one in frames)


async def test_a_cut_at_every_byte() -> None:
    frames = [frame(payload) for payload in ODD[:9]]
    for before, after in cuts(b"".join(frames)):
        await same([HEAD + frame(b"first"), before, after, END])
        await same([HEAD, frame(b"first"), before, after + END])
    for one in frames:
        for before, after in cuts(one):
            await same([HEAD + frame(b"first"), before, after, one, END])
    await same([HEAD, *(bytes([byte]) for byte in b"".join(frames) + END)])


async def test_several_frames_in_a_read() -> None:
    frames = [frame(payload) for payload in ODD]
    plain = [frame(b"p" * size) for size in (1, 15, 16, 150, 255, 256, LARGEST)]
    assert several(b"".join(plain)) == b"p" * sum((1, 15, 16, 150, 255, 256, LARGEST))
    await same([HEAD + frame(b"first"), b"".join(plain), b"".join(plain * 9), END])
    await same([HEAD + frame(b"first"), b"".join(frames), b"".join(frames) + END])
    await same([HEAD + b"".join(frames), frames[0], b"".join(frames), END])


@pytest.mark.parametrize("line", [b"%X", b"0%x", b"000000%X", b"%x;ext", b'%x;a="b;c";d=e'])
async def test_other_ways_to_write_a_size(line: bytes) -> None:
    odd = [frame(payload, line) for payload in ODD]
    usual = [frame(payload) for payload in ODD]
    for one, other in zip(odd, usual, strict=True):
        await same([HEAD + frame(b"first"), one, other, one + other, other + one, END])
    for before, after in cuts(odd[5] + odd[7]):
        await same([HEAD + frame(b"first"), before, after, usual[0], END])


async def test_trailers_end_here_and_the_connection_is_used_again() -> None:
    line = Line()
    for end in (b"0\r\nX-Sum: 1\r\n\r\n", b"00\r\nA: b\r\nC: d\r\n\r\n", b"0;x=y\r\n\r\n", END):
        for before, after in cuts(end):
            reads = [HEAD + frame(b"one"), frame(b"two"), before, after]
            assert await line.outcome(reads) == (b"onetwo", True, 6)
            assert b"X-Sum" not in line.client.said
    assert not line.relay.upstream.over


MALFORMED = [
    b"+5\r\nhello\r\n",
    b"0x5\r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"-5\r\nhello\r\n",
    b"\r\nhello\r\n",
    b"5\nhello\r\n",
    b"5\r\nhello\n\n",
    b"5\r\nhello!\r\n",
    b"5\r\nhell\r\n\r\n",
    b"6\r\nhello\r\n",
    b"4\r\nhello\r\n",
    b"g\r\nhello\r\n",
    b"1_0\r\n0123456789abcdef\r\n",
    b"5;\x00\r\nhello\r\n",
    b"fffffffffffffffff\r\nhello\r\n",
    b"10000000000000005\r\nhello\r\n",
    b"5\r\nhello\r\n5\r\nhello",
    b"5\r\nhello\r\n6\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
]


async def test_what_is_malformed_is_refused_wherever_it_stands() -> None:
    good = frame(b"hello")
    for bad in MALFORMED:
        for reads in (
            [HEAD + good, good, bad, good, END],
            [HEAD + good, bad, good, END],
            [HEAD + good, good + bad, good + END],
            [HEAD + good, bad + good, good + END],
            *([HEAD + good, *cut, good, END] for cut in cuts(bad)),
        ):
            await same(reads)


async def test_any_byte_of_a_frame_may_be_wrong() -> None:
    good, second = frame(b"data: 0123456789\n\n"), frame(b"5\r\nhello")
    for start in (good, good + second):
        for at in range(len(start)):
            for byte in b"\r\n05aA;:+- x\x00\xff":
                changed = start[:at] + bytes([byte]) + start[at + 1 :]
                await same([HEAD + good, changed, good, second, END])


async def test_the_beginning_of_a_size_line_is_not_taken_for_the_end_of_a_frame() -> None:
    # Read with what went before, this is a frame of 21 bytes.
    payload = b"hello\r\n6\r\nworld!....."
    assert len(payload) == 0x15
    await same([HEAD + frame(b"first"), frame(b"second") + b"1", b"5\r\n" + payload + b"\r\n", END])
    await same([HEAD + frame(b"first"), frame(b"second") + b"1", frame(b"hello"), END])
    await same([HEAD + frame(b"first"), frame(b"second") + b"5\r\n", frame(b"ab"), END])


async def test_any_mixture_in_any_cut_means_the_same() -> None:
    chance = random.Random(8)
    lines = [b"%x"] * 6 + [b"%X", b"0%x", b"%x;a=b"]
    for _ in range(400):
        pieces = [chance.choice(ODD[:13]) for _ in range(chance.randrange(1, 12))]
        whole = HEAD + b"".join(frame(piece, chance.choice(lines)) for piece in pieces) + END
        ends = {len(HEAD)} | {chance.randrange(1, len(whole)) for _ in range(chance.randrange(9))}
        at = len(HEAD)
        for piece in pieces:
            at += len(frame(piece))
            if chance.random() < 0.7 and at < len(whole):
                ends.add(at)
        marks = [0, *sorted(ends), len(whole)]
        await same([whole[a:b] for a, b in itertools.pairwise(marks)])


async def test_a_frame_is_handed_on_as_it_came() -> None:
    line = Line()
    await line.ask()
    line.relay.connection.data_received(HEAD + frame(b"first"))
    await settle()
    line.client.said = b""
    line.relay.connection.stirred = False
    for size in (1, 15, 16, 200, 256, LARGEST):
        line.relay.connection.data_received(frame(b"x" * size))
        assert line.client.said == frame(b"x" * size)
        assert line.relay.connection.stirred
        line.client.said = b""
    line.relay.connection.data_received(frame(b"a") + frame(b"b"))
    assert line.client.said == frame(b"ab")


async def test_a_client_of_http_1_0_gets_no_frames() -> None:
    line = Line()
    await line.ask(b"GET / HTTP/1.0\r\n\r\n")
    for data in (HEAD + frame(b"one "), frame(b"two "), frame(b"three ") * 2, END):
        line.relay.connection.data_received(data)
        await settle()
    assert line.client.said.partition(b"\r\n\r\n")[2] == b"one two three three "
    assert line.client.over


async def test_the_upstream_waits_for_a_slow_client() -> None:
    for slow in (frame(b"x" * 100), frame(b"x" * 100) * 3):
        line = Line()
        await line.ask()
        connection = line.relay.connection
        connection.data_received(HEAD + frame(b"first"))
        await settle()
        assert connection.deadline
        line.front.pause_writing()
        connection.data_received(slow)
        assert not line.relay.upstream.reading
        assert not connection.deadline
        line.front.resume_writing()
        await settle()
        assert line.relay.upstream.reading
        assert connection.deadline
        connection.data_received(slow)
        assert line.relay.upstream.reading


async def test_frames_do_not_count_as_headers_and_what_follows_does() -> None:
    line = Line()
    reads = [HEAD + frame(b"first"), *[frame(b"x" * 4000)] * 40, b"5;" + b"x" * HEAD_LIMIT]
    body, whole, _ = await line.outcome(reads)
    assert (len(body), whole) == (5 + 160_000, False)


async def test_after_the_end_nothing_more_is_taken() -> None:
    line = Line()
    assert (await line.outcome([HEAD + frame(b"first"), frame(b"x"), END]))[1]
    line.relay.connection.data_received(frame(b"late"))
    assert line.relay.upstream.over
    line = Line()
    assert (await line.outcome([HEAD + frame(b"first"), frame(b"x"), END + frame(b"late")]))[1]
    assert b"late" not in line.client.said
    assert line.relay.upstream.over


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7}}\n\n'
EVENTS = [
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"\\"usage\\":{"}}]}\n\n',
    b"\n",
    b"data: x\r\n\r\n",
    b"data: unfin",
    b"ished\n",
    b"\n",
    b"data: y\n\n",
    USAGE,
    b'data: {"usa',
    b'ge":{"prompt_tokens":8}}\n\n',
    b"data: [DONE]\n\n",
]


def tap_of(drop: bool) -> StreamTap:
    return StreamTap(usages.mark("chat"), usages.reader("chat"), drop_usage=drop)


@pytest.mark.parametrize("drop", [False, True])
async def test_a_tap_gets_what_is_in_the_frames(drop: bool) -> None:
    alone = tap_of(drop)
    expected = b"".join(alone.feed(event) for event in EVENTS) + alone.end()
    frames = [frame(event) for event in EVENTS]
    everything = b"".join(frames)
    for reads in (frames, [everything], *cuts(everything)):
        tap = tap_of(drop)
        body, whole, count = await Line(tap).outcome([HEAD + frame(b"\n\n"), *reads, END])
        assert (body, whole, count) == (b"\n\n" + expected, True, len(expected) + 2)
        assert tap.usage is not None
        assert tap.usage.input_tokens == 8
        assert tap.blank
