"""One batch in one transaction: records that are new, and their sums in the roll-ups.

Rows are written in the order of their keys, so that several ingesters wait for each other
and never in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics import partitions
from analytics.histogram import pack
from analytics.ingest.events import COLUMNS, Call
from analytics.ingest.fold import STEPS, Folded, Key, Sums, fold
from analytics.models.rollups import DIMENSIONS, HISTOGRAMS, MEASURES

_COPY_NEW = f"COPY public.analytics_usagerecord ({COLUMNS}) FROM STDIN"

# Staging tables belong to the connection and are empty again after each transaction.
_STAGE_RECORDS = """
CREATE TEMP TABLE IF NOT EXISTS stage_records ON COMMIT DELETE ROWS AS
SELECT * FROM public.analytics_usagerecord WITH NO DATA
"""
_COPY_RECORDS = f"COPY pg_temp.stage_records ({COLUMNS}) FROM STDIN"
_INSERT_RECORDS = f"""
INSERT INTO public.analytics_usagerecord ({COLUMNS})
SELECT {COLUMNS} FROM pg_temp.stage_records
ON CONFLICT DO NOTHING
RETURNING encode(uuid_send(id), 'hex')
"""

_SUMS = ", ".join([*MEASURES, *HISTOGRAMS])
_STAGE_ROLLUPS = """
CREATE TEMP TABLE IF NOT EXISTS stage_rollups ON COMMIT DELETE ROWS AS
SELECT 0::bigint AS minute, 0::bigint AS hour, 0::bigint AS day, *
FROM public.analytics_rollupminute WITH NO DATA
"""
_COPY_ROLLUPS = (
    "COPY pg_temp.stage_rollups (minute, hour, day, tenant_id, api_id, application_id, plan_id, "
    "model_id, provider_id, deployment_id, prompt_id, currency, status_class, demo, "
    f"{_SUMS}) FROM STDIN"
)
_KEY = f"tenant_id, start, {', '.join(DIMENSIONS)}"
_ADDED = ", ".join(f"{name} = r.{name} + excluded.{name}" for name in [*MEASURES, *HISTOGRAMS])
_ADD_ROLLUPS = f"""
INSERT INTO public.analytics_rollup{{step}} AS r ({_KEY}, {_SUMS})
SELECT tenant_id, 'epoch'::timestamptz + {{step}} * interval '1 microsecond',
    {", ".join(DIMENSIONS)}, {_SUMS}
FROM pg_temp.stage_rollups WHERE {{step}} IS NOT NULL ORDER BY {{step}}, {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE
SET {_ADDED}
"""


def store(calls: Collection[Call]) -> list[Call]:
    """Records the calls that are not recorded yet, adds them to the roll-ups, returns them.

    Atomic. Raises django.db.Error; after an OperationalError the same calls may be tried again.
    """
    unique = {call.id: call for call in calls}
    rows = sorted(unique.values(), key=lambda row: (row.event.at // STEPS["day"], row.id))
    partitions.ensure(_days(rows))
    with transaction.atomic(), connection.cursor() as cursor:
        new = insert_records(cursor, rows)
        add_rollups(cursor, fold(new))
    return new


def _days(rows: Iterable[Call]) -> set[date]:
    starts = {row.event.at // STEPS["day"] for row in rows}
    return {datetime.fromtimestamp(start * 86_400, UTC).date() for start in starts}


def insert_records(cursor: CursorWrapper, rows: Sequence[Call]) -> list[Call]:
    """Returns the rows that were not there.

    Nearly always that is all of them, so they are first copied straight into the table, at
    half the cost of looking at each.
    """
    lines = "\n".join([row.line for row in rows]) + "\n"
    try:
        with transaction.atomic():
            _copy(cursor, _COPY_NEW, lines)
        return list(rows)
    except IntegrityError:
        cursor.execute(_STAGE_RECORDS)
        _copy(cursor, _COPY_RECORDS, lines)
        cursor.execute(_INSERT_RECORDS)
        new = {identifier for (identifier,) in cursor.fetchall()}
        return [row for row in rows if row.id in new]


def add_rollups(cursor: CursorWrapper, folded: dict[str, Folded]) -> None:
    """Adds the sums, minute by minute, then hour by hour, then day by day."""
    if lines := _rollup_lines(folded):
        cursor.execute(_STAGE_ROLLUPS)
        _copy(cursor, _COPY_ROLLUPS, "\n".join(lines) + "\n")
        for step in STEPS:
            cursor.execute(_ADD_ROLLUPS.format(step=step))


def _copy(cursor: CursorWrapper, statement: str, lines: str) -> None:
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write(lines)


def _rollup_lines(folded: dict[str, Folded]) -> list[str]:
    """One for all intervals that share their sums: minute, hour and day in the first columns."""
    found: dict[int, tuple[Key, Sums, list[str]]] = {}
    for place, step in enumerate(STEPS):
        for key, sums in folded[step].items():
            _, _, starts = found.setdefault(id(sums), (key, sums, [r"\N"] * 3))
            starts[place] = str(key[0])
    lines = []
    for (_, who, what, status_class, demo), sums, starts in found.values():
        numbers = map(str, [status_class, int(demo), *sums.values])
        histograms = pack(sums.latency), pack(sums.first_token)
        lines.append("\t".join([*starts, *who, *what, *numbers, *histograms]))
    return lines
