"""Trend reports: what a day or a week looked like beside the one before, for each tenant.

A report's ``body`` is plain data:

- ``periods``: for ``this``, ``before`` and, for a day, ``week_ago``, their ``start`` and ``end``;
- ``totals``: the figures of each of these periods (see ``_figures``);
- ``series``: ``start``, ``calls``, ``errors`` of each hour of a day or each day of a week;
- ``groups``: by ``api``, ``application`` and ``model``, the largest with ``id``, ``name``, the
  figures of ``this`` and ``before``, and whether it is ``new`` or ``gone``;
- ``movers``: by the same, those whose number of calls changed most, as ``change``.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import DatabaseError
from django_tenants.utils import schema_context

from analytics import queries
from analytics.models import TrendReport
from analytics.queries import Filters, Range, Totals
from tenants.models import Tenant

logger = logging.getLogger(__name__)

Kind = TrendReport.Kind
BY = ("api", "application", "model")
SHOWN, MOVERS, COMPARED = 10, 5, 1000
SETTLED = timedelta(minutes=10)
"""How long after its end a period is taken to be complete."""
CAUGHT_UP = timedelta(days=7)

_LENGTH = {Kind.DAILY: timedelta(days=1), Kind.WEEKLY: timedelta(days=7)}


def zone_of(tenant: Tenant) -> ZoneInfo:
    """The tenant's time zone; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(tenant.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def period(kind: str, start: date, tz: ZoneInfo) -> Range:
    """From midnight to midnight, local time, whatever the clocks did in between."""
    bounds = (datetime.combine(day, time(), tz) for day in (start, start + _LENGTH[Kind(kind)]))
    first, last = (bound.astimezone(UTC) for bound in bounds)
    return Range(first, last)


def due(tenant: Tenant, now: datetime) -> list[tuple[str, date]]:
    """The periods that ended in the last seven days, oldest first. Weeks begin on Monday."""
    tz = zone_of(tenant)
    today = now.astimezone(tz).date()
    found = []
    for back in range(CAUGHT_UP.days, 0, -1):
        day = today - timedelta(days=back)
        candidates = [(Kind.DAILY, day)]
        if day.weekday() == 6:
            candidates.append((Kind.WEEKLY, day - timedelta(days=6)))
        found += [
            (kind, start)
            for kind, start in candidates
            if period(kind, start, tz).end + SETTLED <= now
        ]
    return found


def catch_up(tenant: Tenant, *, now: datetime) -> list[TrendReport]:
    """Writes the reports that are due and not there yet.

    A period that was over before the tenant existed gets one only if it has calls.
    """
    wanted = due(tenant, now)
    starts = [start for _, start in wanted]
    there = set(
        TrendReport.objects.filter(tenant_id=tenant.pk, period_start__in=starts).values_list(
            "kind", "period_start"
        )
    )
    written = []
    for kind, start in wanted:
        if (kind, start) not in there and (report := write(tenant, kind, start)) is not None:
            written.append(report)
    return written


def write_all(now: datetime) -> int:
    """Writes what is due for every tenant that serves; returns how many reports. One tenant's
    failure is logged and stops no other."""
    serving = Tenant.objects.filter(state=Tenant.State.ACTIVE).exclude(schema_name="public")
    written = 0
    for tenant in serving.iterator():
        try:
            written += len(catch_up(tenant, now=now))
        except (DatabaseError, queries.QueryError):
            logger.exception("The reports of %s could not be written", tenant)
    return written


def write(tenant: Tenant, kind: str, start: date) -> TrendReport | None:
    """The report of a period, kept. One that is there already stays as it is.

    None for a period without calls that was over before the tenant existed.
    """
    body, demo = compose(tenant, kind, start)
    before_its_time = period(kind, start, zone_of(tenant)).end <= tenant.created_at
    if before_its_time and not body["totals"]["this"]["calls"]:
        return None
    report, _ = TrendReport.objects.get_or_create(
        tenant_id=tenant.pk,
        kind=kind,
        period_start=start,
        defaults={"body": body, "demo": demo, "time_zone": zone_of(tenant).key},
    )
    return report


