"""Generated usage: marked, believable, repeatable, and never mixed with real calls."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone

from analytics import histogram
from analytics.demo import load, rhythm
from analytics.demo.progress import Progress
from analytics.models import INTERVALS, RollupDay, TrendReport, UsageRecord
from catalog.demo import catalogue
from catalog.models import AIModel, Application
from tests.analytics.usage import happen

NOW = datetime(2026, 3, 18, 15, 20, tzinfo=UTC)
NO_ID = "- 'id'"  # a roll-up's own number says nothing


@pytest.fixture(autouse=True)
def _at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def tenant(alice_tenant: Any, alice: Any) -> Any:
    """Alice's tenant, with the catalogue of the demo."""
    with alice_tenant:
        catalogue.fill(alice)
    return alice_tenant


def fill(tenant: Any, records: int = 3000, seed: int = 1) -> None:
    told: list[int] = []
    load.load(tenant, records=records, days_back=30, seed=seed, now=NOW, report=told.append)
    assert sum(told) == records


def everything() -> dict[str, list[tuple]]:
    """The records and roll-ups, whole."""
    found = {}
    with connection.cursor() as cursor:
        for name in ("usagerecord", "rollupminute", "rolluphour", "rollupday"):
            cursor.execute(
                f"SELECT row FROM (SELECT (to_jsonb(r) {'' if name == 'usagerecord' else NO_ID})"
                f"::text AS row FROM analytics_{name} AS r) AS rows ORDER BY row"
            )
            found[name] = cursor.fetchall()
    return found


def test_every_row_is_marked_and_the_tenants(tenant: Any) -> None:
    fill(tenant)
    assert UsageRecord.objects.filter(demo=True, tenant_id=tenant.pk).count() == 3000
    for model in (UsageRecord, *INTERVALS.values()):
        assert not model.objects.exclude(demo=True, tenant_id=tenant.pk).exists()
    span = UsageRecord.objects.aggregate(first=Min("at"), last=Max("at"))
    assert span["first"].date() == datetime(2026, 2, 17, tzinfo=UTC).date()
    assert NOW - timedelta(hours=2) < span["last"] <= NOW


def test_the_same_seed_gives_the_same_calls(tenant: Any) -> None:
    fill(tenant)
    first = everything()
    fill(tenant)
    assert everything() == first
    fill(tenant, seed=2)
    assert everything()["usagerecord"] != first["usagerecord"]


def test_rollups_are_the_sums_of_the_records(tenant: Any) -> None:
    fill(tenant)
    names = ("calls", "total_us", "input_tokens", "output_tokens", "cost_micros", "limited")
    for interval, model in INTERVALS.items():
        days_kept = {"minute": 8}.get(interval, 400)
        records = UsageRecord.objects.filter(at__gte=NOW - timedelta(days=days_kept, minutes=-40))
        expected = records.aggregate(
            calls=Count("id"),
            total_us=Sum("total_us"),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            cost_micros=Sum("cost_micros"),
            limited=Count("id", filter=Q(status=429)),
        )
        assert model.objects.aggregate(**{name: Sum(name) for name in names}) == expected, interval
    row = RollupDay.objects.order_by("-calls", "pk").first()
    calls = UsageRecord.objects.filter(
        at__gte=row.start,
        at__lt=row.start + timedelta(days=1),
        api_id=row.api_id,
        application_id=row.application_id,
        status__range=(row.status_class * 100, row.status_class * 100 + 99),
        currency=row.currency,
    )
    counts = [0] * histogram.BUCKETS
    for call in calls:
        counts[histogram.bucket(call.total_us)] += 1
    while counts[-1] == 0:
        counts.pop()
    assert row.latency == counts
    assert row.calls == sum(counts)


