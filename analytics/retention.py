"""What usage is kept for how long, and the partitions of the days to come."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection

from analytics import partitions
from analytics.models import (
    AlertEvent,
    AlertRule,
    PoisonEntry,
    RollupHour,
    RollupMinute,
    TrendReport,
)
from analytics.models.rollups import INTERVALS, Rollup

logger = logging.getLogger(__name__)

MINUTES_KEPT = timedelta(days=8)
HOURS_KEPT = timedelta(days=400)
AHEAD = 3
"""Days for which partitions are made in advance, today not counted."""

BATCH = 5_000


def prepare(now: datetime) -> None:
    """Makes the partitions of today and the days to come; also done by each batch's own need."""
    today = partitions.day_of(now)
    partitions.ensure(today + timedelta(days=number) for number in range(AHEAD + 1))


def sweep(now: datetime) -> None:
    """Drops days of records whole, and deletes roll-ups that are finer than their age deserves.

    Days of roll-ups are kept for ever. A day that is being read for long is left for the
    next time.
    """
    kept = timedelta(days=settings.USAGE_RETENTION_DAYS)
    try:
        dropped = partitions.drop(partitions.day_of(now - kept))
    except OperationalError as error:
        logger.warning("Old usage records wait to be dropped: %s", error)
    else:
        if dropped:
            logger.info("Dropped usage records of %d days, to %s.", len(dropped), dropped[-1])
    _delete(RollupMinute, "start < %s", now - MINUTES_KEPT)
    _delete(RollupHour, "start < %s", now - HOURS_KEPT)
    PoisonEntry.objects.filter(seen_at__lt=now - kept).delete()


def forget(tenant_id: UUID) -> None:
    """Deletes all usage of a tenant that is gone for good, its reports and its alerts."""
    for kept in (TrendReport, AlertEvent, AlertRule):
        kept.objects.filter(tenant_id=tenant_id).delete()
    for model in INTERVALS.values():
        _delete(model, "tenant_id = %s", tenant_id)
    for day in partitions.existing():
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM public.{partitions.PARENT} "
                "WHERE tenant_id = %s AND at >= %s::date AND at < %s::date + 1",
                [tenant_id, day, day],
            )


def _delete(model: type[Rollup], condition: str, value: object) -> int:
    """In batches, so that ingest never waits long for a row."""
    table, deleted = model._meta.db_table, 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM public.{table} WHERE ctid = ANY(ARRAY("
                f"SELECT ctid FROM public.{table} WHERE {condition} LIMIT {BATCH}))",
                [value],
            )
            deleted += cursor.rowcount
            if cursor.rowcount < BATCH:
                return deleted
