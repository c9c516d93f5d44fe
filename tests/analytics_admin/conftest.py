"""Some calls in each of two tenants, a few minutes ago."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import UsageRecord
from catalog.models import Api, Application
from tests.analytics.usage import happen


def _catalogue(tenant: Any) -> SimpleNamespace:
    with tenant:
        return SimpleNamespace(
            tenant=tenant,
            api=Api.objects.create(name="Weather", listen_path="/weather", state="published"),
            other=Api.objects.create(name="Orders", listen_path="/orders", state="published"),
            application=Application.objects.create(name=f"Shop of {tenant.name}"),
        )


def _call(them: SimpleNamespace, at: datetime, count: int = 1, **fields: Any) -> None:
    given = {"api_id": them.api.pk, "application_id": them.application.pk} | fields
    happen(them.tenant, at, count, **given)


@pytest.fixture
def a_while_ago() -> datetime:
    return timezone.now().replace(microsecond=0) - timedelta(minutes=5)


@pytest.fixture
def ours(alice_tenant: Any, a_while_ago: datetime) -> SimpleNamespace:
    """Alice's: seven calls, of which one failed, one was refused, one used a model."""
    them = _catalogue(alice_tenant)
    _call(them, a_while_ago, 4, path="/weather/tokyo", total_us=2000, upstream_us=1500)
    _call(
        them,
        a_while_ago,
        status=502,
        error_code="upstream_unreachable",
        total_us=900_000,
        attempts=3,
    )
    _call(them, a_while_ago, status=429, error_code="rate_limit_exceeded", path="/weather/oslo")
    _call(
        them,
        a_while_ago,
        api_id=them.other.pk,
        path="/orders/7",
        method="POST",
        model="north-large",
        input_tokens=1200,
        output_tokens=345,
        cost_micros=2_500_000,
        saved_micros=7_500_000,
        currency="USD",
    )
    them.record = UsageRecord.objects.get(tenant_id=alice_tenant.pk, status=502)
    return them


@pytest.fixture
def theirs(charlie_tenant: Any, a_while_ago: datetime) -> SimpleNamespace:
    """Charlie's: three calls of an API with the same name."""
    them = _catalogue(charlie_tenant)
    _call(them, a_while_ago, 3, path="/weather/charlies-secret")
    them.record = UsageRecord.objects.filter(tenant_id=charlie_tenant.pk).first()
    return them


@pytest.fixture
def vera(alice_tenant: Any, member: Any) -> Any:
    """A viewer in Alice's tenant."""
    return member(alice_tenant, "viewer", "vera")
