"""Calls put in the tables as ingest puts them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from analytics.ingest.events import parse
from analytics.ingest.store import store
from contract.usage import UsageEvent, encode


def happen(tenant: Any, at: datetime, count: int = 1, **fields: Any) -> None:
    """``count`` calls to the tenant at that moment, each with these fields of a usage event."""
    record(event(tenant, at, **fields) for _ in range(count))


def event(tenant: Any, at: datetime, **fields: Any) -> UsageEvent:
    given = {"id": uuid4(), "method": "GET", "path": "/weather", "status": 200, "total_us": 1000}
    given |= fields
    given = {name: value.hex if isinstance(value, UUID) else value for name, value in given.items()}
    return UsageEvent(
        at=int(at.timestamp()) * 1_000_000 + at.microsecond,
        tenant_id=tenant.pk.hex,
        **given,
    )


def record(events: Iterable[UsageEvent]) -> None:
    limit = round((datetime.now().astimezone() + timedelta(days=3650)).timestamp() * 1_000_000)
    with connection.cursor() as cursor:
        # Emptied by a commit, which a test's own transaction does not see.
        cursor.execute("DROP TABLE IF EXISTS pg_temp.stage_records, pg_temp.stage_rollups")
    store([parse(encode(one), 0, limit) for one in events])