def compose(tenant: Tenant, kind: str, start: date) -> tuple[dict[str, Any], bool]:
    """The body, and whether any of its figures are of demo calls."""
    tz, length = zone_of(tenant), _LENGTH[Kind(kind)]
    periods = {"this": period(kind, start, tz), "before": period(kind, start - length, tz)}
    if kind == Kind.DAILY:
        periods["week_ago"] = period(kind, start - timedelta(days=7), tz)
    with schema_context(tenant.schema_name):
        totals = {name: queries.totals(tenant.pk, rng, Filters()) for name, rng in periods.items()}
        real = sum(
            queries.estimate(tenant.pk, rng, Filters(include_demo=False))
            for rng in periods.values()
        )
        groups = {by: _compared(tenant, by, periods) for by in BY}
        series = _series(tenant, kind, periods["this"], tz)
    body = {
        "periods": {
            name: {
                "start": rng.start.astimezone(tz).isoformat(),
                "end": rng.end.astimezone(tz).isoformat(),
            }
            for name, rng in periods.items()
        },
        "totals": {name: _figures(found) for name, found in totals.items()},
        "series": series,
        "groups": {by: rows[:SHOWN] for by, rows in groups.items()},
        "movers": {by: _movers(rows) for by, rows in groups.items()},
    }
    return body, sum(found.calls for found in totals.values()) != real


def _compared(tenant: Tenant, by: str, periods: dict[str, Range]) -> list[dict[str, Any]]:
    """Groups of this period and the one before, those with most calls now first."""
    found: dict[Any, dict[str, Any]] = {}
    for name in ("this", "before"):
        for group in queries.grouped(tenant.pk, periods[name], Filters(), by, limit=COMPARED):
            row = found.setdefault(group.id, {"id": str(group.id), "name": group.name})
            row[name] = _figures(group.totals)
    nothing = _figures(Totals())
    rows = []
    for row in found.values():
        row |= {"new": "before" not in row, "gone": "this" not in row}
        row["this"], row["before"] = row.get("this", nothing), row.get("before", nothing)
        row["change"] = row["this"]["calls"] - row["before"]["calls"]
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["this"]["calls"], row["name"], row["id"]))


def _movers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    moved = [row for row in rows if row["change"]]
    return sorted(moved, key=lambda row: (-abs(row["change"]), row["name"]))[:MOVERS]


def _series(tenant: Tenant, kind: str, rng: Range, tz: ZoneInfo) -> list[dict[str, Any]]:
    interval = "hour" if kind == Kind.DAILY else "day"
    points = queries.series(tenant.pk, rng, Filters(), interval, tz)
    return [
        {
            "start": point.start.astimezone(tz).isoformat(),
            "calls": point.totals.calls,
            "errors": point.totals.errors,
            "p95_ms": _ms(point.totals.p95_us),
            "cost": point.totals.cost,
        }
        for point in points
    ]


def _figures(totals: Totals) -> dict[str, Any]:
    """Latencies in milliseconds, the error rate from 0 to 1, cost in micro-units by currency."""
    return {
        "calls": totals.calls,
        "client_errors": totals.client_errors,
        "server_errors": totals.server_errors,
        "error_rate": round(totals.error_rate, 6),
        "limited": totals.limited,
        "abandoned": totals.abandoned,
        "p50_ms": _ms(totals.p50_us),
        "p95_ms": _ms(totals.p95_us),
        "p99_ms": _ms(totals.p99_us),
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cost": dict(sorted(totals.cost.items())),
        "unpriced": totals.unpriced,
    }


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)


_PLAIN = [name for name in _figures(Totals()) if name != "cost"]


def as_csv(report: TrendReport) -> str:
    """The totals and all groups of a report, a line each, with the period before beside it."""
    body, out = report.body, StringIO()
    currencies = sorted({name for totals in body["totals"].values() for name in totals["cost"]})
    columns = [*_PLAIN, *(f"cost_{name}" for name in currencies)]
    lines = csv.writer(out, lineterminator="\r\n")
    before = [f"{name}_before" for name in columns]
    lines.writerow(["report", "period_start", "by", "id", "name", *columns, *before])
    head = [report.kind, report.period_start.isoformat()]
    for by, row in _lines(body):
        figures = [
            value
            for side in ("this", "before")
            for value in (
                *(row[side][name] for name in _PLAIN),
                *(row[side]["cost"].get(name, 0) / 1_000_000 for name in currencies),
            )
        ]
        lines.writerow([*head, by, row["id"], _plain_text(row["name"]), *figures])
    return out.getvalue()


def _lines(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "total", {"id": "", "name": "", **body["totals"]}
    for by in BY:
        for row in body["groups"][by]:
            yield by, row


def _plain_text(text: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
