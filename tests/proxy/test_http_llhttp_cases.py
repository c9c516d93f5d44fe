"""Every case of llhttp's own tests, through the gateway to an upstream that counts."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from http_wire import Request, Wire, read_requests

from contract.snapshot import Breaker

CASES = Path(__file__).resolve().parents[3] / "shared/data/http/llhttp-cases.json"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="The llhttp cases are not here.")
PAUSES = ("Pause on CONNECT/Upgrade", "Data after `Connection: close`")
"""Where llhttp stops between messages, which is no fault of the request."""


@dataclass
class Case:
    """``requests`` are to be answered; ``rest`` says what happens then, as the reader does."""

    title: str
    raw: bytes
    fault: str | None
    requests: list[Request]
    rest: str


def load(kind: str) -> list[dict[str, Any]]:
    found = [case for case in json.loads(CASES.read_text()) if case["type"].startswith(kind)]
    for case in found:
        text = case["raw_latin1"]
        case["raw"] = text.encode("utf-8" if max(text) > "\xff" else "latin-1")
    return found


def read_cases(host: str | None) -> list[Case]:
    """All cases of requests. With a host they are sent to a tenant: what is left to refuse
    is their own fault."""
    cases = []
    for case in load("request"):
        raw = case["raw"] if host is None else hosted(case["raw"], host)
        requests, rest = read_requests(raw)
        if case["error"] and not (rest == "closed" and case["error"] in PAUSES):
            requests, rest = [], "bad"
        cases.append(Case(case["title"], raw, case["error"], requests, rest))
    return cases


def hosted(raw: bytes, host: str) -> bytes:
    """The same case, sent to a tenant: each head that has a request line gets its Host."""
    raw = re.sub(rb"(?i)(?<=\n)(host:[ \t]*)[^\r\n]*", rb"\g<1>" + host.encode(), raw)
    if re.search(rb"(?i)\nhost:", raw):
        return raw
    return re.sub(rb"( (?:HTTP|ICE|RTSP)/[0-9.]+)(?=\r\n)", rb"\1\r\nHost: " + host.encode(), raw)


@pytest.fixture
async def open_site(alice_site: Any) -> Any:
    """Everything below / is open to anybody."""
    await alice_site.publish(apis=(alice_site.api(listen_path="", key_required=False),))
    return alice_site


async def play(port: int, case: Case, before: bytes = b"", pieces: int = 0) -> None:
    """Sends a case, perhaps behind a good request, and checks all answers. ``pieces`` of a byte
    each, as far as they go, or the whole at once."""
    raw = before + case.raw
    requests = read_requests(before)[0] + case.requests
    async with Wire(port, patience=30) as wire:
        reading = asyncio.create_task(check(wire, requests, case.rest))
        for at in range(pieces):
            if not reading.done():
                wire.send(raw[at : at + 1])
                await asyncio.sleep(0.001)
        if not reading.done():
            wire.send(raw[pieces:])
        await reading


async def check(wire: Wire, requests: list[Request], rest: str) -> None:
    answers = [await wire.answer(request.method) for request in requests]
    assert [answer.status for answer in answers] == [200] * len(requests)
    if rest == "bad":
        refusal = await wire.answer()
        assert refusal.status == 400, refusal
        assert refusal.value("content-type") == "application/problem+json"
        assert refusal.value("connection") == "close"
    if rest in ("bad", "closed"):
        assert await wire.closed()


async def play_all(site: Any, upstream: Any, port: int, **extra: Any) -> None:
    """Every case at the same time. The upstream gets what the strict reader sees, and no more."""
    wanted = []
    few = asyncio.Semaphore(60)

    async def one(case: Case) -> str:
        try:
            async with few:
                await play(port, case, **extra)
        except (AssertionError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            return f"{case}: {error!r}"
        return ""

    cases = read_cases(site.host)
    assert [fault for fault in await asyncio.gather(*map(one, cases)) if fault] == []
    for case in cases:
        wanted += [(request.method, request.body) for request in case.requests]
        wanted += [("GET", b"") for _ in read_requests(extra.get("before", b""))[0]]
    assert Counter((call.method, call.body) for call in upstream.calls) == Counter(wanted)


async def test_each_case_is_answered_or_refused_as_a_strict_reader_would(
    gateway: Any, open_site: Any, upstream: Any
) -> None:
    await play_all(open_site, upstream, gateway.port)


async def test_each_case_means_the_same_byte_by_byte(
    gateway: Any, open_site: Any, upstream: Any
) -> None:
    await play_all(open_site, upstream, gateway.port, pieces=400)


async def test_each_case_means_the_same_behind_a_good_request(
    gateway: Any, open_site: Any, upstream: Any
) -> None:
    good = f"GET /first HTTP/1.1\r\nHost: {open_site.host}\r\n\r\n".encode()
    await play_all(open_site, upstream, gateway.port, before=good)


async def test_without_a_host_none_of_them_reaches_an_upstream(
    gateway: Any, open_site: Any, upstream: Any
) -> None:
    for case in read_cases(None):
        async with Wire(gateway.port) as wire:
            wire.send(case.raw)
            if case.rest == "bad" and not case.requests:
                # Some have a Host, if nobody's, and a fault after it.
                assert (await wire.answer()).status in (400, 404), case
    assert upstream.calls == []


def test_sixty_eight_cases_must_be_refused_and_four_are_only_cut_short() -> None:
    faulty = [case for case in read_cases("alice.localhost") if case.fault]
    refused = [case for case in faulty if case.rest == "bad" and not case.requests]
    assert (len(faulty), len(refused)) == (72, 68)
    assert {case.fault for case in faulty if case not in refused} == set(PAUSES)


async def answer_with(raw: bytes, upstream: Any, site: Any) -> Any:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    upstream.script = script
    return await site.call("/orders/7", "POST")


async def test_each_answer_of_an_upstream_is_passed_on_whole_or_not_at_all(
    alice_site: Any, upstream: Any
) -> None:
    """The answer to the case's first message; what comes after it is nobody's."""
    passed = 0
    up = msgspec.structs.replace(alice_site.snapshot.upstreams[0], breaker=Breaker(failures=1000))
    await alice_site.publish(upstreams=(up,))
    for case in load("response"):
        raw = case["raw"]
        try:
            response = await answer_with(raw, upstream, alice_site)
        except httpx.RemoteProtocolError:
            # It had begun before the fault was seen, so its end is missing.
            continue
        if response.status_code == 502:
            assert response.json()["code"] == "upstream_broken"
            continue
        passed += 1
        assert (response.status_code, response.content) == first_answer(raw), raw
    assert passed >= 30


def first_answer(raw: bytes) -> tuple[int, bytes]:
    """Status and body of the first answer that is final, as RFC 9112 reads it."""
    head, _, rest = raw.lstrip(b"\r\n").partition(b"\r\n\r\n")
    status = int(found[1]) if (found := re.match(rb"[A-Z]+/\d\.\d (\d{3})", head)) else 0
    if status // 100 == 1:
        return first_answer(rest)
    if status in (204, 304):
        return status, b""
    fields = head.lower().split(b"\r\n")
    if b"transfer-encoding: chunked" in fields:
        body = b""
        while size := int(rest.split(b";")[0].split(b"\r\n")[0], 16):
            start = rest.index(b"\r\n") + 2
            body += rest[start : start + size]
            rest = rest[start + size + 2 :]
        return status, body
    lengths = [int(line.split(b":")[1]) for line in fields if line.startswith(b"content-length:")]
    return status, rest[: lengths[0]] if lengths else rest
