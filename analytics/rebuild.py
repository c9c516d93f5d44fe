"""Sums worked out from the records, all of it inside PostgreSQL.

They are what ``analytics.ingest.fold`` makes of the same calls: for roll-ups that were made
before some column was, or are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction

from analytics import partitions
from analytics.histogram import BUCKETS, DIGITS, GROWTH
from analytics.models.rollups import (
    DIMENSIONS,
    HISTOGRAMS,
    INTERVALS,
    LEAST_WRITING_US,
    MEASURES,
    NOTHING,
)
from analytics.queries.ranges import kept_since

_EDGES = [0.0, *(GROWTH**power for power in range(BUCKETS - 1))]

_IDS = [name for name in DIMENSIONS if name.endswith("_id")]
_NAMES = ", ".join(["tenant_id", "start", *_IDS, "status_class", "currency", "demo"])
_KEYS = ", ".join(
    [
        "tenant_id",
        "date_trunc('{interval}', at, 'UTC') AS start",
        *(f"coalesce({name}, '{NOTHING}') AS {name}" for name in _IDS),
        "(status / 100)::smallint AS status_class",
        "currency",
        "demo",
    ]
)
_STREAM = "streamed AND first_byte_us > 0 AND model_id IS NOT NULL AND status < 400"
_WHOLE = (
    f"{_STREAM} AND NOT abandoned AND error_code = '' AND output_tokens > 0 "
    f"AND total_us - first_byte_us >= {LEAST_WRITING_US}"
)
_COUNTED = {
    "calls": "count(*)",
    "abandoned": "count(*) FILTER (WHERE abandoned)",
    "limited": "count(*) FILTER (WHERE status = 429)",
    "unpriced": "count(*) FILTER (WHERE cost_micros IS NULL "
    "AND (num_nonnulls(input_tokens, output_tokens) > 0 OR measure <> ''))",
    "streams": f"count(*) FILTER (WHERE {_STREAM})",
    "first_token_us": f"coalesce(sum(first_byte_us) FILTER (WHERE {_STREAM}), 0)::bigint",
    "written_tokens": f"coalesce(sum(output_tokens) FILTER (WHERE {_WHOLE}), 0)::bigint",
    "writing_us": f"coalesce(sum(total_us - first_byte_us) FILTER (WHERE {_WHOLE}), 0)::bigint",
}
"""What is more than the sum of a column of the records."""
_MEASURES = {name: _COUNTED.get(name, f"coalesce(sum({name}), 0)::bigint") for name in MEASURES}

# First by bucket too; then a histogram is put together from the digits of its buckets, as
# analytics.histogram tells.
_ADD_UP = f"""
INSERT INTO public.analytics_rollup{{interval}} (
    {_NAMES}, {", ".join(_MEASURES)}, {", ".join(HISTOGRAMS)})
WITH buckets AS (
    SELECT {_KEYS}, width_bucket(total_us::float8, %(edges)s::float8[]) AS bucket,
        CASE WHEN {_STREAM} THEN width_bucket(first_byte_us::float8, %(edges)s::float8[]) END
            AS first_bucket,
        {", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())}
    FROM public.analytics_usagerecord
    WHERE at >= %(start)s AND at < %(end)s {{which}}
    GROUP BY {", ".join(str(place) for place in range(1, len(_IDS) + 8))}
)
SELECT {_NAMES}, {", ".join(f"sum({name})::bigint" for name in _MEASURES)},
    sum((calls || 'e' || {DIGITS} * (bucket - 1))::numeric),
    coalesce(sum((calls || 'e' || {DIGITS} * (first_bucket - 1))::numeric), 0)
FROM buckets GROUP BY {_NAMES}
"""

_RECORDS_MISSING = """
SELECT (SELECT coalesce(sum(calls), 0) FROM public.analytics_rollupday WHERE start = %(start)s)
    > (SELECT count(*) FROM public.analytics_usagerecord WHERE at >= %(start)s AND at < %(end)s)
"""


def add_up(
    interval: str,
    start: datetime,
    end: datetime,
    *,
    tenant: UUID | None = None,
    demo: bool | None = None,
) -> None:
    """Writes the sums of the records there are in this time, which must have none yet."""
    which = "" if tenant is None else "AND tenant_id = %(tenant)s "
    which += "" if demo is None else "AND demo" if demo else "AND NOT demo"
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD_UP.format(interval=interval, which=which),
            {"edges": _EDGES, "start": start, "end": end, "tenant": tenant},
        )


def rebuild(first: date | None = None, last: date | None = None) -> Iterator[tuple[date, bool]]:
    """Replaces the sums of each day of UTC that has records; tells of each whether it did.

    A day is one transaction, for which those who record wait: what they have recorded by then
    is in the new sums, and what comes later is added to them. A day with fewer records than
    its sums count is left as it is: some of its records are no longer kept. Sums by minute and
    hour are made only as far back as they are kept.
    """
    for day in partitions.existing():
        if (first is None or day >= first) and (last is None or day <= last):
            yield day, _rebuild(datetime.combine(day, time(), UTC))


def _rebuild(start: datetime) -> bool:
    end = start + timedelta(days=1)
    # In the order in which ingest writes to them, so that nobody waits in a circle.
    tables = ", ".join(model._meta.db_table for model in INTERVALS.values())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")
        day = {"start": start, "end": end}
        cursor.execute(_RECORDS_MISSING, day)
        if cursor.fetchone()[0]:
            return False
        # Compiling statements of this size costs more than running them on a day.
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("SET LOCAL work_mem = '128MB'")
        for interval, model in INTERVALS.items():
            begin = max(start, kept_since(interval))
            if begin < end:
                model.objects.filter(start__gte=begin, start__lt=end)._raw_delete("default")
                add_up(interval, begin, end)
    return True
