"""The limiter by itself, on a real Valkey: windows, reservations, shares and their bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from contract.keys import limits_rebuilt
from contract.periods import period_at
from proxy.limits import NEVER, UNKNOWN, Held, Item, Limiter, Limits, Verdict, shares
from proxy.limits.scripts import LEASE_SECONDS

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
        assert limiter.connected
        return limiter

    yield begin
    for limiter in made:
        await limiter.close()


@pytest.fixture
async def limiter(start: Start) -> Limiter:
    return await start()


@pytest.fixture
def tenant(proxy_valkey: Any) -> str:
    """A tenant whose calendar counters are known."""
    name = f"counting-{next(_numbers)}"
    proxy_valkey.client().set(limits_rebuilt(name), 1)
    return name


def item(tenant: str, measure: Any = "calls", amount: int = 10, **rest: Any) -> Item:
    return Item(tenant, measure, rest.pop("subject", "s"), amount, **rest)


def limits(tenant: str, *items: tuple[str, int, int]) -> Limits:
    """Of calls: subject, amount and window."""
    return Limits(tuple(Item(tenant, "calls", name, most, window) for name, most, window in items))


async def allowed(limiter: Limiter, wanted: Limits, calls: int) -> int:
    """How many of so many calls at once pass plain limits."""
    checks = [limiter.check(wanted) for _ in range(calls)]
    verdicts = [await check for check in checks if check is not None]
    assert len(verdicts) == calls
    return sum(verdict is not None and verdict.allowed for verdict in verdicts)


async def hold(limiter: Limiter, wanted: Limits, *units: int) -> tuple[Verdict, Held]:
    """``units`` of each limit, or one of each."""
    held = Held(wanted, units or wanted.ones)
    answer = limiter.hold(held, alike=not units)
    verdict = await answer if isinstance(answer, asyncio.Future) else answer
    assert verdict is not None
    return verdict, held


async def holds(limiter: Limiter, wanted: Limits, calls: int) -> list[Held]:
    """What is held for those that pass of so many calls at once."""
    found = await asyncio.gather(*(hold(limiter, wanted) for _ in range(calls)))
    return [held for verdict, held in found if verdict.allowed]


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 5.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        await asyncio.sleep(0.02)
    return value


# Windows


async def test_exactly_the_limit_passes(limiter: Limiter, tenant: str) -> None:
    wanted = limits(tenant, ("a", 10, 60))
    assert await allowed(limiter, wanted, 7) == 7
    assert await allowed(limiter, wanted, 7) == 3
    assert await allowed(limiter, wanted, 7) == 0


async def test_a_unit_comes_back_after_the_window_and_not_before(
    limiter: Limiter, tenant: str
) -> None:
    wanted = limits(tenant, ("a", 5, 1))
    began = time.monotonic()
    assert await allowed(limiter, wanted, 5) == 5
    while time.monotonic() - began < 0.95:
        assert await allowed(limiter, wanted, 1) == 0
        await asyncio.sleep(0.02)
    await asyncio.sleep(max(0.0, began + 1.1 - time.monotonic()))
    assert await allowed(limiter, wanted, 9) == 5


@pytest.mark.parametrize("leased", [False, True])
async def test_no_window_anywhere_holds_more_than_the_limit(
    start: Start, tenant: str, leased: bool
) -> None:
    """With two workers at once, also where they draw shares."""
    workers = [await start(), await start()]
    wanted = [Limits((item(tenant, amount=60, window=1, leased=leased),)) for _ in workers]
    asked: list[float] = []
    passed: list[float] = []

    async def one(worker: Limiter, its: Limits) -> None:
        before = time.monotonic()
        verdict = worker.draw(its) if leased else None
        if verdict is None:
            verdict, _ = await hold(worker, its)
        if verdict.allowed:
            asked.append(before)
            passed.append(time.monotonic())

    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        calls = [one(worker, its) for worker, its in zip(workers, wanted, strict=True)]
        await asyncio.gather(*calls, *[one(workers[0], wanted[0]) for _ in range(3)])
        await asyncio.sleep(0.011)
    asked.sort()
    passed.sort()
    assert len(passed) >= (75 if leased else 115)
    # Each was let through somewhere between the two.
    assert all(late - early > 0.99 for early, late in zip(asked, passed[60:], strict=False))


async def test_the_wait_that_is_told_is_enough(limiter: Limiter, tenant: str) -> None:
    wanted = limits(tenant, ("a", 1, 1))
    assert await allowed(limiter, wanted, 1) == 1
    check = limiter.check(wanted)
    assert check is not None
    verdict = await check
    assert verdict is not None
    assert not verdict.allowed
    assert 0 < verdict.wait <= 1_020_000
    await asyncio.sleep(verdict.wait / 1e6 + 0.001)
    assert await allowed(limiter, wanted, 1) == 1


async def test_of_several_limits_that_refuse_the_one_that_takes_longest_is_told(
    limiter: Limiter, tenant: str
) -> None:
    wanted = limits(tenant, ("a", 1, 1), ("b", 1, 60), ("c", 1, 10), ("d", 9, 600))
    assert await allowed(limiter, wanted, 1) == 1
    check = limiter.check(wanted)
    assert check is not None
    verdict = await check
    assert verdict is not None
    assert verdict.tight == 1
    assert 59_000_000 < verdict.wait <= 61_100_000
    assert verdict.remaining == [0, 0, 0, 8]


async def test_a_clock_that_goes_back_an_hour_costs_a_window_and_no_more(
    limiter: Limiter, tenant: str, proxy_valkey: Any
) -> None:
    """The counters are made to look as they do when Valkey's clock was an hour ahead."""
    wanted = Limits((item(tenant, amount=5), item(tenant, "concurrency", 5)))
    for _ in range(5):
        await hold(limiter, wanted)
    spent, at_once = wanted.counters
    client = proxy_valkey.client()
    fields = client.hgetall(spent.key)
    client.delete(spent.key)
    later = {b"n": fields.pop(b"n"), b"f": int(fields.pop(b"f")) + 3600}
    later |= {str(int(slot) + 3600).encode(): count for slot, count in fields.items()}
    client.hset(spent.key, mapping=later)
    for name, value in client.hgetall(at_once.held).items():
        if name.startswith(b"d:"):
            client.hset(at_once.held, name, int(value) + 3_600_000_000)
    verdict, _ = await hold(limiter, wanted)
    assert (verdict.allowed, verdict.tight) == (False, 0)
    assert 59_000_000 < verdict.wait <= 61_100_000
    deadlines = [
        int(value) for name, value in client.hgetall(at_once.held).items() if name.startswith(b"d:")
    ]
    assert max(deadlines) <= (time.time() + LEASE_SECONDS + 1) * 1e6


