"""Sums over ranges, by interval and by group, against calls whose sums are known."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from analytics import histogram
from analytics.models import RollupHour, RollupMinute
from analytics.queries import (
    DIMENSIONS,
    NOTHING,
    Filters,
    QueryError,
    Range,
    Totals,
    cover,
    estimate,
    grouped,
    grouped_series,
    series,
    totals,
)
from analytics.queries.ranges import zone
from analytics.retention import HOURS_KEPT, MINUTES_KEPT
from contract.usage import UsageEvent
from tests.analytics.usage import event, happen, record

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
ALL = Filters()

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always TIME_ZERO."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: TIME_ZERO)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(start: str, end: str) -> Range:
    return Range(utc(start), utc(end))


def ids(count: int, kind: int) -> list[UUID]:
    return [UUID(int=kind * 1000 + number) for number in range(1, count + 1)]


def summed(calls: list[UsageEvent]) -> Totals:
    """The sums as one would work them out by hand, call by call."""
    found, buckets, firsts = Totals(), Counter(), Counter()
    for call in calls:
        found.calls += 1
        found.client_errors += 400 <= call.status < 500
        found.server_errors += call.status >= 500
        found.limited += call.status == 429
        found.abandoned += call.abandoned
        for name in ("request_bytes", "response_bytes", "total_us", "upstream_us"):
            setattr(found, name, getattr(found, name) + getattr(call, name))
        found.first_byte_us += call.first_byte_us
        for name in (
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "cache_write_tokens",
        ):
            setattr(found, name, getattr(found, name) + (getattr(call, name) or 0))
        found.unpriced += call.input_tokens is not None and call.cost_micros is None
        if call.currency:
            cost = found.cost.get(call.currency, 0) + (call.cost_micros or 0)
            found.cost[call.currency] = cost
            if call.saved_micros:
                saved = found.saved.get(call.currency, 0) + call.saved_micros
                found.saved[call.currency] = saved
        buckets[histogram.bucket(call.total_us)] += 1
        first, writing = call.first_byte_us, call.total_us - call.first_byte_us
        if call.streamed and call.model_id and call.status < 400 and first:
            found.streams += 1
            found.first_token_us += first
            firsts[histogram.bucket(first)] += 1
            if call.output_tokens and not call.abandoned and writing >= 10_000:
                found.written_tokens += call.output_tokens
                found.writing_us += writing
    found.first_token = int(Decimal(histogram.pack(firsts)))
    found.latency = int(Decimal(histogram.pack(buckets)))
    return found


def random_call(tenant: Any, choose: random.Random) -> UsageEvent:
    ai = choose.random() < 0.4
    fields: dict[str, Any] = {
        "status": choose.choice([200, 200, 200, 201, 404, 429, 500, 503]),
        "api_id": choose.choice([*ids(3, 1), ""]),
        "application_id": choose.choice([*ids(3, 2), ""]),
        "plan_id": choose.choice([*ids(2, 3), ""]),
        "total_us": int(choose.lognormvariate(10, 2)),
        "upstream_us": choose.randrange(1000),
        "first_byte_us": choose.randrange(1000),
        "request_bytes": choose.randrange(1000),
        "response_bytes": choose.randrange(1000),
        "abandoned": choose.random() < 0.1,
    }
    if ai:
        priced = choose.random() < 0.8
        fields |= {
            "model_id": choose.choice(ids(2, 4)),
            "model": "fast",
            "provider_id": choose.choice(ids(2, 5)),
            "deployment_id": choose.choice([*ids(3, 7), ""]),
            "streamed": choose.random() < 0.5,
            "cache_write_tokens": choose.choice([None, choose.randrange(10)]),
            "prompt_id": choose.choice([*ids(1, 6), ""]),
            "input_tokens": choose.randrange(100),
            "output_tokens": choose.randrange(100),
            "cached_tokens": choose.choice([None, choose.randrange(10)]),
            "reasoning_tokens": choose.choice([None, choose.randrange(10)]),
            "cost_micros": choose.randrange(1000) if priced else None,
            "saved_micros": choose.choice([None, choose.randrange(1, 1000)]) if priced else None,
            "currency": choose.choice(["USD", "EUR"]) if priced else "",
        }
    # Most are recent, so that ranges of minutes hold some.
    back = choose.choice([0, 0, 4, 9, 30, 399, 450]) + choose.uniform(0, 2)
    at = (TIME_ZERO - timedelta(days=back)).replace(microsecond=choose.randrange(1_000_000))
    return event(tenant, at, id=UUID(int=choose.getrandbits(128)), **fields)


def at_of(call: UsageEvent) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=call.at)


def within(calls: list[UsageEvent], rng: Range, filters: Filters = ALL) -> list[UsageEvent]:
    wanted = {column: "" if id_ == NOTHING else id_.hex for column, id_ in filters.ids()}
    return [
        call
        for call in calls
        if rng.start <= at_of(call) < rng.end
        and all(getattr(call, column) == id_ for column, id_ in wanted.items())
        and filters.status_class in (None, call.status // 100)
    ]


def swept() -> None:
    """Deletes what is finer than its age deserves."""
    RollupMinute.objects.filter(start__lt=TIME_ZERO - MINUTES_KEPT).delete()
    RollupHour.objects.filter(start__lt=TIME_ZERO - HOURS_KEPT).delete()


def test_totals_of_calls_by_hand(alice_tenant: Any) -> None:
    at = TIME_ZERO - timedelta(minutes=5)
    happen(alice_tenant, at, total_us=1000, upstream_us=900, first_byte_us=950, count=3)
    happen(alice_tenant, at, status=404, total_us=2000, request_bytes=10, response_bytes=20)
    happen(alice_tenant, at, status=429, total_us=10)
    happen(alice_tenant, at, status=502, total_us=64_000, abandoned=True)
    tokens = {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1}
    happen(alice_tenant, at, total_us=0, cost_micros=5, currency="USD", **tokens)
    happen(alice_tenant, at, total_us=1, cost_micros=6, currency="USD", **tokens)
    happen(alice_tenant, at, total_us=1, cost_micros=0, currency="EUR", **tokens)
    happen(alice_tenant, at, total_us=1, **tokens)
    found = totals(alice_tenant.pk, Range(at, TIME_ZERO), ALL)
    assert (found.calls, found.errors, found.client_errors, found.server_errors) == (10, 3, 2, 1)
    assert (found.limited, found.abandoned, found.unpriced) == (1, 1, 1)
    assert (found.error_rate, found.server_error_rate) == (0.3, 0.1)
    assert (found.request_bytes, found.response_bytes) == (10, 20)
    assert (found.input_tokens, found.output_tokens, found.tokens) == (28, 12, 40)
    assert (found.cached_tokens, found.reasoning_tokens) == (8, 4)
    assert found.cost == {"USD": 11, "EUR": 0}
    assert found.mean_us == round((3000 + 2000 + 10 + 64_000 + 3) / 10)
    assert (found.mean_upstream_us, found.mean_first_byte_us) == (270, 285)
    assert histogram.unpack(found.latency)[0] == 1
    assert found.p50_us == histogram.percentile(histogram.unpack(found.latency), 0.5)
    assert found.p50_us == pytest.approx(10, rel=0.05)
    assert found.p99_us == pytest.approx(64_000, rel=0.05)


def test_nothing_happened(alice_tenant: Any) -> None:
    found = totals(alice_tenant.pk, between("2026-03-01", "2026-03-02"), ALL)
    assert found == Totals()
    assert (found.p50_us, found.mean_us, found.error_rate, found.cost) == (None, None, 0.0, {})


def test_totals_are_the_sums_of_the_records_in_any_range(
    alice_tenant: Any, charlie_tenant: Any
) -> None:
    choose = random.Random(1)
    calls = [random_call(alice_tenant, choose) for _ in range(2000)]
    record([*calls, *(random_call(charlie_tenant, choose) for _ in range(300))])
    swept()
    for _ in range(60):
        days = choose.choice([0.05, 2, 9, 30, 450])
        bounds = sorted(TIME_ZERO - timedelta(days=choose.uniform(0, days)) for _ in range(2))
        rng = Range(*bounds)
        for filters in (
            ALL,
            Filters(api=choose.choice([*ids(3, 1), NOTHING]), status_class=choose.choice([2, 5])),
            Filters(application=choose.choice(ids(3, 2)), model=choose.choice(ids(2, 4))),
            Filters(provider=choose.choice(ids(2, 5)), prompt=choose.choice([*ids(1, 6), NOTHING])),
            Filters(plan=NOTHING),
        ):
            expected = summed(within(calls, cover(rng), filters))
            assert totals(alice_tenant.pk, rng, filters) == expected, (rng, filters)
            assert estimate(alice_tenant.pk, rng, filters) == expected.calls


def test_series_and_groups_add_up_to_the_same(in_alice: Any) -> None:
    choose = random.Random(2)
    calls = [random_call(in_alice, choose) for _ in range(1500)]
    record(calls)
    rng = between("2026-03-10", "2026-03-14")
    for interval in ("hour", "day"):
        step = {"hour": timedelta(hours=1), "day": timedelta(days=1)}[interval]
        for point in series(in_alice.pk, rng, ALL, interval):
            there = within(calls, Range(point.start, point.start + step))
            assert point.totals == summed(there)
    for by, column in DIMENSIONS.items():
        groups = grouped(in_alice.pk, rng, ALL, by, limit=100, with_nothing=True)
        assert sum(group.totals.calls for group in groups) == len(within(calls, rng))
        for group in groups:
            wanted = "" if group.id == NOTHING else group.id.hex
            there = [call for call in within(calls, rng) if getattr(call, column) == wanted]
            assert group.totals == summed(there), (by, group.name)


def test_demo_data_can_be_left_out(alice_tenant: Any) -> None:
    happen(alice_tenant, TIME_ZERO, count=2)
    RollupMinute.objects.update(demo=True)
    happen(alice_tenant, TIME_ZERO)
    rng = Range(TIME_ZERO, TIME_ZERO + timedelta(seconds=1))
    assert totals(alice_tenant.pk, rng, ALL).calls == 3
    assert totals(alice_tenant.pk, rng, Filters(include_demo=False)).calls == 1


def test_a_series_has_a_point_for_each_interval(alice_tenant: Any) -> None:
    for at in ("2026-03-14 10:15:59.999", "2026-03-14 10:17", "2026-03-14 10:18:00"):
        happen(alice_tenant, utc(at), total_us=500)
    rng = between("2026-03-14 10:15:30", "2026-03-14 10:17:30")
    points = series(alice_tenant.pk, rng, ALL, "minute")
    assert [(f"{point.start:%H:%M}", point.totals.calls) for point in points] == [
        ("10:15", 1),
        ("10:16", 0),
        ("10:17", 1),
    ]
    assert points[0].totals.p50_us == pytest.approx(500, rel=0.05)
    assert points[1].totals == Totals()


def test_days_of_a_time_zone(alice_tenant: Any) -> None:
    # Clocks in London go back on the 26th at 1:00 UTC: that day has 25 hours.
    for at in ("10-25 22:59", "10-25 23:00", "10-26 00:30", "10-26 23:59", "10-27 00:00"):
        happen(alice_tenant, utc(f"2025-{at}"))
    rng = between("2025-10-25 12:00", "2025-10-27 12:00")
    points = series(alice_tenant.pk, rng, ALL, "day", zone("Europe/London"))
    assert [(f"{point.start:%d %H}", point.totals.calls) for point in points] == [
        ("24 23", 1),
        ("25 23", 3),
        ("27 00", 1),
    ]


def test_an_hour_parted_by_midnight_counts_to_the_day_it_starts_in(alice_tenant: Any) -> None:
    # Midnight in Kolkata is 18:30 UTC.
    for at in ("18:10", "18:50", "19:00"):
        happen(alice_tenant, utc(f"2026-03-10 {at}"))
    kolkata = zone("Asia/Kolkata")
    rng = between("2026-03-10 00:00", "2026-03-11 00:00")
    points = series(alice_tenant.pk, rng, ALL, "day", kolkata)
    assert [(f"{point.start:%d %H:%M}", point.totals.calls) for point in points] == [
        ("09 18:30", 2),
        ("10 18:30", 1),
    ]
    later = series(alice_tenant.pk, between("2026-03-10 18:30", "2026-03-11"), ALL, "day", kolkata)
    assert [point.totals.calls for point in later] == [1]


@pytest.fixture
def orders(in_alice: Any) -> Any:
    from catalog.models import Api

    return Api.objects.create(name="Orders", listen_path="/orders")


def test_groups_are_named_and_the_largest_come_first(in_alice: Any, orders: Any) -> None:
    gone, other = UUID(int=0xABCDEF01 << 96), UUID(int=0x12345678 << 96)
    happen(in_alice, TIME_ZERO, api_id=orders.pk, count=2)
    happen(in_alice, TIME_ZERO, api_id=gone, status=500, total_us=9000, count=3)
    happen(in_alice, TIME_ZERO, api_id=other, count=2)
    happen(in_alice, TIME_ZERO, count=9)
    rng = Range(TIME_ZERO - timedelta(hours=1), TIME_ZERO + timedelta(hours=1))

    def found(**options: Any) -> list[tuple[str, int]]:
        groups = grouped(in_alice.pk, rng, ALL, "api", **options)
        return [(group.name, group.totals.calls) for group in groups]

    named = [("deleted (abcdef01)", 3), ("Orders", 2), ("deleted (12345678)", 2)]
    assert found() == named
    assert found(with_nothing=True) == [("No API", 9), *named]
    assert found(limit=1) == named[:1]
    assert found(order="errors", limit=1) == named[:1]
    groups = grouped(in_alice.pk, rng, Filters(api=orders.pk), "api")
    assert [(group.id, group.totals.p95_us) for group in groups] == [(orders.pk, 981)]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        *[("calls", 1), ("errors", 2), ("server_errors", 2), ("error_rate", 2), ("limited", 3)],
        *[("tokens", 4), ("cost", 5), ("mean", 6), ("bytes", 7)],
    ],
)
def test_each_order(in_alice: Any, order: str, first: int) -> None:
    def call(number: int, count: int = 1, **fields: Any) -> None:
        happen(in_alice, TIME_ZERO, application_id=UUID(int=number), count=count, **fields)

    call(1, count=9)
    call(2, status=500, count=2)
    call(3, status=429)
    call(3, count=2)
    call(4, input_tokens=1, output_tokens=5)
    call(5, input_tokens=1, output_tokens=1, cost_micros=1, currency="USD")
    call(6, total_us=10_000_000)
    call(7, request_bytes=1, response_bytes=1)
    rng = Range(TIME_ZERO - timedelta(hours=1), TIME_ZERO + timedelta(hours=1))
    groups = grouped(in_alice.pk, rng, ALL, "application", order)
    assert groups[0].id == UUID(int=first)
    assert len(groups) == 7


def test_a_series_for_each_group(in_alice: Any, orders: Any) -> None:
    happen(in_alice, utc("2026-03-14 10:30"), api_id=orders.pk, count=2)
    happen(in_alice, utc("2026-03-14 12:30"), api_id=orders.pk)
    happen(in_alice, utc("2026-03-14 11:30"), api_id=UUID(int=5))
    happen(in_alice, utc("2026-03-14 11:30"))
    rng = between("2026-03-14 10:30", "2026-03-14 12:45")
    found = grouped_series(in_alice.pk, rng, ALL, "hour", "api")
    assert [(group.name, [p.totals.calls for p in points]) for group, points in found] == [
        ("Orders", [2, 0, 1]),
        ("deleted (00000000)", [0, 1, 0]),
    ]


def test_what_cannot_be_grouped_or_ordered_by(in_alice: Any) -> None:
    rng = between("2026-03-01", "2026-03-02")
    with pytest.raises(QueryError, match="Group by one of api"):
        grouped(in_alice.pk, rng, ALL, "weather")
    with pytest.raises(QueryError, match="Order by one of calls"):
        grouped(in_alice.pk, rng, ALL, "api", "weather")


def test_other_tenants_calls_are_in_no_sum(in_alice: Any, orders: Any) -> None:
    happen(in_alice, TIME_ZERO, api_id=orders.pk)
    rng = Range(TIME_ZERO - timedelta(hours=1), TIME_ZERO + timedelta(hours=1))
    for stranger in (uuid4(), UUID(int=0)):
        assert totals(stranger, rng, ALL) == Totals()
        assert totals(stranger, rng, Filters(api=orders.pk)) == Totals()
        assert grouped(stranger, rng, ALL, "api") == []
        assert all(point.totals.calls == 0 for point in series(stranger, rng, ALL, "minute"))
