"""A full worker refuses at once, and first those who have more than their share under way."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from proxy_servers import Call, answer

from contract.snapshot import Timeouts

MOST = 20


@pytest.fixture
async def crowded(
    start_gateway: Any, proxy_valkey: Any, sites: Any, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A gateway that has at most 20 calls under way, and two tenants on it."""
    monkeypatch.setenv("HUBPO_GATEWAY_CALLS", str(MOST))
    process = start_gateway(proxy_valkey.url)
    made = [sites(process, "alice"), sites(process, "charlie")]
    for site in made:
        await site.publish(upstreams=(replace(site.snapshot.upstreams[0], timeouts=Timeouts()),))
    yield made
    for site in made:
        await site.client.aclose()


async def test_one_tenant_has_half_of_a_worker_and_the_other_half_is_for_others(
    crowded: Any, upstream: Any
) -> None:
    alice, charlie = crowded
    go_on = asyncio.Event()

    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(answer(b"late"))

    upstream.script = slow
    many = [asyncio.create_task(alice.call("/orders/7")) for _ in range(MOST // 2)]
    async with asyncio.timeout(10):
        while len(upstream.calls) < MOST // 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    refused = await alice.call("/orders/7")
    assert (refused.status_code, refused.json()["code"]) == (503, "gateway_overloaded")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-request-id"]
    asked = {"model": "m", "messages": []}
    refused = await alice.call("/v1/chat/completions", "POST", json=asked)
    assert refused.json()["error"]["code"] == "gateway_overloaded"
    other = asyncio.create_task(charlie.call("/orders/7"))
    async with asyncio.timeout(10):
        while len(upstream.calls) < MOST // 2 + 1:
            await asyncio.sleep(0.01)
    go_on.set()
    assert [(await call).status_code for call in (*many, other)] == [200] * (MOST // 2 + 1)
    async with asyncio.timeout(10):
        while (await alice.call("/orders/7")).status_code != 200:
            await asyncio.sleep(0.05)
    assert len(await alice.events(MOST // 2 + 1)) == MOST // 2 + 1, "what was refused is no call"


async def test_a_refused_body_is_read_over_and_the_connection_goes_on(
    crowded: Any, upstream: Any
) -> None:
    alice, _ = crowded
    go_on = asyncio.Event()

    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(answer(b"late"))

    upstream.script = slow
    many = [asyncio.create_task(alice.call("/orders/7")) for _ in range(MOST // 2)]
    async with asyncio.timeout(10):
        while len(upstream.calls) < MOST // 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    one = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=alice.client.base_url, limits=one, timeout=20) as client:
        headers = {"Host": alice.host, "X-API-Key": alice.key}
        for _ in range(3):
            told = await client.post("/orders/7", content=b"x" * 200_000, headers=headers)
            assert told.status_code == 503
            told = await client.head("/orders/7", headers=headers)
            assert (told.status_code, told.content) == (503, b"")
    go_on.set()
    await asyncio.gather(*many)