async def test_a_refused_call_consumes_nothing_of_its_other_limits(
    limiter: Limiter, tenant: str
) -> None:
    wide, narrow = limits(tenant, ("wide", 10, 60), ("narrow", 3, 60)).items
    assert await allowed(limiter, Limits((wide, narrow)), 8) == 3
    assert await allowed(limiter, Limits((wide,)), 20) == 7


async def test_a_large_batch_of_many_limits_is_decided_in_order(
    limiter: Limiter, tenant: str
) -> None:
    shared = item(tenant, amount=100, subject="shared")
    own = [Limits((shared, item(tenant, amount=3, subject=f"own-{n}"))) for n in range(50)]
    checks = [limiter.check(each) for _ in range(5) for each in own]
    verdicts = [await check for check in checks if check is not None]
    assert sum(v is not None and v.allowed for v in verdicts) == 100


# Calls at once


async def test_so_many_calls_at_once_and_one_more_when_one_ends(start: Start, tenant: str) -> None:
    one, two = await start(), await start()
    wanted = [Limits((item(tenant, "concurrency", 10),)) for _ in range(2)]
    first = await holds(one, wanted[0], 6)
    second = await holds(two, wanted[1], 100)
    assert (len(first), len(second)) == (6, 4)
    for held in first[:3]:
        held.close((0,))
        held.close((0,))

    async def some() -> list[Held]:
        return await holds(two, wanted[1], 20)

    again = await until(some)
    assert len(again) <= 3
    while len(again) < 3:
        again += await until(some)
    assert await some() == []


