"""Sums by what was called, by whom and through what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics.names import names
from analytics.queries.intervals import Point, add_up_along, axis, points
from analytics.queries.ranges import Range, cover
from analytics.queries.shapes import DIMENSIONS, NOTHING, Filters, QueryError, Totals
from analytics.queries.sums import add_up

ORDERS: dict[str, Callable[[Totals], float]] = {
    "calls": lambda totals: totals.calls,
    "errors": lambda totals: totals.errors,
    "server_errors": lambda totals: totals.server_errors,
    "error_rate": lambda totals: totals.error_rate,
    "limited": lambda totals: totals.limited,
    "tokens": lambda totals: totals.tokens,
    "cost": lambda totals: sum(totals.cost.values()),
    "mean": lambda totals: totals.mean_us or 0,
    "bytes": lambda totals: totals.request_bytes + totals.response_bytes,
}
"""What groups can be ordered by, largest first."""

NAMELESS = {
    "api": "No API",
    "application": "No application",
    "plan": "No plan",
    "model": "No model",
    "provider": "No provider",
    "deployment": "No deployment",
    "prompt": "No prompt",
}


@dataclass(frozen=True, slots=True)
class Group:
    """``id`` is ``NOTHING`` for the calls that had no such thing, which is a filter too."""

    id: UUID
    name: str
    totals: Totals


def grouped(
    tenant_id: UUID,
    rng: Range,
    filters: Filters,
    by: str,
    order: str = "calls",
    limit: int = 10,
    with_nothing: bool = False,
) -> list[Group]:
    """The largest groups over ``cover(rng)``; those of equal size by name.

    ``by`` is one of ``DIMENSIONS``, ``order`` one of ``ORDERS``; raises QueryError for others.
    Calls without an API, application and so on are a group only ``with_nothing``. Must be
    called in the tenant's schema, where the names are.
    """
    column = _check(by, order)
    found = add_up(tenant_id, cover(rng), filters, keys=[column])
    return _largest(found, by, order, limit, with_nothing)


def grouped_series(
    tenant_id: UUID,
    rng: Range,
    filters: Filters,
    interval: str,
    by: str,
    order: str = "calls",
    limit: int = 10,
    tz: ZoneInfo | None = None,
    with_nothing: bool = False,
) -> list[tuple[Group, list[Point]]]:
    """The series of each of the largest groups, over the whole intervals of ``series``."""
    column = _check(by, order)
    along = axis(rng, interval, tz)
    groups = grouped(tenant_id, along.covered, filters, by, order, limit, with_nothing)
    only = (column, [group.id for group in groups])
    found = add_up_along(tenant_id, along, filters, by=[column], only=only)
    return [(group, points(along, found, group.id)) for group in groups]


def _check(by: str, order: str) -> str:
    if by not in DIMENSIONS:
        raise QueryError("unknown_group", f"Group by one of {', '.join(DIMENSIONS)}.")
    if order not in ORDERS:
        raise QueryError("unknown_order", f"Order by one of {', '.join(ORDERS)}.")
    return DIMENSIONS[by]


def _largest(
    found: dict[tuple[UUID], Totals], by: str, order: str, limit: int, with_nothing: bool
) -> list[Group]:
    """The ``limit`` largest; names are asked for those alone that may be among them."""
    size = ORDERS[order]
    ranked = sorted(
        ((size(totals), id_, totals) for (id_,), totals in found.items()),
        key=lambda item: (-item[0], item[1]),
    )
    if not with_nothing:
        ranked = [item for item in ranked if item[1] != NOTHING]
    ranked = ranked[:limit]
    named = names(by, [id_ for _, id_, _ in ranked if id_ != NOTHING])
    named[NOTHING] = NAMELESS[by]
    ranked.sort(key=lambda item: (-item[0], named[item[1]]))
    return [Group(id_, named[id_], totals) for _, id_, totals in ranked]
