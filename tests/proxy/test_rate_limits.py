"""Rate limits: exact over workers, told to the caller, and out of the way without Valkey."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from contract import snapshot
from contract.policies import Policy, RateLimit
from proxy.limits import Limit, Limiter, Limits


@pytest.fixture
async def limiter(proxy_valkey: Any) -> AsyncIterator[Limiter]:
    made = Limiter(proxy_valkey.url)
    await made.start()
    yield made
    await made.close()


def limits(*items: tuple[str, int, int]) -> Limits:
    made = time.time_ns()
    return Limits(tuple(Limit(f"test:{made}:{name}", most, window) for name, most, window in items))


async def allowed(limiter: Limiter, wanted: Limits, calls: int) -> int:
    checks = [limiter.check(wanted) for _ in range(calls)]
    verdicts = [await check for check in checks if check is not None]
    assert len(verdicts) == calls
    return sum(verdict is not None and verdict.allowed for verdict in verdicts)


# The counter


async def test_exactly_the_limit_passes(limiter: Limiter) -> None:
    wanted = limits(("a", 10, 60))
    assert await allowed(limiter, wanted, 7) == 7
    assert await allowed(limiter, wanted, 7) == 3
    assert await allowed(limiter, wanted, 7) == 0


async def test_a_unit_comes_back_after_the_window_and_not_before(limiter: Limiter) -> None:
    wanted = limits(("a", 5, 1))
    began = time.monotonic()
    assert await allowed(limiter, wanted, 5) == 5
    while time.monotonic() - began < 0.95:
        assert await allowed(limiter, wanted, 1) == 0
        await asyncio.sleep(0.02)
    await asyncio.sleep(max(0.0, began + 1.1 - time.monotonic()))
    assert await allowed(limiter, wanted, 9) == 5


async def test_no_window_anywhere_holds_more_than_the_limit(limiter: Limiter) -> None:
    wanted, passed = limits(("a", 20, 1)), list[float]()
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        passed += [time.monotonic()] * await allowed(limiter, wanted, 4)
        await asyncio.sleep(0.013)
    assert len(passed) >= 55
    for index in range(len(passed) - 20):
        assert passed[index + 20] - passed[index] > 0.98


async def test_the_wait_that_is_told_is_enough(limiter: Limiter) -> None:
    wanted = limits(("a", 1, 1))
    assert await allowed(limiter, wanted, 1) == 1
    check = limiter.check(wanted)
    assert check is not None
    verdict = await check
    assert verdict is not None
    assert not verdict.allowed
    assert 0 < verdict.wait <= 1_020_000
    await asyncio.sleep(verdict.wait / 1e6 + 0.001)
    assert await allowed(limiter, wanted, 1) == 1


async def test_a_refused_call_consumes_nothing_of_its_other_limits(limiter: Limiter) -> None:
    wide, narrow = limits(("wide", 10, 60)).items[0], limits(("narrow", 3, 60)).items[0]
    assert await allowed(limiter, Limits((wide, narrow)), 8) == 3
    assert await allowed(limiter, Limits((wide,)), 20) == 7


async def test_a_large_batch_of_many_limits_is_decided_in_order(limiter: Limiter) -> None:
    shared = limits(("shared", 100, 60)).items[0]
    own = [Limits((shared, limits((f"own-{n}", 3, 60)).items[0])) for n in range(50)]
    checks = [limiter.check(each) for _ in range(5) for each in own]
    verdicts = [await check for check in checks if check is not None]
    assert sum(v is not None and v.allowed for v in verdicts) == 100


# Through gateways


def planned(site: Any, *policies: Policy) -> dict[str, Any]:
    return {"plans": (snapshot.Plan(id="gold", name="Gold", policies=policies),)}


async def test_of_200_concurrent_calls_on_two_workers_exactly_ten_pass(
    own_valkey: Any, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    one, two = start_gateway(own_valkey.url), start_gateway(own_valkey.url)
    site, other = sites(one, "alice", own_valkey), sites(two, "alice", own_valkey)
    other.snapshot, other.host, other.key = site.snapshot, site.host, site.key
    await site.publish(**planned(site, RateLimit(limit=40, window=600)))
    await other.publish(**planned(site, RateLimit(limit=40, window=600)))
    for _ in range(30):
        assert (await site.call("/orders/7")).status_code == 200
    answers = await asyncio.gather(
        *(site.call("/orders/7") for _ in range(100)),
        *(other.call("/orders/7") for _ in range(100)),
    )
    assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 190}
    assert len(upstream.calls) == 40


async def test_the_caller_is_told_what_is_left_and_when_to_come_back(alice_site: Any) -> None:
    await alice_site.publish(
        **planned(alice_site, RateLimit(limit=2, window=60), RateLimit(limit=9, window=3600))
    )
    first = await alice_site.call("/orders/7")
    policy = '"subscription-60s";q=2;w=60, "subscription-3600s";q=9;w=3600'
    assert first.headers["ratelimit-policy"] == policy
    assert first.headers["ratelimit"] == '"subscription-60s";r=1, "subscription-3600s";r=8'
    await alice_site.call("/orders/7")
    refused = await alice_site.call("/orders/7")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
    wait = int(refused.headers["retry-after"])
    assert 55 <= wait <= 62
    assert refused.headers["ratelimit"] == f'"subscription-60s";r=0;t={wait}'
    assert refused.headers["ratelimit-policy"] == policy


async def test_limits_count_by_their_scope(alice_site: Any) -> None:
    api = alice_site.snapshot.apis[0]
    second = msgspec.structs.replace(api, id="second", listen_path="/second")
    sub = alice_site.snapshot.subscriptions[0]
    both = (sub, msgspec.structs.replace(sub, id=f"{sub.id}-2", api_id="second"))
    for scope, total in (("subscription", 4), ("api", 4), ("application", 2), ("tenant", 2)):
        window = {"subscription": 600, "api": 601, "application": 602, "tenant": 603}[scope]
        limit = RateLimit(limit=2, window=window, scope=scope)
        await alice_site.publish(
            apis=(api, second), subscriptions=both, **planned(alice_site, limit)
        )
        paths = ["/orders/7", "/second/7"] * 3
        answers = [await alice_site.call(path) for path in paths]
        assert sum(answer.status_code == 200 for answer in answers) == total, scope


async def test_a_routes_own_limit_counts_only_its_calls(alice_site: Any) -> None:
    narrow = snapshot.Route(id="n", path="/n", policies=(RateLimit(limit=1, window=600),))
    routes = (narrow, snapshot.Route(id="all", path="/{rest*}"))
    await alice_site.publish(apis=(alice_site.api(routes=routes),))
    assert (await alice_site.call("/orders/other")).status_code == 200
    assert (await alice_site.call("/orders/n")).status_code == 200
    assert (await alice_site.call("/orders/n")).status_code == 429
    assert (await alice_site.call("/orders/other")).status_code == 200


async def test_two_tenants_do_not_share_a_counter(alice_site: Any, charlie_site: Any) -> None:
    limit = RateLimit(limit=1, window=600, scope="tenant")
    for site in (alice_site, charlie_site):
        await site.publish(**planned(site, limit))
    for site in (alice_site, charlie_site):
        assert (await site.call("/orders/7")).status_code == 200
        assert (await site.call("/orders/7")).status_code == 429


# Without Valkey


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_calls_pass_while_valkey_is_gone_and_count_again_within_five_seconds(
    own_valkey: Any, start_gateway: Any, sites: Any, upstream: Any, how: str
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish(**planned(site, RateLimit(limit=3, window=600)))
    for _ in range(3):
        assert (await site.call("/orders/7")).status_code == 200
    assert (await site.call("/orders/7")).status_code == 429

    own_valkey.signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
    began = time.monotonic()
    answers = await asyncio.gather(*(site.call("/orders/7") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert time.monotonic() - began < 2
    began = time.monotonic()
    assert (await site.call("/orders/7")).status_code == 200
    assert time.monotonic() - began < 0.2

    if how == "frozen":
        own_valkey.signal(signal.SIGCONT)
    else:
        own_valkey.process.wait()
        own_valkey.start()
    deadline = time.monotonic() + 5
    while (await site.call("/orders/7")).status_code != 429:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