async def test_a_call_that_ends_before_it_is_let_through_holds_nothing(
    limiter: Limiter, tenant: str
) -> None:
    wanted = Limits((item(tenant, "concurrency", 3),))
    for _ in range(3):
        held = Held(wanted, wanted.ones)
        answer = limiter.hold(held, alike=True)
        held.close((0,))
        assert isinstance(answer, asyncio.Future)
        assert (await answer).allowed

    async def all_free() -> bool:
        return (await limiter.readings(wanted))[0].reserved == 0

    await until(all_free)
    assert len(await holds(limiter, wanted, 5)) == 3


# Tokens and money


async def test_units_are_reserved_settled_and_given_back(limiter: Limiter, tenant: str) -> None:
    wanted = Limits(
        (
            item(tenant, "tokens", 1000),
            item(tenant, "cost", 500_000, period="month", currency="USD"),
        )
    )
    first, one = await hold(limiter, wanted, 600, 100_000)
    assert first.allowed
    assert first.remaining == [400, 400_000]
    second, _ = await hold(limiter, wanted, 401, 100_000)
    assert (second.allowed, second.tight) == (False, 0)
    one.close((250, 40_000))

    async def settled() -> Any:
        readings = await limiter.readings(wanted)
        return readings if not readings[0].reserved else None

    tokens, money = await until(settled)
    assert (tokens.used, money.used, money.reserved) == (250, 40_000, 0)
    third, two = await hold(limiter, wanted, 750, 1)
    assert third.allowed
    two.close((0, 0))
    await until(settled)
    assert (await limiter.readings(wanted))[0].used == 250


async def test_a_call_that_could_never_fit_is_told_so(limiter: Limiter, tenant: str) -> None:
    verdict, _ = await hold(limiter, Limits((item(tenant, "tokens", 100),)), 101)
    assert (verdict.allowed, verdict.wait) == (False, NEVER)


async def test_the_wait_for_many_units_is_until_enough_are_free(
    limiter: Limiter, tenant: str
) -> None:
    wanted = Limits((item(tenant, "tokens", 100, window=1),))
    for used in (30, 70):
        _, held = await hold(limiter, wanted, used)
        held.close((used,))
        await asyncio.sleep(0.3)
    verdict, _ = await hold(limiter, wanted, 50)
    assert not verdict.allowed
    # The first 30 are not enough: it takes until the 70 are free.
    assert 600_000 < verdict.wait <= 1_020_000
    await asyncio.sleep(verdict.wait / 1e6 + 0.001)
    verdict, _ = await hold(limiter, wanted, 50)
    assert verdict.allowed


async def test_measures_are_taken_together_or_not_at_all(limiter: Limiter, tenant: str) -> None:
    calls, at_once = item(tenant), item(tenant, "concurrency", 2)
    tokens = item(tenant, "tokens", 1000)
    wanted = Limits((calls, at_once, tokens))
    passed = [(await hold(limiter, wanted, 1, 1, 100))[0].allowed for _ in range(5)]
    assert passed == [True, True, False, False, False]
    readings = await limiter.readings(wanted)
    assert [(r.used, r.reserved) for r in readings] == [(2, 0), (0, 2), (0, 200)]


# Calendar periods


async def test_a_quota_is_for_its_day_and_told_until_when(limiter: Limiter, tenant: str) -> None:
    wanted = Limits((item(tenant, amount=3, window=0, period="day", time_zone="Asia/Kolkata"),))
    assert await allowed(limiter, wanted, 5) == 3
    check = limiter.check(wanted)
    assert check is not None
    verdict = await check
    assert verdict is not None
    now = time.time()
    end = period_at("day", "Asia/Kolkata", now).end
    assert verdict.wait / 1e6 == pytest.approx(end - now, abs=2)


