"""Loading a tenant's demo usage, and taking it away again.

One or more days are one transaction: their records, then their sums. A run that was stopped
is repeated whole, since loading begins by removing what is there.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db import OperationalError, connection, transaction
from django_tenants.utils import schema_context

from analytics import partitions, rebuild
from analytics.demo import statements
from analytics.demo.profiles import Profile, profiles
from analytics.demo.rhythm import SLOT_SECONDS, Day, days
from analytics.models import INTERVALS, TrendReport, UsageRecord
from analytics.queries.ranges import kept_since
from tenants.models import Tenant

CHUNK = 50_000
BATCH = 100_000
LARGE = 200_000
"""From here on PostgreSQL is told at once what the tables hold, and not in its own time."""
Report = Callable[[int], None]
"""Called with the number of records that were just made."""


class NothingToCall(Exception):
    """The tenant has published nothing that anybody is subscribed to."""


def has_usage(tenant: Tenant) -> bool:
    """Whether there is any usage, demo or real."""
    return UsageRecord.objects.filter(tenant_id=tenant.pk).exists()


def load(
    tenant: Tenant, *, records: int, days_back: int, seed: int, now: datetime, report: Report
) -> None:
    """Replaces the tenant's demo usage by ``records`` calls of the last ``days_back`` days.

    The same arguments on the same catalogue give the same calls. Raises NothingToCall.
    """
    dice = random.Random(seed)
    with schema_context(tenant.schema_name):
        kinds = profiles(dice)
    apis = sorted({kind.api_id for kind in kinds if kind.api_id}, key=str)
    clients = sorted({kind.application_id for kind in kinds if kind.application_id}, key=str)
    if not apis:
        raise NothingToCall(
            f"{tenant} has no published API with a subscription: there is nothing to call."
        )
    calendar = days(now, days_back, records, dice, apis, clients)
    remove(tenant)
    partitions.ensure(partitions.day_of(day.start) for day in calendar)
    given = _json(kinds), _bounds(kinds)
    for batch in _batches(calendar):
        with transaction.atomic(), connection.cursor() as cursor:
            # Compiling statements of this size costs more than running them on a day.
            cursor.execute("SET LOCAL jit = off")
            cursor.execute("SET LOCAL work_mem = '128MB'")
            for day in batch:
                _make(tenant, day, given, seed=seed, now=now, report=report)
            _add_up(tenant, batch)
    if records >= LARGE:
        with connection.cursor() as cursor:
            for model in (UsageRecord, *INTERVALS.values()):
                cursor.execute(f"ANALYZE {model._meta.db_table}")


def remove(tenant: Tenant) -> int:
    """Deletes demo records, their sums and the reports that tell of them; returns how many
    records there were. Real ones stay as they are."""
    removed = sum(_remove_day(tenant, day) for day in partitions.existing())
    for model in INTERVALS.values():
        rows = model.objects.filter(tenant_id=tenant.pk, demo=True)
        rows._raw_delete(rows.db)
    TrendReport.objects.filter(tenant_id=tenant.pk, demo=True).delete()
    return removed


def _remove_day(tenant: Tenant, day: date) -> int:
    """A day that holds nothing else is emptied at once, which is the matter of a moment."""
    end = day + timedelta(days=1)
    among = UsageRecord.objects.filter(at__gte=f"{day} 00:00+00", at__lt=f"{end} 00:00+00")
    demo = among.filter(tenant_id=tenant.pk, demo=True)
    if not demo.exists():
        return 0
    name = f"public.{partitions.PARENT}_{day:%Y%m%d}"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            # From here on nobody adds to the day, so what is counted is what is emptied.
            cursor.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
            count = demo.count()
            if count == among.count():
                cursor.execute(f"TRUNCATE TABLE {name}")
                return count
    except OperationalError:
        pass  # somebody is reading that day for long: delete row by row beside them
    return demo._raw_delete(demo.db)


def _make(
    tenant: Tenant,
    day: Day,
    given: tuple[str, list[float]],
    *,
    seed: int,
    now: datetime,
    report: Report,
) -> None:
    """The day's records, in chunks."""
    kinds, bounds = given
    first_draw = random.Random(f"{seed} {day.start:%Y%m%d}").uniform(-1, 1)
    last = min(now - day.start, timedelta(days=1)).total_seconds() - 0.001
    shared = asdict(day.trouble) | {
        "profiles": kinds,
        "kinds": bounds,
        "slots": list(day.slots),
        "slot_seconds": SLOT_SECONDS,
        "last_second": last,
        "start": day.start,
        "tenant": tenant.pk,
        "salt": f"{tenant.pk} {day.start:%Y%m%d} {seed} ",
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [first_draw])
        for first, last_number in _chunks(day.calls):
            chunk = {"first": first, "last": last_number}
            cursor.execute(statements.RECORDS, shared | chunk)
            report(last_number - first + 1)


def _add_up(tenant: Tenant, batch: Sequence[Day]) -> None:
    """The roll-ups of days in a row, of the intervals that are kept for so long."""
    end = batch[-1].start + timedelta(days=1)
    for interval in INTERVALS:
        start = max(batch[0].start, kept_since(interval))
        if start < end:
            rebuild.add_up(interval, start, end, tenant=tenant.pk, demo=True)


def _batches(calendar: Sequence[Day]) -> Iterator[list[Day]]:
    """Days in a row that make about ``BATCH`` records together, at least one."""
    batch: list[Day] = []
    for day in calendar:
        if batch and sum(other.calls for other in batch) + day.calls > BATCH:
            yield batch
            batch = []
        batch.append(day)
    if batch:
        yield batch


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for first in range(1, count + 1, CHUNK):
        yield first, min(first + CHUNK - 1, count)


def _json(kinds: list[Profile]) -> str:
    rows = [asdict(kind) | {"place": place} for place, kind in enumerate(kinds)]
    return json.dumps(rows, default=_text)


def _text(value: Any) -> str:
    return str(value)


def _bounds(kinds: list[Profile]) -> list[float]:
    """Up to where, from 0 to 1, each kind of call but the last reaches."""
    total = sum(kind.weight for kind in kinds)
    return [part / total for part in accumulate(kind.weight for kind in kinds)][:-1]
