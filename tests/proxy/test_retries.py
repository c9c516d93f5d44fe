"""What is tried again, what never is, and for how long a call may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from proxy_servers import Call, Site, Upstream, answer, echo

from contract.snapshot import Breaker, Retries, Route, Target, Timeouts

PATIENT = Breaker(failures=1000)
OK = answer(b"fine", "200 OK")


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    """Another upstream, for a second target."""
    scripted = Upstream()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    server.close()


async def serve(site: Site, *ports: int, route: Route | None = None, **options: Any) -> None:
    """Publishes the API on targets at these ports; their failures leave none of them out."""
    targets = tuple(
        Target(id=f"{site.host}-{port}", scheme="http", host="127.0.0.1", port=port)
        for port in ports
    )
    given = {"breaker": PATIENT, "timeouts": Timeouts(first_byte=10)} | options
    upstreams = (replace(site.snapshot.upstreams[0], targets=targets, **given),)
    changes = {"apis": (site.api(routes=(route,)),)} if route else {}
    await site.publish(upstreams=upstreams, **changes)


def fails(*times: bytes | None) -> Callable[[Call, asyncio.StreamWriter], Any]:
    """Sends these first, one for each call, then answers well; None is a reset."""
    left = list(times)

    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        if call.target == "/marker":
            return
        sent = left.pop(0) if left else OK
        if sent is None:
            writer.transport.abort()
            return
        writer.write(sent)
        if sent is not OK and not sent.startswith(b"HTTP/1.1 5"):
            await writer.drain()
            writer.close()

    return script


NOT_NOW = answer(b"not now", "503 Service Unavailable")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_reset_before_an_answer_is_tried_again_where_the_method_allows_it(
    alice_site: Site, upstream: Upstream, method: str
) -> None:
    await serve(alice_site, upstream.port)
    upstream.script = fails(None, None)
    response = await alice_site.call("/orders/7", method)
    assert (response.status_code, response.text) == (200, "fine")
    assert len(upstream.calls) == 3


async def test_a_post_is_sent_once_unless_it_carries_an_idempotency_key(
    alice_site: Site, upstream: Upstream
) -> None:
    await serve(alice_site, upstream.port, retries=Retries(statuses=(503,)))
    for failure in (None, NOT_NOW):
        upstream.calls.clear()
        upstream.script = fails(failure)
        response = await alice_site.call("/orders/7", "POST", content=b"x")
        assert response.status_code in (502, 503)
        assert len(upstream.calls) == 1
        upstream.calls.clear()
        upstream.script = fails(failure)
        headers = {"Idempotency-Key": "one"}
        response = await alice_site.call("/orders/7", "POST", content=b"x", headers=headers)
        assert response.text == "fine"
        assert [call.body for call in upstream.calls] == [b"x", b"x"]


async def test_a_body_that_was_streamed_is_never_sent_twice(
    alice_site: Site, upstream: Upstream
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 100_000

    await serve(alice_site, upstream.port)
    upstream.script = fails(None)
    response = await alice_site.call("/orders/7", "PUT", content=body())
    assert response.status_code == 502
    assert len(upstream.calls) == 1


async def test_a_streamed_body_goes_to_the_next_target_where_none_of_it_was_sent(
    alice_site: Site, upstream: Upstream
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 100_000

    await serve(alice_site, 1, upstream.port)
    for _ in range(4):
        assert (await alice_site.call("/orders/7", "POST", content=body())).status_code == 200
    assert [call.size for call in upstream.calls] == [100_000] * 4


async def test_what_has_begun_to_be_answered_is_not_tried_again(
    alice_site: Site, upstream: Upstream
) -> None:
    await serve(alice_site, upstream.port)
    upstream.script = fails(b"HTTP/1.1 200 OK\r\nContent-")
    assert (await alice_site.call("/orders/7")).status_code == 502
    assert len(upstream.calls) == 1


async def test_statuses_and_timeouts_are_tried_again_only_where_told_so(
    alice_site: Site, upstream: Upstream, second: Upstream
) -> None:
    async def silent(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    quick = Timeouts(first_byte=0.2)
    await serve(alice_site, upstream.port, second.port, timeouts=quick)
    second.script = fails(NOT_NOW)
    upstream.script = silent
    codes = sorted([(await alice_site.call("/orders/7")).status_code for _ in range(2)])
    assert codes == [503, 504]
    told = Retries(statuses=(502, 503), on_timeout=True)
    await serve(alice_site, upstream.port, second.port, timeouts=quick, retries=told)
    second.script = fails(NOT_NOW)
    codes = [(await alice_site.call("/orders/7")).status_code for _ in range(3)]
    assert codes == [200, 200, 200]


async def test_the_last_answer_is_passed_on_when_no_attempts_are_left(
    alice_site: Site, upstream: Upstream
) -> None:
    await serve(alice_site, upstream.port, retries=Retries(most=1, statuses=(503,)))
    upstream.script = fails(NOT_NOW, NOT_NOW, NOT_NOW)
    response = await alice_site.call("/orders/7")
    assert (response.status_code, response.text) == (503, "not now")
    assert len(upstream.calls) == 2


async def test_repeats_stay_within_the_budget(alice_site: Site, upstream: Upstream) -> None:
    """In one worker, of one upstream: three a second over ten seconds, whatever the failures."""
    await serve(alice_site, upstream.port, retries=Retries(most=2, budget_percent=0))
    upstream.script = fails(*[None] * 1000)
    for _ in range(20):
        assert (await alice_site.call("/orders/7")).status_code == 502
    assert len(upstream.calls) == 20 + 30


async def test_a_route_has_its_own_timeouts_and_number_of_attempts(
    alice_site: Site, upstream: Upstream
) -> None:
    route = Route(id="own", path="/{rest*}", timeouts=Timeouts(first_byte=0.2), retries=0)
    await serve(alice_site, upstream.port, route=route)
    upstream.script = fails(None)
    assert (await alice_site.call("/orders/7")).status_code == 502
    assert len(upstream.calls) == 1

    async def silent(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    upstream.script = silent
    assert (await alice_site.call("/orders/7")).status_code == 504


async def test_the_whole_call_has_a_time_whatever_trickles_in_meanwhile(
    alice_site: Site, upstream: Upstream
) -> None:
    """No pause of it is long, and still it ends."""

    async def drips(call: Call, writer: asyncio.StreamWriter) -> None:
        if call.target == "/head":
            writer.write(b"HTTP/1.1 200 OK\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for number in range(300):
            await asyncio.sleep(0.05)
            writer.write(b"X-%d: 1\r\n" % number if call.target == "/head" else b"x")
            await writer.drain()

    upstream.script = drips
    await serve(alice_site, upstream.port, timeouts=Timeouts(total=0.5))
    began = time.monotonic()
    response = await alice_site.call("/orders/head")
    assert (response.status_code, response.json()["code"]) == (504, "upstream_timeout")
    assert "whole call" in response.json()["detail"]
    with pytest.raises(Exception, match=r"closed|incomplete|peer"):
        await alice_site.call("/orders/body")
    assert 1.0 <= time.monotonic() - began < 10
    assert [event.error_code for event in await alice_site.events(2)] == ["upstream_timeout"] * 2


async def test_all_attempts_together_have_the_time_of_the_whole_call(
    alice_site: Site, upstream: Upstream
) -> None:
    async def silent(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    upstream.script = silent
    rule = Retries(most=5, on_timeout=True)
    await serve(alice_site, upstream.port, retries=rule, timeouts=Timeouts(0.3, 0.3, 0.3, 1.0))
    began = time.monotonic()
    assert (await alice_site.call("/orders/7")).status_code == 504
    assert time.monotonic() - began < 5
    assert 2 <= len(upstream.calls) <= 4


# How often it was sent


async def sent(site: Site, upstream: Upstream, *failures: bytes | None) -> tuple[int, int | None]:
    """A call that meets these failures: its status, and what its record says of attempts."""
    upstream.script = fails(*failures)
    response = await site.call("/orders/7")
    events = await site.events(1)
    found = [event for event in events if event.id == response.headers["x-request-id"]]
    while not found:
        await asyncio.sleep(0.05)
        found = [e for e in await site.events(1) if e.id == response.headers["x-request-id"]]
    return response.status_code, found[0].attempts


async def test_the_record_of_a_call_tells_how_often_it_was_sent(
    alice_site: Site, upstream: Upstream
) -> None:
    await serve(alice_site, upstream.port, retries=Retries(most=2, statuses=(503,)))
    assert await sent(alice_site, upstream) == (200, 1)
    assert await sent(alice_site, upstream, NOT_NOW) == (200, 2)
    assert await sent(alice_site, upstream, NOT_NOW, NOT_NOW) == (200, 3)
    assert await sent(alice_site, upstream, NOT_NOW, NOT_NOW, NOT_NOW) == (503, 3)
    assert len(upstream.calls) == 1 + 2 + 3 + 3


async def test_a_target_that_cannot_be_reached_was_sent_nothing(
    alice_site: Site, upstream: Upstream
) -> None:
    await serve(alice_site, 1)
    assert await sent(alice_site, upstream) == (502, 0)
    await serve(alice_site)
    assert await sent(alice_site, upstream) == (503, 0)
    await serve(alice_site, 1, upstream.port)
    assert [await sent(alice_site, upstream) for _ in range(2)] == [(200, 1)] * 2


async def test_a_connection_that_the_upstream_had_closed_was_sent_it_too(
    alice_site: Site, upstream: Upstream
) -> None:
    """The gateway sends such a call once more by itself, whatever the retries say."""
    await serve(alice_site, upstream.port, retries=Retries(most=0))
    assert await sent(alice_site, upstream) == (200, 1)
    assert await sent(alice_site, upstream, None) == (200, 2)


# Targets that are left out


async def test_answers_of_500_leave_a_target_out_where_told_so_and_one_call_brings_it_back(
    alice_site: Site, upstream: Upstream, second: Upstream
) -> None:
    rule = Breaker(failures=3, seconds=0.5, on_status=True)
    await serve(alice_site, upstream.port, second.port, breaker=rule, retries=Retries(most=0))

    async def bad(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "500 Internal Server Error"))

    upstream.script = bad
    codes = [(await alice_site.call("/orders/7")).status_code for _ in range(12)]
    assert codes.count(500) == 3
    upstream.script = echo
    calls = len(upstream.calls)
    async with asyncio.timeout(10):
        while len(upstream.calls) == calls:
            await asyncio.sleep(0.05)
            assert (await alice_site.call("/orders/7")).status_code == 200


async def test_an_upstream_with_no_target_is_answered_for_at_once(alice_site: Site) -> None:
    await serve(alice_site)
    response = await alice_site.call("/orders/7")
    assert (response.status_code, response.json()["code"]) == (503, "no_healthy_target")


# Connections


async def test_calls_beyond_the_connections_wait_their_turn_and_no_longer_than_they_may(
    alice_site: Site, upstream: Upstream
) -> None:
    go_on, most = asyncio.Event(), 0

    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, upstream.open)
        await go_on.wait()
        writer.write(OK)

    upstream.script = slow
    limits = {"max_connections": 3, "max_waiting": 2, "timeouts": Timeouts(connect=20)}
    await serve(alice_site, upstream.port, **limits)
    calls = [asyncio.create_task(alice_site.call("/orders/7", "POST")) for _ in range(5)]
    async with asyncio.timeout(10):
        while len(upstream.calls) < 3:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    refused = await alice_site.call("/orders/7", "POST")
    assert (refused.status_code, refused.json()["code"]) == (503, "upstream_overloaded")
    assert refused.headers["retry-after"] == "1"
    go_on.set()
    assert [(await call).status_code for call in calls] == [200] * 5
    assert most == 3


async def test_a_call_that_waits_too_long_for_a_connection_is_refused_and_leaves_the_queue(
    alice_site: Site, upstream: Upstream
) -> None:
    go_on = asyncio.Event()

    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(OK)

    upstream.script = slow
    limits = {"max_connections": 1, "max_waiting": 1, "timeouts": Timeouts(connect=0.3)}
    await serve(alice_site, upstream.port, **limits)
    first = asyncio.create_task(alice_site.call("/orders/7"))
    async with asyncio.timeout(10):
        while not upstream.calls:
            await asyncio.sleep(0.01)
    for _ in range(2):
        refused = await alice_site.call("/orders/7")
        assert refused.json()["code"] == "upstream_overloaded"
    go_on.set()
    assert (await first).status_code == 200
    assert (await alice_site.call("/orders/7")).status_code == 200


async def test_a_waiting_call_gets_the_place_of_one_whose_connection_broke(
    alice_site: Site, upstream: Upstream
) -> None:
    go_on = asyncio.Event()

    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        if len(upstream.calls) == 1:
            writer.transport.abort()
        else:
            writer.write(OK)

    upstream.script = slow
    limits = {"max_connections": 1, "max_waiting": 5, "timeouts": Timeouts(connect=20)}
    await serve(alice_site, upstream.port, **limits)
    calls = [asyncio.create_task(alice_site.call("/orders/7", "POST")) for _ in range(3)]
    async with asyncio.timeout(10):
        while not upstream.calls:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    go_on.set()
    assert sorted([(await call).status_code for call in calls]) == [200, 200, 502]