def test_it_looks_like_the_tenants_own_catalogue(tenant: Any) -> None:
    fill(tenant, records=12_000)
    by_status = dict(
        UsageRecord.objects.values_list("status").annotate(count=Count("id")).order_by()
    )
    assert by_status[200] > 9000
    assert {201, 204, 400, 401, 403, 404, 429, 502, 504} <= set(by_status)
    codes = set(UsageRecord.objects.values_list("error_code", flat=True).distinct())
    assert {"subscription_pending", "rate_limit_exceeded", "api_key_unknown"} <= codes
    with tenant:
        models = set(AIModel.objects.values_list("name", flat=True))
        clients = Application.objects.filter(name__in=(catalogue.APPLICATION, "Support desk"))
        callers = set(clients.values_list("pk", flat=True))
    assert set(UsageRecord.objects.values_list("model", flat=True).distinct()) == models | {""}
    chats = UsageRecord.objects.filter(model="sandbox-chat", status=200, abandoned=False)
    assert chats.filter(streamed=True).exists()
    assert set(chats.values_list("application_id", flat=True).distinct()) == callers
    for call in chats[:200]:
        exact = call.input_tokens * 0.15 + call.output_tokens * 0.60
        assert abs(call.cost_micros - exact) <= 0.5001
        assert call.currency == "USD"
        assert call.first_byte_us <= call.total_us >= call.upstream_us
    refused = UsageRecord.objects.filter(status__in=(401, 403, 429))
    sent = refused.exclude(upstream_us=0, input_tokens=None, cost_micros=None, attempts=0)
    assert not sent.exists()
    assert set(chats.values_list("attempts", flat=True).distinct()) == {1, 2}


def test_days_have_a_rhythm() -> None:
    ids = [UUID(int=1)]
    found = rhythm.days(NOW, 30, 60_000, random.Random(1), ids, ids)
    assert sum(day.calls for day in found) == 60_000
    by_weekday: dict[int, list[int]] = {}
    for day in found[:-1]:
        by_weekday.setdefault(day.start.weekday(), []).append(day.calls)
    assert max(by_weekday[6]) < min(by_weekday[2])
    assert by_weekday[2][-1] > by_weekday[2][0]  # it grows
    shares = [high - low for low, high in zip((0, *found[0].slots), found[0].slots, strict=False)]
    assert max(shares[36:72]) > 5 * shares[12]  # busy by day, quiet at three


def test_removal_leaves_real_calls_and_their_sums(tenant: Any) -> None:
    happen(tenant, NOW - timedelta(days=3), 5, status=502)
    happen(tenant, NOW - timedelta(hours=1), 2)
    real = everything()
    fill(tenant)
    call_command("remove_demo_usage", tenant="alice", stdout=io.StringIO())
    assert everything() == real
    assert not TrendReport.objects.filter(demo=True).exists()
    report = TrendReport.objects.get(kind="daily", period_start=(NOW - timedelta(days=3)).date())
    assert report.body["totals"]["this"]["calls"] == 5


def test_loading_again_leaves_real_calls_and_other_tenants(
    tenant: Any, charlie_tenant: Any
) -> None:
    happen(tenant, NOW - timedelta(days=3), 5)
    happen(charlie_tenant, NOW - timedelta(days=3), 7)
    fill(tenant, records=500)
    fill(tenant, records=300)
    assert UsageRecord.objects.filter(demo=True).count() == 300
    assert UsageRecord.objects.filter(demo=False, tenant_id=tenant.pk).count() == 5
    assert UsageRecord.objects.filter(tenant_id=charlie_tenant.pk).count() == 7
    sums = RollupDay.objects.values_list("tenant_id", "demo").annotate(Sum("calls")).order_by()
    assert set(sums) == {
        (tenant.pk, True, 300),
        (tenant.pk, False, 5),
        (charlie_tenant.pk, False, 7),
    }


def test_the_command(tenant: Any) -> None:
    out, err = io.StringIO(), io.StringIO()
    call_command("load_demo_usage", tenant="alice", records=400, stdout=out, stderr=err)
    assert out.getvalue() == "Alice has 400 demo calls.\n"
    assert "100%  400 of 400 rows" in err.getvalue()
    assert TrendReport.objects.filter(tenant_id=tenant.pk, demo=True).count() == 8
    call_command("load_demo_usage", "--if-empty", tenant="alice", records=900, stdout=out)
    assert "has usage already" in out.getvalue()
    assert UsageRecord.objects.count() == 400


def test_what_the_command_refuses(tenant: Any, charlie_tenant: Any) -> None:
    with pytest.raises(CommandError, match="no tenant nobody"):
        call_command("load_demo_usage", tenant="nobody")
    with pytest.raises(CommandError, match="no published API"):
        call_command("load_demo_usage", tenant="charlie")
    with pytest.raises(CommandError, match="days"):
        call_command("load_demo_usage", tenant="alice", days=0)


def test_the_bar_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr("analytics.demo.progress.time.monotonic", lambda: next(clock))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    progress = Progress(2000, out)
    progress(500)
    progress(1500)
    first, last = out.getvalue().split("\r")[1:]
    assert first == f"[{'#' * 8}{'.' * 22}]  25%  500 of 2,000 rows  250/s  0:06 left "
    assert last == f"[{'#' * 30}] 100%  2,000 of 2,000 rows  500/s  0:00 left \n"
