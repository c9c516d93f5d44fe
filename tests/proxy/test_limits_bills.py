"""What batches count against limits: opened, closed once, and over the ends of periods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from contract.counters import read
from contract.keys import limit_bill, limit_counter, limits_rebuilt
from contract.periods import period_at
from proxy.limits import Held, Item, Limiter, Limits
from proxy.limits.bills import Used
from proxy.valkey import ValkeyError

DAY = 86_400
_numbers = count(time.time_ns())

Start = Callable[[], Awaitable[Limiter]]


@pytest.fixture
async def start(proxy_valkey: Any) -> AsyncIterator[Start]:
    """``await start()``: a limiter as each worker has one."""
    made: list[Limiter] = []

    async def begin() -> Limiter:
        limiter = Limiter(proxy_valkey.url)
        made.append(limiter)
        await limiter.start()
        return limiter

    yield begin
    for limiter in made:
        await limiter.close()


@pytest.fixture
async def limiter(start: Start) -> Limiter:
    return await start()


@pytest.fixture
def tenant(proxy_valkey: Any) -> str:
    name = f"bills-{next(_numbers)}"
    proxy_valkey.client().set(limits_rebuilt(name), "kinds:0")
    return name


def money(tenant: str, amount: int = 1000, **rest: Any) -> Item:
    return Item(tenant, "cost", "tenant", amount, currency="USD", **({"period": "month"} | rest))


async def fits(limiter: Limiter, wanted: Limits, units: int) -> bool:
    """Whether a call may use so many now. It uses none."""
    held = Held(wanted, (units,) * len(wanted.items))
    answer = limiter.hold(held, alike=False)
    verdict = await answer if isinstance(answer, asyncio.Future) else answer
    held.close((0,) * len(wanted.items))
    assert verdict is not None
    await asyncio.sleep(0.02)
    return verdict.allowed


async def used(limiter: Limiter, wanted: Limits) -> list[tuple[int, int]]:
    """What each limit has used, and what is reserved."""
    return [(one.used, one.reserved) for one in await limiter.readings(wanted)]


def in_period(valkey: Any, tenant: str, name: str) -> tuple[int, int]:
    key = limit_counter(tenant, "cost-USD", "tenant", name)
    reading = read(valkey.client().hgetall(key), {}, 0, 0)
    return reading.used, reading.reserved


async def test_a_month_holds_what_a_batch_may_use_until_it_is_known_what_it_used(
    limiter: Limiter, tenant: str
) -> None:
    limits = Limits((money(tenant),))
    await limiter.bills.open("b", limits, (700,), DAY)
    assert await used(limiter, limits) == [(0, 700)]
    assert await fits(limiter, limits, 300)
    assert not await fits(limiter, limits, 301)
    await limiter.bills.close(tenant, "b", Used(9, 450, "USD"), time.time())
    assert await used(limiter, limits) == [(450, 0)]
    assert await fits(limiter, limits, 550)
    assert not await fits(limiter, limits, 551)


async def test_a_sliding_window_has_it_where_it_was_created(limiter: Limiter, tenant: str) -> None:
    tokens = Item(tenant, "tokens", "tenant", 1000, window=600)
    limits = Limits((tokens, money(tenant, period="", window=600)))
    await limiter.bills.open("b", limits, (700, 600), DAY)
    assert await used(limiter, limits) == [(700, 0), (600, 0)]
    await limiter.bills.close(tenant, "b", Used(40, 900, "USD"), time.time())
    assert await used(limiter, limits) == [(40, 0), (900, 0)]
    await limiter.bills.open("c", limits, (10, 10), DAY)
    await limiter.bills.close(tenant, "c", Used(0, 0, "USD"), time.time())
    assert await used(limiter, limits) == [(40, 0), (900, 0)]


async def test_a_window_that_is_over_is_left_alone(limiter: Limiter, tenant: str) -> None:
    limits = Limits((Item(tenant, "tokens", "tenant", 1000, window=1),))
    await limiter.bills.open("b", limits, (700,), DAY)
    await asyncio.sleep(1.1)
    await limiter.bills.open("c", limits, (5,), DAY)
    await limiter.bills.close(tenant, "b", Used(900, 0), time.time())
    assert await used(limiter, limits) == [(5, 0)]


async def test_it_is_closed_once_whoever_comes(start: Start, tenant: str) -> None:
    one, two = await start(), await start()
    limits = Limits((money(tenant), money(tenant, period="day")))
    await one.bills.open("b", limits, (700, 700), DAY)
    await one.bills.open("b", limits, (700, 700), DAY)  # Sent again, it counts once.
    assert await used(one, limits) == [(0, 700), (0, 700)]
    now = time.time()
    closing = [w.bills.close(tenant, "b", Used(9, 450, "USD"), now) for w in (one, two) * 5]
    await asyncio.gather(*closing)
    assert await used(one, limits) == [(450, 0), (450, 0)]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
async def test_over_the_end_of_a_month_it_counts_where_it_ended(
    limiter: Limiter, tenant: str, proxy_valkey: Any, monkeypatch: Any, zone: str
) -> None:
    month = period_at("month", zone, time.time())
    after = period_at("month", zone, month.end)
    limits = Limits((money(tenant, time_zone=zone),))
    monkeypatch.setattr(limiter._link, "now", lambda: month.end - 3600.0)
    for bill in ("before", "after", "unused"):
        await limiter.bills.open(bill, limits, (300,), DAY)
    # Until it is known where they end, neither month lets others have what they may use.
    assert in_period(proxy_valkey, tenant, month.name) == (0, 900)
    assert in_period(proxy_valkey, tenant, after.name) == (0, 900)
    await limiter.bills.close(tenant, "before", Used(9, 200, "USD"), month.end - 1)
    await limiter.bills.close(tenant, "after", Used(9, 100, "USD"), month.end)
    assert in_period(proxy_valkey, tenant, month.name) == (200, 300)
    assert in_period(proxy_valkey, tenant, after.name) == (100, 300)
    await limiter.bills.close(tenant, "unused", Used(), month.end)
    assert in_period(proxy_valkey, tenant, month.name) == (200, 0)
    assert in_period(proxy_valkey, tenant, after.name) == (100, 0)


async def test_within_a_month_only_that_one_is_held(
    limiter: Limiter, tenant: str, proxy_valkey: Any, monkeypatch: Any
) -> None:
    month = period_at("month", "UTC", time.time() + 40 * DAY)
    monkeypatch.setattr(limiter._link, "now", lambda: month.start + 2.0 * DAY)
    limits = Limits((money(tenant), money(tenant, period="day")))
    await limiter.bills.open("b", limits, (300, 300), 2 * DAY)
    names = [
        key.rpartition(b"tenant:")[2] for key in proxy_valkey.client().keys(f"*{tenant}*cost*")
    ]
    days = [period_at("day", "UTC", month.start + day * DAY).name for day in (2, 3, 4)]
    assert sorted(names) == sorted(name.encode() for name in (*days, month.name))


async def test_what_ended_later_than_it_should_counts_there(
    limiter: Limiter, tenant: str, proxy_valkey: Any
) -> None:
    limits = Limits((money(tenant, period="day"),))
    await limiter.bills.open("b", limits, (300,), DAY)
    late = period_at("day", "UTC", time.time() + 4 * DAY)
    await limiter.bills.close(tenant, "b", Used(9, 200, "USD"), late.start)
    assert in_period(proxy_valkey, tenant, late.name) == (200, 0)
    assert await used(limiter, limits) == [(0, 0)]


async def test_what_is_not_known_goes_on_counting(limiter: Limiter, tenant: str) -> None:
    euros = Item(tenant, "cost", "tenant", 1000, currency="EUR", period="month")
    limits = Limits((money(tenant), euros, Item(tenant, "tokens", "tenant", 1000, period="month")))
    await limiter.bills.open("b", limits, (300, 200, 100), DAY)
    await limiter.bills.close(tenant, "b", Used(70, None, "USD"), time.time())
    assert await used(limiter, limits) == [(0, 300), (0, 200), (70, 0)]
    await limiter.bills.open("c", limits, (300, 200, 100), DAY)
    await limiter.bills.close(tenant, "c", Used(None, 5, "USD"), time.time())
    assert await used(limiter, limits) == [(5, 300), (0, 200), (70, 100)]


async def test_a_lost_bill_has_the_counters_filled_from_the_records(
    limiter: Limiter, tenant: str, proxy_valkey: Any
) -> None:
    valkey = proxy_valkey.client()
    await limiter.bills.close(tenant, "unused", Used(), time.time())
    assert valkey.get(limits_rebuilt(tenant)) == b"kinds:0"
    await limiter.bills.close(tenant, "lost", Used(9, 5, "USD"), time.time())
    kinds, _, again = valkey.get(limits_rebuilt(tenant)).partition(b":")
    assert kinds == b"kinds"
    assert 50 < int(again) - time.time() <= 61
    valkey.set(limits_rebuilt(tenant), "kinds:0")
    await limiter.bills.close(tenant, "lost", Used(9, 5, "USD"), time.time())
    assert valkey.get(limits_rebuilt(tenant)) == b"kinds:0"


async def test_bills_and_counters_do_not_stay_for_ever(
    limiter: Limiter, tenant: str, proxy_valkey: Any
) -> None:
    limits = Limits((money(tenant), Item(tenant, "tokens", "tenant", 1000, window=60)))
    await limiter.bills.open("b", limits, (300, 300), DAY)
    valkey = proxy_valkey.client()
    for key in valkey.keys(f"*{{{tenant}}}*"):
        assert valkey.ttl(key) > 0 or key.decode() == limits_rebuilt(tenant)
    await limiter.bills.close(tenant, "b", Used(), time.time())
    assert valkey.ttl(limit_bill(tenant, "b")) > 40 * DAY


async def test_without_valkey_it_is_said(limiter: Limiter, tenant: str) -> None:
    limiter._link.drop("a test")
    with pytest.raises(ValkeyError):
        await limiter.bills.open("b", Limits((money(tenant),)), (1,), DAY)
    with pytest.raises(ValkeyError):
        await limiter.bills.close(tenant, "b", Used(), time.time())


async def test_what_a_share_lent_is_not_lent_again(limiter: Limiter, tenant: str) -> None:
    """The bill has it now: no other call of the worker may use it."""
    limits = Limits((money(tenant, leased=True),))
    for _ in range(3):
        assert await fits(limiter, limits, 40)  # The worker draws a share.
    held = Held(limits, (40,))
    assert limiter.hold(held, alike=False).allowed
    slack = limits.shares[0].slack
    await limiter.bills.open("b", limits, (40,), DAY)
    held.close((40,), billed=True)
    assert (limits.shares[0].slack, limits.shares[0].lent) == (slack, 0)
    await asyncio.sleep(0.3)
    (reading,) = await limiter.readings(limits)
    assert (reading.used, reading.reserved) == (0, 40 + slack)
