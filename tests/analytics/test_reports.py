"""Trend reports, compared whole with what a hand adds up."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Count
from django.utils import timezone

from analytics import reports
from analytics.access import tenant_session
from analytics.models import AlertEvent, AlertRule, TrendReport
from analytics.own_rows import own_rows
from analytics.tasks import write_reports
from catalog.models import AIModel, Api, Application
from tests.analytics.usage import happen

NOW = datetime(2026, 3, 17, 9, 30, tzinfo=UTC)  # a Tuesday
MONDAY = date(2026, 3, 16)


@pytest.fixture(autouse=True)
def _at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def old(alice_tenant: Any) -> Any:
    """Alice's tenant, which has been there for months."""
    alice_tenant.created_at = NOW - timedelta(days=90)
    alice_tenant.save()
    return alice_tenant


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def zeros(**given: Any) -> dict[str, Any]:
    """The figures of a period, those not given as of no calls."""
    return {
        "calls": 0,
        "client_errors": 0,
        "server_errors": 0,
        "error_rate": 0,
        "limited": 0,
        "abandoned": 0,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost": {},
        "unpriced": 0,
    } | given


def latency(ms: float) -> dict[str, Any]:
    return dict.fromkeys(("p50_ms", "p95_ms", "p99_ms"), ms)


def test_a_day_whole(old: Any) -> None:
    with old:
        orders = Api.objects.create(name="Orders", listen_path="/orders")
        shop = Application.objects.create(name="Shop")
        fast = AIModel.objects.create(name="fast", abilities=["chat"])
    gone = UUID(int=0xABCDEF01 << 96)
    of_orders = {"api_id": orders.pk, "application_id": shop.pk}
    of_model = {"model_id": fast.pk, "model": "fast", "currency": "EUR"}
    happen(old, at(9, 12), 3, **of_orders)  # the same weekday last week
    happen(old, at(15, 23, 59), 4, **of_orders)  # the day before
    happen(old, at(15, 8), 2, api_id=gone)
    happen(old, at(16, 0), 5, **of_orders)
    happen(old, at(16, 0), 1, status=429, **of_orders)
    happen(old, at(16, 23, 59), 2, status=502, abandoned=True, **of_orders)
    priced = {"input_tokens": 10, "output_tokens": 4, "cost_micros": 250_000}
    happen(old, at(16, 5), 2, **priced, **of_model)
    happen(old, at(17, 0), 9, **of_orders)  # the day after
    report = reports.write(old, "daily", MONDAY)
    ms = latency(0.981)  # 1,000 us: the middle of its bucket
    day = zeros(
        calls=10,
        client_errors=1,
        server_errors=2,
        error_rate=0.3,
        limited=1,
        abandoned=2,
        input_tokens=20,
        output_tokens=8,
        cost={"EUR": 500_000},
        **ms,
    )
    by_orders = zeros(
        calls=8, client_errors=1, server_errors=2, error_rate=0.375, limited=1, abandoned=2, **ms
    )
    before = zeros(calls=4, **ms)
    by_fast = zeros(calls=2, input_tokens=20, output_tokens=8, cost={"EUR": 500_000}, **ms)
    row = {"this": by_orders, "before": before, "new": False, "gone": False, "change": 4}
    orders_row = {"id": str(orders.pk), "name": "Orders"} | row
    shop_row = {"id": str(shop.pk), "name": "Shop"} | row
    gone_row = {
        "id": str(gone),
        "name": "deleted (abcdef01)",
        "this": zeros(),
        "before": zeros(calls=2, **ms),
        "new": False,
        "gone": True,
        "change": -2,
    }
    fast_row = {
        "id": str(fast.pk),
        "name": "fast",
        "this": by_fast,
        "before": zeros(),
        "new": True,
        "gone": False,
        "change": 2,
    }
    points = {point["start"]: point for point in report.body.pop("series")}
    assert len(points) == 24
    assert {start: (p["calls"], p["errors"]) for start, p in points.items() if p["calls"]} == {
        "2026-03-16T00:00:00+00:00": (6, 1),
        "2026-03-16T05:00:00+00:00": (2, 0),
        "2026-03-16T23:00:00+00:00": (2, 2),
    }
    assert points["2026-03-16T05:00:00+00:00"]["cost"] == {"EUR": 500_000}
    assert report.body == {
        "periods": {
            "this": {"start": "2026-03-16T00:00:00+00:00", "end": "2026-03-17T00:00:00+00:00"},
            "before": {"start": "2026-03-15T00:00:00+00:00", "end": "2026-03-16T00:00:00+00:00"},
            "week_ago": {"start": "2026-03-09T00:00:00+00:00", "end": "2026-03-10T00:00:00+00:00"},
        },
        "totals": {
            "this": day,
            "before": zeros(calls=6, **ms),
            "week_ago": zeros(calls=3, **ms),
        },
        "groups": {
            "api": [orders_row, gone_row],
            "application": [shop_row],
            "model": [fast_row],
        },
        "movers": {
            "api": [orders_row, gone_row],
            "application": [shop_row],
            "model": [fast_row],
        },
    }
    assert report.demo is False


