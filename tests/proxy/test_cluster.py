"""Two gateways on a Valkey Cluster of three nodes: what holds with one Valkey holds here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
from limits_cast import chat, model, planned, with_ai
from proxy_servers import GatewayProcess, Site
from valkey_cluster import Cluster

from contract import keys
from contract.policies import Limit


@pytest.fixture(scope="module")
def gateways(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[GatewayProcess]]:
    started = [GatewayProcess(cluster.url, tmp_path_factory.mktemp("node")) for _ in range(2)]
    try:
        for process in started:
            process.wait_until_ready()
        yield started
    finally:
        for process in started:
            process.stop()


@pytest.fixture
async def at_home(
    cluster: Cluster, gateways: list[GatewayProcess], sites: Any
) -> AsyncIterator[list[tuple[Site, Site]]]:
    """For each node a tenant whose counters are there, as reached through both gateways."""
    found: dict[int, Site] = {}
    while len(found) < 3:
        site = sites(gateways[0], "alice", cluster)
        found.setdefault(cluster.node_of(keys.limits_rebuilt(site.snapshot.tenant_id)), site)
    pairs = []
    for number in range(3):
        one, two = found[number], sites(gateways[1], "alice", cluster)
        two.snapshot, two.host, two.key = one.snapshot, one.host, one.key
        pairs.append((one, two))
    yield pairs
    for pair in pairs:
        for site in pair:
            await site.client.aclose()


async def publish(pair: tuple[Site, Site], **changes: Any) -> None:
    """In effect at both gateways."""
    for site in pair:
        await site.publish(**changes)


def let_through(site: Site, upstream: Any) -> int:
    """Calls of the site's tenant that reached the upstream."""
    return sum(call.values("x-tenant") == [site.snapshot.tenant_id] for call in upstream.calls)


async def call(site: Site) -> int:
    headers = {"X-Tenant": site.snapshot.tenant_id}
    return (await site.call("/orders/7", headers=headers)).status_code


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """How long it took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, "It did not happen in time."
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_of_200_calls_over_both_gateways_ten_pass_for_each_tenant_while_a_slot_moves(
    cluster: Cluster, at_home: list[tuple[Site, Site]], upstream: Any
) -> None:
    for pair in at_home:
        await publish(pair, **planned(pair[0], Limit("calls", 10, 600), Limit("concurrency", 50)))
    moving = keys.limits_rebuilt(at_home[0][0].snapshot.tenant_id)
    migration = asyncio.create_task(asyncio.to_thread(cluster.migrate, moving, 1))
    codes = await asyncio.gather(
        *(call(site) for _ in range(100) for pair in at_home for site in pair)
    )
    await migration
    assert Counter(codes) == {200: 30, 429: 570}
    assert [let_through(site, upstream) for site, _ in at_home] == [10, 10, 10]
    assert cluster.node_of(moving) == 1
    for site, _ in at_home:
        assert len(await site.events(200)) == 200
        assert len(cluster.events(site.snapshot.tenant_id)) >= 200


async def test_a_change_is_live_at_every_gateway_within_a_second(
    at_home: list[tuple[Site, Site]], cluster: Cluster
) -> None:
    pair = at_home[1]
    await publish(pair)
    suspended = msgspec.structs.replace(pair[0].snapshot, version=50, suspended="unpaid")
    cluster.publish(suspended)

    async def refused() -> bool:
        return [await call(site) for site in pair] == [403, 403]

    assert await until(refused, 5) < 1


async def test_a_dead_node_matters_to_its_own_tenants_only_and_is_used_again_within_5_s(
    cluster: Cluster, at_home: list[tuple[Site, Site]], upstream: Any
) -> None:
    """Calls of its tenants pass uncounted, money is refused, usage waits; changes go on."""
    upstream.script = model()
    number = cluster.node_of(keys.USAGE_STREAM)
    lost, other = at_home[number], at_home[(number + 1) % 3]
    limits = (Limit("calls", 3, 600, scope="application"), Limit("tokens", 1_000_000, 600))
    for pair in (lost, other):
        await publish(pair, **with_ai(pair[0], upstream.port) | planned(pair[0], *limits))
    for site in (lost[0], other[0]):
        assert [await call(site) for _ in range(4)] == [200, 200, 200, 429]
    await lost[0].events(4)

    cluster.kill(number)
    began = time.monotonic()
    answers = await asyncio.gather(*(call(site) for site in lost for _ in range(20)))
    assert set(answers) <= {200, 429}
    assert time.monotonic() - began < 10
    assert [await call(site) for site in lost] == [200, 200]
    refused = [await chat(site) for site in lost]
    assert [answer.json()["error"]["code"] for answer in refused] == ["limits_unavailable"] * 2
    assert [await call(site) for site in other] == [429, 429]
    await publish(lost)

    cluster.start_node(number)

    async def counts() -> bool:
        return [await call(site) for site in lost] == [429, 429]

    assert await until(counts, 20) < 5
    sent = let_through(lost[0], upstream)
    lost_id = lost[0].snapshot.tenant_id

    async def shipped() -> bool:
        passed = [e for e in cluster.events(lost_id) if e.path == "/orders/7" and e.status == 200]
        return len(passed) == sent

    await until(shipped, 20)
    assert sent >= 3 + 2
