"""The calls themselves, newest first, paged by (at, id) and never by offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from analytics.access import tenant_session
from analytics.models import UsageRecord
from analytics.queries.ranges import Range, check_time
from analytics.queries.shapes import NOTHING, Filters, QueryError
from analytics.queries.stretches import Stretch, stretches

SCANNED_AT_MOST = 150_000
"""About as many records are looked at for a page; it ends there though it may not be full."""
STREAMED_AT_ONCE = 5000

Record = UsageRecord
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOWEST = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class RecordFilters:
    """What records are filtered by and roll-ups do not know. None means all."""

    status: int | None = None
    error_code: str | None = None
    request_id: UUID | None = None
    method: str | None = None
    path: str | None = None
    """What the path begins with."""
    key: UUID | None = None
    route: UUID | None = None
    abandoned: bool | None = None
    slower_than_us: int | None = None
    min_attempts: int | None = None


class Cursor(NamedTuple):
    """A place between records; as text ``<Unix microseconds>-<id in hex>``."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises QueryError for what is no cursor."""
        microseconds, _, id_ = text.partition("-")
        try:
            at = _EPOCH + timedelta(microseconds=int(microseconds))
            return cls(check_time(at), UUID(id_))
        except (ValueError, OverflowError):
            raise QueryError(
                "unknown_cursor",
                "This is no place in the list. Follow “next” and “previous” as they were given.",
            ) from None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """``rows`` newest first. ``next`` is the cursor for ``before`` that leads to older ones,
    ``previous`` that for ``after`` which leads to newer ones; None where there are none.

    A page may have few rows or none although ``next`` is given: the search for rare ones went
    as far as one answer may, down to ``searched_to``, and goes on there.
    """

    rows: list[UsageRecord]
    next: str | None
    previous: str | None
    searched_to: datetime | None = None


def records(
    tenant_id: UUID,
    rng: Range,
    filters: Filters,
    before: str | None = None,
    after: str | None = None,
    limit: int = 50,
    **columns: Any,
) -> RecordPage:
    """A page of the records in exactly ``rng``: the newest, those that come ``before`` a cursor
    or, of those ``after`` one, the oldest. ``columns`` are fields of ``RecordFilters``.

    Raises QueryError for a cursor that is none.
    """
    if before and after:
        raise QueryError("two_cursors", "Give “before” or “after”, not both.")
    backwards = after is not None
    cursor = Cursor.read(before or after) if before or after else None
    left = _beyond(rng, cursor, backwards)
    if left is None:
        return _page([], limit, cursor, backwards, None)
    chosen = RecordFilters(**columns)
    wanted = matching(tenant_id, filters, chosen)
    if cursor is not None:
        wanted = wanted.filter(pk__gt=cursor) if backwards else wanted.filter(pk__lt=cursor)
    wanted = wanted.order_by("at", "id") if backwards else wanted.order_by("-at", "-id")
    with tenant_session(tenant_id):
        if chosen.request_id is not None:  # one at most, and its index is that of the id
            parts = [Stretch(left.start, left.end, 0)]
        else:
            parts = stretches(tenant_id, left, _known_to_rollups(filters, chosen))
        rows, stopped = _search(wanted, parts if backwards else parts[::-1], limit + 1)
    if stopped is not None:
        stopped = stopped.end if backwards else stopped.start
    return _page(rows, limit, cursor, backwards, stopped)


def _known_to_rollups(filters: Filters, columns: RecordFilters) -> Filters:
    """With what the columns imply; a status that contradicts the class finds nothing anyway."""
    if columns.status is None:
        return filters
    return replace(filters, status_class=columns.status // 100)


def _search(
    wanted: QuerySet[UsageRecord], parts: Sequence[Stretch], limit: int
) -> tuple[list[UsageRecord], Stretch | None]:
    """The first rows there are in these parts, looked through in this order; and the part
    after which the search was given up."""
    rows, scanned = [], 0
    for place, part in enumerate(parts, 1):
        here = wanted.filter(at__gte=part.start, at__lt=part.end)
        rows += here[: limit - len(rows)]
        if len(rows) == limit:
            break
        scanned += part.calls
        if scanned >= SCANNED_AT_MOST and place < len(parts):
            return rows, part
    return rows, None


def _page(
    rows: list[UsageRecord],
    limit: int,
    cursor: Cursor | None,
    backwards: bool,
    stopped: datetime | None,
) -> RecordPage:
    onwards = None if stopped is None else str(Cursor(stopped, _LOWEST))
    if len(rows) > limit:
        rows = rows[:limit]
        onwards = str(Cursor(rows[-1].at, rows[-1].id))
    back = None
    if cursor is not None:
        back = str(Cursor(rows[0].at, rows[0].id) if rows else cursor)
    if backwards:
        return RecordPage(rows[::-1], back, onwards, stopped)
    return RecordPage(rows, onwards, back, stopped)


def _beyond(rng: Range, cursor: Cursor | None, backwards: bool) -> Range | None:
    """What is left of the range beyond the cursor, in the direction of travel."""
    start, end = rng.start, rng.end
    if cursor is not None and backwards:
        start = max(start, cursor.at)
    elif cursor is not None:
        end = min(end, cursor.at + _MICROSECOND)
    return Range(start, end) if start < end else None


def matching(tenant_id: UUID, filters: Filters, columns: RecordFilters) -> QuerySet[UsageRecord]:
    """The tenant's records with these properties, at any time."""
    rows = UsageRecord.objects.filter(tenant_id=tenant_id)
    for column, value in filters.ids():
        rows = rows.filter(**{column: None if value == NOTHING else value})
    if filters.status_class is not None:
        low = filters.status_class * 100
        rows = rows.filter(status__gte=low, status__lt=low + 100)
    if filters.any_model:
        rows = rows.exclude(model_id=None)
    if not filters.include_demo:
        rows = rows.filter(demo=False)
    given = {
        "status": columns.status,
        "error_code": columns.error_code,
        "id": columns.request_id,
        "method": columns.method and columns.method.upper(),
        "path__startswith": columns.path,
        "key_id": columns.key,
        "route_id": columns.route,
        "abandoned": columns.abandoned,
        "total_us__gt": columns.slower_than_us,
        "attempts__gte": columns.min_attempts,
    }
    return rows.filter(Q(**{name: value for name, value in given.items() if value is not None}))


def record(tenant_id: UUID, id_: UUID, at: datetime | None = None) -> UsageRecord | None:
    """The call with this request id, or None. Quick if it is known when it was, to the day."""
    rows = UsageRecord.objects.filter(tenant_id=tenant_id, id=id_)
    if at is not None:
        day = timedelta(days=1)
        rows = rows.filter(at__gte=at - day, at__lt=at + day)
    with tenant_session(tenant_id):
        return rows.first()


def stream(
    tenant_id: UUID, rng: Range, filters: Filters, **columns: Any
) -> Iterator[list[UsageRecord]]:
    """All such records, newest first, in blocks of at most ``STREAMED_AT_ONCE``; memory is bounded
    by one.

    Each block is a page and has a session of its own, so that a slow reader keeps no
    transaction open and no connection to itself.
    """
    before = None
    while True:
        page = records(tenant_id, rng, filters, before=before, limit=STREAMED_AT_ONCE, **columns)
        if page.rows:
            yield page.rows
        if (before := page.next) is None:
            return
