"""Limits when things break: workers that die, and a Valkey that is gone, slow or empty."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from typing import Any

import pytest
from limits_cast import chat, counted, known, model, planned, with_ai
from proxy_servers import Call, Valkey

from contract import keys
from contract.periods import period_at
from contract.policies import Limit
from proxy.limits.scripts import LEASE_SECONDS


async def ai_site(gateway: Any, sites: Any, valkey: Valkey, upstream: Any, *limits: Limit) -> Any:
    """A tenant with a model and these limits."""
    upstream.script = model()
    site = sites(gateway, "alice", valkey)
    known(site)
    await site.publish(**with_ai(site, upstream.port) | planned(site, *limits))
    return site


async def until(condition: Any, seconds: float = 15.0) -> float:
    """Waits until an awaitable condition holds; how long that took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, "It did not happen in time."
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_what_a_killed_worker_held_comes_back_and_what_a_living_one_holds_stays(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    """Calls at once, tokens, and shares of a leased limit of calls."""
    one, two = start_gateway(own_valkey.url), start_gateway(own_valkey.url)
    limits = (
        Limit("concurrency", 5),
        Limit("tokens", 1000, 600),
        Limit("calls", 400, 600, scope="application", mode="leased"),
    )
    site = await ai_site(one, sites, own_valkey, upstream, *limits)
    other = sites(two, "alice", own_valkey)
    other.snapshot, other.host, other.key = site.snapshot, site.host, site.key
    other.client.timeout = 120
    await other.publish()
    gate = asyncio.Event()
    answering = model()

    async def waits(call: Call, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await answering(call, writer)

    upstream.script = waits
    stuck = [asyncio.create_task(chat(site, max_tokens=100)) for _ in range(4)]
    long = asyncio.create_task(chat(other, max_tokens=100))

    async def full() -> bool:
        return (await counted(site, "concurrency", "subscription:sub-ai", "now"))[1] == 5

    await until(full)
    refused = await chat(other, max_tokens=100)
    assert refused.json()["error"]["code"] == "concurrency_limited"
    upstream.script = answering
    for _ in range(75):
        await asyncio.gather(*(site.call("/orders/7") for _ in range(4)))
    one.kill()
    await asyncio.gather(*stuck, return_exceptions=True)

    async def passes() -> bool:
        return (await chat(other, max_tokens=100)).status_code == 200

    assert await until(passes, LEASE_SECONDS + 15) > 1
    # The living worker's call is older than that, and still counted.
    at_once = await counted(site, "concurrency", "subscription:sub-ai", "now")
    tokens = await counted(site, "tokens", "subscription:sub-ai", "600")
    gate.set()
    assert (await long).status_code == 200
    assert at_once == (0, 1)
    plan = f"application:app:plan:{site.snapshot.plans[0].id}"
    calls, held = await counted(site, "calls", plan, "600")
    # 300 on one path, five on the other, and those that waited until they were let through.
    assert calls >= 306 - 400 // 20
    assert held <= 400 // 20
    assert tokens[0] == 30
    assert 100 < tokens[1] < 200


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_valkey_calls_pass_and_money_is_refused_and_both_count_again_soon(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any, how: str
) -> None:
    gateway = start_gateway(own_valkey.url)
    limits = (Limit("calls", 3, 600, scope="application"), Limit("tokens", 1_000_000, 600))
    site = await ai_site(gateway, sites, own_valkey, upstream, *limits)
    for _ in range(3):
        assert (await chat(site, max_tokens=10)).status_code == 200
    assert (await site.call("/orders/7")).status_code == 429

    own_valkey.signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
    began = time.monotonic()
    answers = await asyncio.gather(*(site.call("/orders/7") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert time.monotonic() - began < 10
    took = []
    for _ in range(5):
        began = time.monotonic()
        passed, refused = await site.call("/orders/7"), await chat(site)
        took.append(time.monotonic() - began)
    assert min(took) < 0.2
    assert passed.status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert refused.json()["error"]["code"] == "limits_unavailable"

    if how == "frozen":
        own_valkey.signal(signal.SIGCONT)
    else:
        own_valkey.process.wait()
        own_valkey.start()

    async def counts() -> bool:
        return (await site.call("/orders/7")).status_code == 429

    await until(counts)
    # The three calls are still known, so it is they that stand in the way of a fourth.
    assert (await chat(site)).json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_slow_valkey_is_not_waited_for(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = await ai_site(gateway, sites, own_valkey, upstream, Limit("calls", 10_000, 600))
    assert (await site.call("/orders/7")).headers["ratelimit"]
    over = asyncio.Event()

    async def slow() -> None:
        """Answers, but only ever after 0.2 s."""
        while not over.is_set():
            own_valkey.signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)
            own_valkey.signal(signal.SIGCONT)
            await asyncio.sleep(0.002)

    slowing = asyncio.create_task(slow())

    async def uncounted() -> bool:
        return "ratelimit" not in (await site.call("/orders/7")).headers

    await until(uncounted)
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert await uncounted()
        took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.2
    over.set()
    await slowing

    async def counts() -> bool:
        return "ratelimit" in (await site.call("/orders/7")).headers

    await until(counts)


async def test_settlements_wait_for_valkey_and_count_once(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    limits = (Limit("tokens", 1_000_000, 600), Limit("concurrency", 50))
    site = await ai_site(gateway, sites, own_valkey, upstream, *limits)
    gate = asyncio.Event()
    answering = model()

    async def waits(call: Call, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await answering(call, writer)

    upstream.script = waits
    calls = [asyncio.create_task(chat(site)) for _ in range(20)]

    async def all_held() -> bool:
        return (await counted(site, "concurrency", "subscription:sub-ai", "now"))[1] == 20

    await until(all_held)
    own_valkey.signal(signal.SIGSTOP)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert Counter(answer.status_code for answer in answers) == {200: 20}
    await asyncio.sleep(0.5)
    own_valkey.signal(signal.SIGCONT)

    async def settled() -> bool:
        tokens = await counted(site, "tokens", "subscription:sub-ai", "600")
        at_once = await counted(site, "concurrency", "subscription:sub-ai", "now")
        return (tokens, at_once) == ((20 * 30, 0), (0, 0))

    await until(settled)
    await asyncio.sleep(0.3)
    assert await settled()


async def test_checks_whose_answer_was_lost_hold_nothing(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    """They reach a Valkey that was frozen when nobody waits for them any more."""
    gateway = start_gateway(own_valkey.url)
    site = await ai_site(gateway, sites, own_valkey, upstream, Limit("concurrency", 5))
    assert (await site.call("/orders/7")).status_code == 200
    own_valkey.signal(signal.SIGSTOP)
    answers = await asyncio.gather(*(site.call("/orders/7") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    own_valkey.signal(signal.SIGCONT)

    async def counts() -> bool:
        return "ratelimit" in (await site.call("/orders/7")).headers

    await until(counts)
    subject = f"subscription:{site.snapshot.subscriptions[0].id}"

    async def free() -> bool:
        return await counted(site, "concurrency", subject, "now") == (0, 0)

    await until(free, LEASE_SECONDS / 2)


async def test_an_emptied_valkey_lets_no_money_be_spent_before_it_is_filled_again(
    own_valkey: Valkey, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    budget = Limit("cost", 10_000, period="month", scope="tenant")
    quota = Limit("calls", 100, period="day", scope="tenant")
    site = await ai_site(gateway, sites, own_valkey, upstream, budget, quota)
    assert (await chat(site, max_tokens=10)).status_code == 200
    own_valkey.client().flushall()
    refused = await chat(site, max_tokens=10)
    assert refused.json()["error"]["code"] == "limits_unavailable"
    assert (await site.call("/orders/7")).status_code == 200
    month = period_at("month", "UTC", time.time())
    counter = keys.limit_counter(site.snapshot.tenant_id, "cost-USD", "tenant", month.name)
    own_valkey.client().hset(counter, "b", 9_990)
    known(site)
    refused = await chat(site, max_tokens=10)
    assert refused.json()["error"]["code"] == "budget_exceeded"
