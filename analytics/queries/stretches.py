"""Where in a range there is anything to be found, so that a search need not look elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from django.db import connection

from analytics.models import RollupDay
from analytics.queries.ranges import Range, ceil, floor
from analytics.queries.shapes import NOTHING, Filters
from analytics.queries.sums import conditions

STRETCH = 50_000
"""Of about so many records."""
SCATTERED = 3
"""One that an index leads to costs about as much as so many in a row."""
_INDEXED = ("api_id", "application_id", "model_id")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one day, half open, with about how many records one has to look at in it."""

    start: datetime
    end: datetime
    calls: int


def stretches(tenant_id: UUID, rng: Range, filters: Filters) -> list[Stretch]:
    """Parts of the range, in order of time, outside of which no record matches the filters.

    A day is a partition of the records, so each part is in one. The roll-ups of days say
    which days have matching calls; a busy day is parted evenly. Must be called in the
    tenant's session.
    """
    # Older sums know of no deployments.
    matched, params = conditions(replace(filters, deployment=None))
    looked_at, values = _looked_at(filters)
    query = f"""
        SELECT start, {looked_at}::bigint FROM {RollupDay._meta.db_table}
        WHERE tenant_id = %s AND start >= %s AND start < %s
        GROUP BY start HAVING bool_or({matched}) ORDER BY start
    """
    first, last = floor(rng.start, "day"), ceil(rng.end, "day")
    with connection.cursor() as cursor:
        cursor.execute(query, [*values, tenant_id, first, last, *params])
        days = cursor.fetchall()
    return [part for day, calls in days for part in _parts(rng, day, calls)]


def _looked_at(filters: Filters) -> tuple[str, list[UUID]]:
    """SQL for the calls of a day that the best index leads to, with its parameters."""
    found, values = ["sum(calls)"], []
    for column, value in filters.ids():
        if column in _INDEXED and (column, value) != ("model_id", NOTHING):
            found.append(f"{SCATTERED} * coalesce(sum(calls) FILTER (WHERE {column} = %s), 0)")
            values.append(value)
    if filters.status_class in (4, 5):
        found.append(f"{SCATTERED} * coalesce(sum(calls) FILTER (WHERE status_class >= 4), 0)")
    return f"least({', '.join(found)})", values


def _parts(rng: Range, day: datetime, calls: int) -> list[Stretch]:
    count = max(1, -(-calls // STRETCH))
    step = timedelta(days=1) / count
    bounds = [day + step * place for place in range(count)] + [day + timedelta(days=1)]
    found = []
    for low, high in pairwise(bounds):
        start, end = max(low, rng.start), min(high, rng.end)
        if start < end:
            found.append(Stretch(start, end, calls // count))
    return found
