"""Ranges of time, and the roll-ups from which a range is answered.

Roll-ups of a minute are kept for 8 days and those of an hour for 400, those of a day for
good. A bound that falls inside an interval is moved outwards to the bound of the finest
interval that is still kept there, so an answer may cover a little more than was asked;
``cover`` tells what it covers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone

from analytics.queries.shapes import QueryError
from analytics.retention import HOURS_KEPT, MINUTES_KEPT

STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
KEPT = {"minute": MINUTES_KEPT, "hour": HOURS_KEPT}
"""For how long an interval's roll-ups are kept."""
MOST_POINTS = {"minute": 2880, "hour": 2232, "day": 3660}
"""The longest series of each interval: two days, three months and ten years."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Range:
    """From ``start`` up to and without ``end``, both aware; raises QueryError where they
    are not in this order."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise QueryError("naive_time", "Give times with their offset, like 2026-03-01T00:00Z.")
        for at in (self.start, self.end):
            check_time(at)
        if self.end <= self.start:
            raise QueryError("empty_range", "The range must end after its start.")

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def check_time(at: datetime) -> datetime:
    """``at``; raises QueryError for one so far off that sums with it might overflow."""
    if not 1970 <= at.year < 2970:
        raise QueryError("time_out_of_range", "Times are from the years 1970 to 2969.")
    return at


def floor(at: datetime, interval: str) -> datetime:
    """The first moment, in UTC, of the interval that ``at`` is in."""
    return at - (at - _EPOCH) % STEPS[interval] if at.tzinfo is UTC else floor(_utc(at), interval)


def ceil(at: datetime, interval: str) -> datetime:
    """The bound of an interval that is ``at`` or the next after it."""
    low = floor(at, interval)
    return low if low == at else low + STEPS[interval]


def kept_since(interval: str) -> datetime:
    """From this moment on all roll-ups of the interval are there. A bound of an hour, so that
    it never parts one; the beginning of time for days."""
    if interval not in KEPT:
        return _EPOCH
    return ceil(timezone.now() - KEPT[interval], "hour" if interval == "minute" else "day")


def finest(at: datetime) -> str:
    """The finest interval whose roll-ups are still there for ``at``."""
    for interval in KEPT:
        if at >= kept_since(interval):
            return interval
    return "day"


def cover(rng: Range, interval: str | None = None) -> Range:
    """The range that an answer about ``rng`` covers: widened to whole intervals, or for sums,
    where no interval is given, to the finest there are at each of its ends."""
    first, last = interval or finest(rng.start), interval or finest(rng.end)
    return Range(floor(rng.start, first), ceil(rng.end, last))


def pieces(rng: Range) -> Iterator[tuple[str, datetime, datetime]]:
    """A covered range as (interval, start, end): days in the middle, finer ones at the edges."""
    yield from _split(rng.start, rng.end, ("day", "hour", "minute"))


def _split(
    start: datetime, end: datetime, intervals: tuple[str, ...]
) -> Iterator[tuple[str, datetime, datetime]]:
    if start >= end:
        return
    coarsest, finer = intervals[0], intervals[1:]
    low, high = ceil(start, coarsest), floor(end, coarsest)
    if low >= high:
        yield from _split(start, end, finer)
        return
    yield from _split(start, low, finer)
    yield coarsest, low, high
    yield from _split(high, end, finer)


def best_interval(rng: Range) -> str:
    """The interval that draws the range best: up to 3 hours by minute, to 4 days by hour."""
    if rng.length <= timedelta(hours=3) and rng.start >= kept_since("minute"):
        return "minute"
    if rng.length <= timedelta(days=4) and rng.start >= kept_since("hour"):
        return "hour"
    return "day"


def check_interval(rng: Range, interval: str) -> None:
    """Raises QueryError where the range cannot be told by this interval."""
    if interval not in STEPS:
        raise QueryError("unknown_interval", f"The interval is one of {', '.join(STEPS)}.")
    if rng.length / STEPS[interval] > MOST_POINTS[interval]:
        raise QueryError(
            "range_too_long",
            f"A series by {interval} has at most {MOST_POINTS[interval]:,} points. Ask for a "
            "shorter range or a longer interval.",
        )
    if interval in KEPT and floor(rng.start, interval) < kept_since(interval):
        raise QueryError(
            "interval_not_kept",
            f"Figures by {interval} are kept for {KEPT[interval].days} days. Ask for a later "
            "start or a longer interval.",
        )


def zone(name: str) -> ZoneInfo:
    """Raises QueryError for a name that is no time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise QueryError(
            "unknown_zone", f"“{name}” is no time zone. Use a name like Europe/London."
        ) from None


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
