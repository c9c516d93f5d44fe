"""Sums by interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics.queries.ranges import STEPS, Range, ceil, check_interval, cover
from analytics.queries.shapes import SUMS, Filters, Totals
from analytics.queries.sums import add_up


@dataclass(frozen=True, slots=True)
class Point:
    """``start`` is the interval's first moment."""

    start: datetime
    totals: Totals


@dataclass(frozen=True)
class Axis:
    """The points of a series: where they start, where the last one ends, and from which
    roll-ups they are read."""

    starts: tuple[datetime, ...]
    end: datetime
    source: str

    @property
    def covered(self) -> Range:
        return Range(self.starts[0], self.end)


def axis(rng: Range, interval: str, tz: ZoneInfo | None = None) -> Axis:
    """Whole intervals that cover the range; raises QueryError where they cannot.

    Intervals are those of UTC, except that days are those of ``tz`` if that is given. Such
    days are put together from hours of UTC; where a zone's midnight falls within one, that
    hour counts to the day in which it starts.
    """
    check_interval(rng, interval)
    if tz is not None and tz.key != "UTC" and interval == "day":
        check_interval(rng, "hour")
        *starts, end = _midnights(rng, tz)
        return Axis(tuple(starts), end, "hour")
    covered, step = cover(rng, interval), STEPS[interval]
    count = round(covered.length / step)
    starts = (covered.start + step * place for place in range(count))
    return Axis(tuple(starts), covered.end, interval)


def _midnights(rng: Range, tz: ZoneInfo) -> list[datetime]:
    """Those of ``tz``, told in UTC, from the last before the range to the first after it."""
    midnight = rng.start.astimezone(tz).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    found = [midnight.astimezone(UTC)]
    while found[-1] < rng.end:
        midnight += timedelta(days=1)  # by the clock on the wall, however long the day is
        found.append(midnight.astimezone(UTC))
    return found


def series(
    tenant_id: UUID,
    rng: Range,
    filters: Filters,
    interval: str,
    tz: ZoneInfo | None = None,
) -> list[Point]:
    """A point for each interval that the range touches, whole and in order, zeros in gaps.

    See ``axis`` for what an interval is and what is raised.
    """
    along = axis(rng, interval, tz)
    found = add_up_along(tenant_id, along, filters)
    return points(along, found)


def points(along: Axis, found: dict[tuple[Any, ...], Totals], *group: Any) -> list[Point]:
    """What ``add_up_along`` found, or of that what it found for a group."""
    return [
        Point(start, found.get((*group, place), Totals()))
        for place, start in enumerate(along.starts, 1)
    ]


def add_up_along(
    tenant_id: UUID,
    along: Axis,
    filters: Filters,
    *,
    by: Sequence[str] = (),
    only: tuple[str, Sequence[UUID]] | None = None,
    sums: Sequence[str] = SUMS,
) -> dict[tuple[Any, ...], Totals]:
    """Totals by the columns ``by`` and the point's place in the series, from 1."""
    source = along.source
    return add_up(
        tenant_id,
        [(source, ceil(along.starts[0], source), ceil(along.end, source))],
        filters,
        keys=[*by, "width_bucket(start, %s)"],
        params=[list(along.starts)],
        only=only,
        sums=sums,
    )
