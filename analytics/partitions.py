"""The days of ``analytics_usagerecord``, each a partition ``analytics_usagerecord_yyyymmdd``.

A day is in UTC. Tenants have no rights on a partition itself, so that it can only be read
through the parent, which is guarded by row-level security.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

PARENT = "analytics_usagerecord"
_LOCK = 0x68756270  # any number that nothing else locks
_WAIT = "2s"


def day_of(at: datetime) -> date:
    """The day that ``at``, which is aware, belongs to."""
    return at.astimezone(UTC).date()


def existing() -> list[date]:
    """The days that have a partition, oldest first."""
    # Not pg_partition_tree(): within a transaction it may answer from before a lock was had.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT right(relname, 8) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = %s::regclass ORDER BY 1",
            [f"public.{PARENT}"],
        )
        return [datetime.strptime(name, "%Y%m%d").date() for (name,) in cursor.fetchall()]


def ensure(days: Iterable[date]) -> list[date]:
    """Makes the partitions that are missing, and returns their days.

    A partition is made aside and then attached, which lets readers and writers of the
    other days go on.
    """
    missing = sorted(set(days) - set(existing()))
    if not missing:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        missing = sorted(set(missing) - set(existing()))
        for day in missing:
            name = f"public.{PARENT}_{day:%Y%m%d}"
            cursor.execute(
                f"CREATE TABLE {name} (LIKE public.{PARENT} INCLUDING DEFAULTS);"
                f"ALTER TABLE public.{PARENT} ATTACH PARTITION {name} "
                f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
            )
    return missing


def drop(before: date) -> list[date]:
    """Drops the days before ``before`` whole, and returns them.

    Each waits at most two seconds for its readers; raises django.db.OperationalError when
    that was too short, with the days before dropped.
    """
    dropped = []
    for day in existing():
        if day >= before:
            break
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            cursor.execute(f"DROP TABLE IF EXISTS public.{PARENT}_{day:%Y%m%d}")
        dropped.append(day)
    return dropped
