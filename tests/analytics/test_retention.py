"""What is kept for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from analytics import partitions, retention
from analytics.models import (
    INTERVALS,
    PoisonEntry,
    RollupDay,
    RollupHour,
    RollupMinute,
    UsageRecord,
)

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
ALICE, CHARLIE = UUID(int=0xA), UUID(int=0xC)

pytestmark = pytest.mark.django_db


def record(at: datetime, tenant: UUID = ALICE) -> None:
    partitions.ensure([at.date()])
    UsageRecord.objects.create(
        at=at, id=uuid4(), tenant_id=tenant, method="GET", path="/", status=200
    )


def days_kept() -> list[int]:
    return sorted((NOW.date() - day).days for day in partitions.existing())


def test_days_past_the_retention_go_whole(settings: object) -> None:
    settings.USAGE_RETENTION_DAYS = 30
    for age in (0, 29, 30, 31, 32, 60):
        record(NOW - timedelta(days=age))
    retention.sweep(NOW)
    assert [age for age in days_kept() if age >= 0] == [0, 29, 30]
    assert UsageRecord.objects.count() == 3


def test_finer_rollups_go_first_and_days_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for model in INTERVALS.values():
        for age in (0, 7, 9, 9.5, 10, 399, 401, 500, 5000):
            model.objects.create(
                tenant_id=ALICE, start=NOW - timedelta(days=age), status_class=2, calls=1
            )
    retention.sweep(NOW)
    assert RollupMinute.objects.count() == 2
    assert RollupHour.objects.count() == 6
    assert RollupDay.objects.count() == 9


def test_refused_entries_go_with_the_records_of_their_time() -> None:
    old = PoisonEntry.objects.create(entry_id="1-1", reason="x", body=b"")
    PoisonEntry.objects.filter(pk=old.pk).update(seen_at=NOW - timedelta(days=91))
    PoisonEntry.objects.create(entry_id="1-2", reason="x", body=b"")
    retention.sweep(NOW)
    assert [entry.entry_id for entry in PoisonEntry.objects.all()] == ["1-2"]


def test_the_days_to_come_have_their_partitions() -> None:
    retention.prepare(NOW)
    assert {0, -1, -2, -3} <= set(days_kept())
    retention.prepare(NOW)


def test_a_purged_tenants_usage_is_forgotten() -> None:
    for tenant in (ALICE, CHARLIE):
        record(NOW, tenant)
        record(NOW - timedelta(days=3), tenant)
        for model in INTERVALS.values():
            model.objects.create(tenant_id=tenant, start=NOW, status_class=2, calls=1)
    retention.forget(ALICE)
    assert set(UsageRecord.objects.values_list("tenant_id", flat=True)) == {CHARLIE}
    for model in INTERVALS.values():
        assert set(model.objects.values_list("tenant_id", flat=True)) == {CHARLIE}


def test_purging_a_tenant_forgets_its_usage(django_capture_on_commit_callbacks: object) -> None:
    from tenants import hooks

    record(NOW)
    with django_capture_on_commit_callbacks(execute=True):
        hooks.purged(ALICE)
    assert not UsageRecord.objects.exists()


def test_the_operator_sees_what_was_refused_and_may_delete_it(
    client_for: object, operator: object
) -> None:
    entry = PoisonEntry.objects.create(entry_id="1-1", reason="It is odd.", body=b"\x00<b>odd</b>")
    client = client_for("localhost", operator)
    base = "/admin/analytics/poisonentry/"
    assert "It is odd." in client.get(base).content.decode()
    page = client.get(f"{base}{entry.pk}/change/").content.decode()
    assert "\\x00&lt;b&gt;odd&lt;/b&gt;" in page
    assert client.get(f"{base}add/").status_code == 403
    client.post(f"{base}{entry.pk}/delete/", {"post": "yes"})
    assert not PoisonEntry.objects.exists()


def test_a_tenant_does_not_see_what_was_refused(
    client_for: object, alice: object, alice_tenant: object, public_tenant: object
) -> None:
    for host in ("localhost", alice_tenant):
        answer = client_for(host, alice).get("/admin/analytics/poisonentry/")
        assert answer.status_code in (302, 403, 404)