def test_a_week_is_seven_days_beside_the_seven_before(old: Any) -> None:
    for day in (2, 8, 9, 12, 15, 16):
        happen(old, at(day, 12), day)
    body = reports.write(old, "weekly", date(2026, 3, 9)).body
    assert body["totals"]["this"]["calls"] == 9 + 12 + 15
    assert body["totals"]["before"]["calls"] == 2 + 8
    assert "week_ago" not in body["totals"]
    assert [point["calls"] for point in body["series"]] == [9, 0, 0, 12, 0, 0, 15]


def test_days_are_those_of_the_tenants_time_zone(old: Any) -> None:
    old.time_zone = "America/New_York"  # on 8 March 2026 its clocks went forward
    old.save()
    happen(old, at(8, 4, 59))  # still the 7th there
    happen(old, at(8, 5), 2)
    happen(old, at(9, 3, 59), 4)  # the last minute of a day of 23 hours
    happen(old, at(9, 4), 8)
    body = reports.write(old, "daily", date(2026, 3, 8)).body
    assert body["totals"]["this"]["calls"] == 6
    assert body["totals"]["before"]["calls"] == 1
    assert len(body["series"]) == 23
    assert body["periods"]["this"] == {
        "start": "2026-03-08T00:00:00-05:00",
        "end": "2026-03-09T00:00:00-04:00",
    }


def test_what_was_missed_is_caught_up_once(old: Any) -> None:
    written = reports.catch_up(old, now=NOW)
    days = [date(2026, 3, day) for day in range(10, 17)]
    assert [(row.kind, row.period_start) for row in written] == [
        *(("daily", day) for day in days[:6]),
        ("weekly", date(2026, 3, 9)),
        ("daily", days[6]),
    ]
    kept = list(TrendReport.objects.order_by("pk").values())
    happen(old, at(16, 12))  # what comes late changes no report
    assert reports.catch_up(old, now=NOW) == []
    reports.write(old, "daily", MONDAY)
    assert list(TrendReport.objects.order_by("pk").values()) == kept


def test_a_day_is_due_once_it_has_settled(old: Any) -> None:
    assert ("daily", MONDAY) not in reports.due(old, at(17, 0, 9))
    assert ("daily", MONDAY) in reports.due(old, at(17, 0, 10))


def test_nothing_is_told_of_days_before_the_tenant_unless_it_has_calls(alice_tenant: Any) -> None:
    alice_tenant.created_at = at(15, 12)
    alice_tenant.save()
    happen(alice_tenant, at(11, 12))
    written = reports.catch_up(alice_tenant, now=NOW)
    assert [(row.kind, row.period_start.day) for row in written] == [
        ("daily", 11),
        ("daily", 15),
        ("weekly", 9),
        ("daily", 16),
    ]


def test_the_task_writes_for_every_tenant_that_serves(old: Any, charlie_tenant: Any) -> None:
    charlie_tenant.state = "suspended"
    charlie_tenant.save()
    assert write_reports() == 8
    assert set(TrendReport.objects.values_list("tenant_id", flat=True)) == {old.pk}
    assert write_reports() == 0


def test_as_csv(old: Any) -> None:
    with old:
        row = Api.objects.create(name="=1+1", listen_path="/x")
    happen(old, at(16, 1), 3, api_id=row.pk, cost_micros=1_500_000, currency="EUR", input_tokens=1)
    happen(old, at(15, 1), 2, api_id=row.pk)
    report = reports.write(old, "daily", MONDAY)
    lines = list(csv.DictReader(StringIO(reports.as_csv(report))))
    assert [(line["by"], line["name"]) for line in lines] == [("total", ""), ("api", "'=1+1")]
    for line in lines:
        assert (line["calls"], line["calls_before"]) == ("3", "2")
        assert (line["cost_EUR"], line["cost_EUR_before"]) == ("4.5", "0.0")
        assert (line["report"], line["period_start"]) == ("daily", "2026-03-16")


def test_queries_of_pages_are_confined_even_without_their_filter(
    alice_tenant: Any, charlie_tenant: Any
) -> None:
    for tenant in (alice_tenant, charlie_tenant):
        AlertRule.objects.create(tenant_id=tenant.pk, name="Silent", metric="silence")
    rows = own_rows(AlertRule, alice_tenant.pk)
    rows.query.clear_where()
    assert [row.tenant_id for row in rows] == [alice_tenant.pk]
    assert rows.all().count() == 1
    assert not rows.filter(tenant_id=charlie_tenant.pk).exists()
    assert rows.aggregate(found=Count("pk")) == {"found": 1}
    assert AlertRule.objects.count() == 2  # the role is left again


def test_the_database_shows_a_tenant_its_own_reports_and_alerts_only(
    alice_tenant: Any, charlie_tenant: Any
) -> None:
    for tenant in (alice_tenant, charlie_tenant):
        TrendReport.objects.create(tenant_id=tenant.pk, kind="daily", period_start=MONDAY)
        rule = AlertRule.objects.create(tenant_id=tenant.pk, name="Silent", metric="silence")
        event = AlertEvent.objects.create(
            tenant_id=tenant.pk, rule=rule, rule_name="Silent", state="firing", at=NOW
        )
        event.deliveries.create(tenant_id=tenant.pk, channel="email")
    for model in (TrendReport, AlertRule, AlertEvent, AlertEvent.deliveries.rel.related_model):
        assert model.objects.count() == 2
        with tenant_session(alice_tenant.pk):
            assert [row.tenant_id for row in model.objects.all()] == [alice_tenant.pk]
            assert not model.objects.filter(tenant_id=charlie_tenant.pk).exists()
