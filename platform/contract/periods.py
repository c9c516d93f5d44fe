"""Calendar days and months of a time zone, as limits count in them.

A period is named by its local date, so a clock that jumps back and forth finds the same
counter again. Days of 23 and 25 hours are as long as they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

KEPT_SECONDS = 172_800
"""A counter outlives its period for so long, should a clock step back over its end."""


class Period(Struct, frozen=True):
    """``name`` is ``day:2026-11-21`` or ``month:2026-11``; ``start`` and ``end`` are Unix
    seconds, ``end`` the first that is no longer in it."""

    name: str
    start: int
    end: int


def period_at(kind: Literal["day", "month"], time_zone: str, at: float) -> Period:
    """The period that the Unix time ``at`` is in. Raises ValueError for an unknown zone."""
    zone = _zone(time_zone)
    today = datetime.fromtimestamp(at, UTC).astimezone(zone).date()
    if kind == "day":
        first, last = today, today + timedelta(days=1)
        name = f"day:{today.isoformat()}"
    else:
        first = today.replace(day=1)
        last = (first + timedelta(days=32)).replace(day=1)
        name = f"month:{first.isoformat()[:7]}"
    return Period(name, _midnight(first, zone), _midnight(last, zone))


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The day's first second; where a clock skips midnight, the second after the skip."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:
        raise ValueError(f"There is no time zone {name!r}.") from error
