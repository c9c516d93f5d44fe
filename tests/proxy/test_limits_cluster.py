"""The limiter on a Valkey Cluster of three nodes, the first of them with a replica."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from valkey_cluster import Cluster

from contract.keys import limits_rebuilt
from proxy.cluster import slot_of
from proxy.limits import Held, Item, Limits, SpreadLimiter, Verdict
from proxy.limits.bills import Used
from proxy.valkey import ValkeyError

_numbers = count(time.time_ns())


@pytest.fixture
def tenants(cluster: Cluster) -> list[str]:
    """Three tenants, each at home on another node."""
    found: dict[int, str] = {}
    while len(found) < 3:
        name = f"spread-{next(_numbers)}"
        found.setdefault(cluster.node_of(limits_rebuilt(name)), name)
    for name in found.values():
        cluster.client().set(limits_rebuilt(name), 1)
    return list(found.values())


@pytest.fixture
async def workers(cluster: Cluster) -> AsyncIterator[list[SpreadLimiter]]:
    made = [SpreadLimiter(cluster.url) for _ in range(2)]
    for limiter in made:
        await limiter.start()
        assert limiter.connected
    yield made
    for limiter in made:
        await limiter.close()


def limits(tenant: str) -> Limits:
    tokens = Item(tenant, "tokens", "tenant", 1000, period="day", window=0)
    return Limits((Item(tenant, "concurrency", "s", 10), tokens))


async def hold(limiter: SpreadLimiter, wanted: Limits, tokens: int) -> tuple[Verdict | None, Held]:
    held = Held(wanted, (1, tokens))
    answer = limiter.hold(held, alike=False)
    verdict = await answer if isinstance(answer, asyncio.Future) else answer
    return verdict, held


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        await asyncio.sleep(0.05)
    return value


def test_slots_are_those_of_the_specification(cluster: Cluster) -> None:
    client = cluster.client()
    for key in ("123456789", "hubpo:{a}:x", "hubpo:{}{a}", "{", "a{b}c{d}", "hubpo:limit:{t}:s"):
        assert slot_of(key) == client.keyslot(key), key


async def test_limits_of_tenants_on_every_node_are_exact_over_workers(
    workers: list[SpreadLimiter], tenants: list[str]
) -> None:
    wanted = {(n, t): limits(t) for n in range(2) for t in tenants}
    found = await asyncio.gather(
        *(hold(workers[n], wanted[n, t], 10) for _ in range(100) for n in range(2) for t in tenants)
    )
    passed = Counter(
        held.limits.tenant_id for verdict, held in found if verdict is not None and verdict.allowed
    )
    assert passed == dict.fromkeys(tenants, 10)
    for verdict, held in found:
        if verdict is not None and verdict.allowed:
            held.close((0, 7))

    async def settled() -> bool:
        readings = [await workers[0].readings(wanted[0, t]) for t in tenants]
        return all([(r.used, r.reserved) for r in r3] == [(0, 0), (70, 0)] for r3 in readings)

    await until(settled)


async def test_bills_are_with_their_tenants_counters_on_every_node(
    workers: list[SpreadLimiter], tenants: list[str]
) -> None:
    for tenant in tenants:
        budget = Item(tenant, "cost", "tenant", 1000, currency="USD", period="month")
        wanted = Limits((budget,))
        await workers[0].bills.open("b", wanted, (700,), 86_400)
        (reading,) = await workers[1].readings(wanted)
        assert (reading.used, reading.reserved) == (0, 700)
        for worker in (workers[1], workers[0]):
            await worker.bills.close(tenant, "b", Used(9, 450, "USD"), time.time())
        (reading,) = await workers[0].readings(wanted)
        assert (reading.used, reading.reserved) == (450, 0)


async def test_what_is_held_moves_with_its_tenants_keys(
    cluster: Cluster, workers: list[SpreadLimiter], tenants: list[str]
) -> None:
    tenant = tenants[0]
    wanted = limits(tenant)
    verdict, held = await hold(workers[0], wanted, 100)
    assert verdict is not None
    assert verdict.allowed
    marker = limits_rebuilt(tenant)
    cluster.move(marker, (cluster.node_of(marker) + 1) % 3)

    await until(lambda: asyncio.to_thread(cluster.set_anywhere, marker))

    async def counted() -> bool:
        verdict, probe = await hold(workers[0], wanted, 1)
        probe.close((0, 0))
        return verdict is not None and verdict.allowed

    async def moved() -> bool:
        return [r.reserved for r in await workers[0].readings(wanted)] == [1, 100]

    await until(counted)
    await until(moved)
    held.close((0, 60))

    async def settled() -> bool:
        readings = await workers[0].readings(wanted)
        return [(r.used, r.reserved) for r in readings] == [(0, 0), (60, 0)]

    await until(settled)


async def test_a_frozen_node_leaves_the_others_tenants_alone(
    cluster: Cluster, workers: list[SpreadLimiter], tenants: list[str]
) -> None:
    wanted = {tenant: limits(tenant) for tenant in tenants}
    gone, *others = tenants
    process = cluster.processes[cluster.node_of(limits_rebuilt(gone))]

    async def passes(tenant: str) -> bool | None:
        """None: it cannot be counted."""
        verdict, held = await hold(workers[0], wanted[tenant], 1)
        held.close((0, 0))
        return None if verdict is None else verdict.allowed

    process.send_signal(signal.SIGSTOP)
    try:
        assert await passes(gone) is None
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert [await passes(tenant) for tenant in (gone, *others)] == [None, True, True]
            took.append(time.monotonic() - began)
        assert min(took) < 0.2
    finally:
        process.send_signal(signal.SIGCONT)

    async def back() -> bool:
        return bool(await passes(gone))

    await until(back, 5.0)


@pytest.mark.parametrize("how", ["at one stroke", "key by key"])
async def test_a_slot_that_moves_under_traffic_costs_no_exactness_and_no_answer(
    cluster: Cluster, workers: list[SpreadLimiter], tenants: list[str], how: str
) -> None:
    """Key by key, it is in two places for a while, and nodes send those who ask to and fro."""
    tenant = tenants[1]
    both = [Limits((Item(tenant, "calls", f"s-{how}", 500, window=600),)) for _ in workers]
    name = both[0].resolve(0)[0].key
    verdicts: list[Verdict | None] = []
    stop = asyncio.Event()

    async def ask(worker: SpreadLimiter, wanted: Limits) -> None:
        while not stop.is_set():
            answers = [worker.check(wanted) for _ in range(3)]
            verdicts.extend([answer and await answer for answer in answers])
            await asyncio.sleep(0.001)

    asking = [asyncio.create_task(ask(*pair)) for pair in zip(workers, both, strict=True)]
    await until(lambda: asyncio.sleep(0, len(verdicts) > 30))
    home = cluster.node_of(name)
    to = (home + 1) % 3
    if how == "at one stroke":
        await asyncio.to_thread(cluster.migrate, name, to)
    else:
        await asyncio.to_thread(cluster.migrate_by_key, name, to, lambda: time.sleep(0.1))
    seen = len(verdicts)
    await until(lambda: asyncio.sleep(0, len(verdicts) > max(seen + 30, 700)))
    stop.set()
    await asyncio.gather(*asking)
    assert cluster.node_of(name) == to
    assert None not in verdicts
    assert sum(verdict.allowed for verdict in verdicts if verdict is not None) == 500


async def test_a_replica_that_is_promoted_takes_over_with_what_was_used_and_held(
    cluster: Cluster, workers: list[SpreadLimiter], tenants: list[str]
) -> None:
    """The last test here: the first node stays dead."""
    tenant = next(name for name in tenants if cluster.node_of(limits_rebuilt(name)) == 0)
    wanted = limits(tenant)
    verdict, held = await hold(workers[0], wanted, 100)
    assert verdict is not None
    assert verdict.allowed
    _, other = await hold(workers[0], wanted, 7)
    other.close((0, 5))

    async def amounts() -> list[tuple[int, int]]:
        return [(r.used, r.reserved) for r in await workers[0].readings(wanted)]

    async def settled() -> bool:
        return await amounts() == [(0, 1), (5, 100)]

    await until(settled)
    cluster.nodes[0].wait(1, 1000)
    cluster.kill(0)

    async def counted() -> bool:
        verdict, probe = await hold(workers[1], wanted, 1)
        probe.close((0, 0))
        return verdict is not None and verdict.allowed

    assert not await counted()
    await until(counted)

    async def known() -> bool:
        with suppress(ValkeyError):
            return await settled()
        return False

    await until(known)
    held.close((0, 60))

    async def used() -> bool:
        return await amounts() == [(0, 0), (65, 0)]

    await until(used)
    assert all(worker.counts.breaker_open == 0 for worker in workers)
