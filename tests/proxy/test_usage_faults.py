"""What the upstream answered and what is recorded are the same calls, whatever dies under load.

The upstream's own list of calls is the ledger; ``make faults`` does the same to the whole
platform.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

CLIENTS = 8


@pytest.fixture
def slow(upstream: Any) -> Any:
    """An upstream with calls under way at any time."""

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.script = script
    return upstream


@asynccontextmanager
async def load(site: Any) -> AsyncIterator[list[httpx.Response]]:
    """Clients that call without end; the answers that they got."""
    answers: list[httpx.Response] = []

    async def client() -> None:
        while True:
            try:
                answers.append(await site.call("/orders/7"))
            except httpx.HTTPError:
                await asyncio.sleep(0.02)

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    try:
        yield answers
    finally:
        for one in clients:
            one.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def reach(answers: list[Any], count: int) -> None:
    async with asyncio.timeout(30):
        while len(answers) < count:
            await asyncio.sleep(0.01)


def ledger(upstream: Any) -> set[str]:
    return {call.values("x-request-id")[0] for call in upstream.calls}


async def recorded(site: Any, ids: set[str]) -> dict[str, Any]:
    """Events by id, once those of ``ids`` are among them."""
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not ids <= {event.id for event in await site.events(0)}:
                await asyncio.sleep(0.05)
    return {event.id: event for event in await site.events(0)}


async def test_a_worker_is_killed(
    own_valkey: Any, start_gateway: Any, sites: Any, slow: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    async with load(site) as answers:
        await reach(answers, 200)
        gateway.kill()
    start_gateway(own_valkey.url)
    events = await recorded(site, ledger(slow))
    lost = {event.id for event in events.values() if event.error_code == "gateway_lost"}
    assert ledger(slow) <= events.keys()
    # What was on its way to the upstream may have got there or not.
    assert events.keys() - ledger(slow) <= lost
    assert 0 < len(lost) <= CLIENTS
    assert {answer.headers["x-request-id"] for answer in answers} <= events.keys() - lost
    one = events[lost.pop()]
    assert (one.status, one.path, one.api_id, one.key_id) == (500, "/orders/7", "orders", "key")


async def test_valkey_is_killed(own_valkey: Any, start_gateway: Any, sites: Any, slow: Any) -> None:
    site = sites(start_gateway(own_valkey.url), "alice", own_valkey)
    await site.publish()
    async with load(site) as answers:
        await reach(answers, 100)
        own_valkey.stop()
        await reach(answers, 300)
        await asyncio.to_thread(own_valkey.start)
        await reach(answers, 400)
    assert {answer.status_code for answer in answers} == {200}
    assert (await recorded(site, ledger(slow))).keys() == ledger(slow)


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
async def test_the_disk_is_full(
    own_valkey: Any, start_gateway: Any, sites: Any, slow: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HUBPO_JOURNAL_SEGMENT_KB", "40")
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    own_valkey.stop()
    before = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    async with load(site) as answers:
        async with asyncio.timeout(60):
            while not answers or answers[-1].status_code == 200:
                await asyncio.sleep(0.01)
        await reach(answers, len(answers) + 50)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, before)
        async with asyncio.timeout(20):
            while answers[-1].status_code != 200:
                await asyncio.sleep(0.01)
    refused = [answer for answer in answers if answer.status_code != 200]
    told = {(one.status_code, one.json()["code"], one.headers["retry-after"]) for one in refused}
    assert told == {(503, "usage_unrecordable", "1")}
    assert ledger(slow).isdisjoint(one.headers["x-request-id"] for one in refused)
    await asyncio.to_thread(own_valkey.start)
    events = await recorded(site, ledger(slow))
    assert {id_ for id_, one in events.items() if not one.error_code} == ledger(slow)