async def test_money_of_a_period_is_refused_until_it_is_known_what_was_spent(
    limiter: Limiter, proxy_valkey: Any
) -> None:
    tenant = f"unknown-{next(_numbers)}"
    wanted = Limits((item(tenant, "cost", 100, period="month", currency="USD"),))
    verdict, _ = await hold(limiter, wanted, 10)
    assert (verdict.allowed, verdict.wait) == (False, UNKNOWN)
    key = wanted.counters[0].key
    with proxy_valkey.client().pipeline() as pipeline:
        pipeline.hset(key, "b", 85)
        pipeline.set(limits_rebuilt(tenant), 1)
        pipeline.execute()
    verdict, held = await hold(limiter, wanted, 10)
    assert (verdict.allowed, verdict.remaining) == (True, [5])
    held.close((10,))
    verdict, _ = await hold(limiter, wanted, 10)
    assert (verdict.allowed, verdict.wait == UNKNOWN) == (False, False)


async def test_calls_of_a_period_pass_meanwhile(limiter: Limiter) -> None:
    wanted = Limits((item(f"unknown-{next(_numbers)}", window=0, period="month"),))
    assert await allowed(limiter, wanted, 12) == 10


# Shares


async def test_a_leased_limit_is_never_exceeded_and_rarely_asks(start: Start, tenant: str) -> None:
    workers = [await start(), await start()]
    wanted = [Limits((item(tenant, amount=2000, leased=True),)) for _ in workers]
    passed = asked = 0

    async def one(worker: Limiter, its: Limits) -> None:
        nonlocal passed, asked
        verdict = worker.draw(its)
        if verdict is None:
            asked += 1
            verdict, _ = await hold(worker, its)
        passed += verdict.allowed

    for _ in range(60):
        await asyncio.gather(
            *(one(*pair) for pair in zip(workers, wanted, strict=True) for _ in range(20))
        )
    assert 1900 <= passed <= 2000
    assert asked < 1000
    reading = (await workers[0].readings(wanted[0]))[0]
    assert reading.used + reading.reserved <= 2000


async def test_units_that_lie_idle_in_one_worker_come_back(start: Start, tenant: str) -> None:
    one, two = await start(), await start()
    first, second = (Limits((item(tenant, amount=400, leased=True),)) for _ in range(2))
    for _ in range(8):
        if one.draw(first) is None:
            await hold(one, first)
    assert (await two.readings(second))[0].reserved > 0

    async def back() -> bool:
        reading = (await two.readings(second))[0]
        return (reading.used, reading.reserved) == (8, 0)

    await until(back)


async def test_leased_tokens_are_settled_to_what_was_used(start: Start, tenant: str) -> None:
    limiter = await start()
    wanted = Limits((item(tenant, "tokens", 100_000, leased=True),))
    for _ in range(30):
        verdict, held = await hold(limiter, wanted, 500)
        assert verdict.allowed
        held.close((120,))

    async def settled() -> bool:
        reading = (await limiter.readings(wanted))[0]
        return (reading.used, reading.reserved) == (3600, 0)

    await until(settled)


async def test_shares_of_a_wider_limit_do_not_serve_a_narrower_one(
    limiter: Limiter, tenant: str
) -> None:
    """Both count the same, and what was passed under the wide one counts under the narrow."""
    wide = Limits((item(tenant, amount=1000, leased=True),))
    narrow = Limits((item(tenant, amount=20, leased=True),))
    for _ in range(18):
        if limiter.draw(wide) is None:
            await hold(limiter, wide)
    passed = 0
    for _ in range(10):
        verdict = limiter.draw(narrow) or (await hold(limiter, narrow))[0]
        passed += verdict.allowed
    assert passed <= 2


async def test_a_share_that_is_forgotten_between_two_calls_is_made_anew(
    limiter: Limiter, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "REPORT_SECONDS", 0.05)
    monkeypatch.setattr(shares, "SPARE_REPORTS", 1)
    monkeypatch.setattr(shares, "IDLE_REPORTS", 1)
    wanted = Limits((item(tenant, "tokens", 100_000, leased=True),))
    _, long = await hold(limiter, wanted, 500)
    await asyncio.sleep(3 * shares.REPORT_SECONDS)
    assert (await limiter.readings(wanted))[0].reserved == 500
    long.close((100,))
    for used in (100, 200):
        await asyncio.sleep(4 * shares.REPORT_SECONDS)
        reading = (await limiter.readings(wanted))[0]
        assert (reading.used, reading.reserved) == (used, 0)
        _, held = await hold(limiter, wanted, 500)
        held.close((100,))
