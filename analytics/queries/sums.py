"""The one way roll-ups are added up: by any keys, over any range; and sums over all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from analytics.access import tenant_session
from analytics.models import INTERVALS
from analytics.queries.ranges import Range, cover, pieces
from analytics.queries.shapes import NOTHING, SUMS, Filters, Totals

_EXPRESSIONS = {
    "client_errors": "coalesce(sum(calls) FILTER (WHERE status_class = 4), 0)",
    "server_errors": "coalesce(sum(calls) FILTER (WHERE status_class = 5), 0)",
}
# As text, which is quicker to take in than an object for each number.
_SUMS = {name: f"{_EXPRESSIONS.get(name, f'sum({name})')}::text" for name in SUMS}

Key = tuple[Any, ...]
Piece = tuple[str, datetime, datetime]


def totals(tenant_id: UUID, rng: Range, filters: Filters) -> Totals:
    """Sums over ``cover(rng)``."""
    return add_up(tenant_id, cover(rng), filters).get((), Totals())


def estimate(tenant_id: UUID, rng: Range, filters: Filters) -> int:
    """How many records there are about: those of ``cover(rng)``, counted from roll-ups."""
    return add_up(tenant_id, cover(rng), filters, sums=["calls"]).get((), Totals()).calls


def add_up(
    tenant_id: UUID,
    where: Range | Sequence[Piece],
    filters: Filters,
    *,
    keys: Sequence[str] = (),
    params: Sequence[Any] = (),
    only: tuple[str, Sequence[UUID]] | None = None,
    sums: Sequence[str] = SUMS,
) -> dict[Key, Totals]:
    """Totals by key over a covered range, or over given (interval, start, end).

    ``keys`` are SQL expressions over a roll-up's columns, ``params`` what they take; ``only``
    keeps the rows whose column has one of these values. Without keys there is one, ``()``,
    and none where there are no calls. Costs are told apart by their currency. What is not in
    ``sums`` stays 0: histograms are most of the work.
    """
    rows, values = _rows(tenant_id, where, filters, only)
    columns = [*keys, "currency"]
    places = ", ".join(str(place) for place, _ in enumerate(columns, 1))
    query = (
        f"SELECT {', '.join(columns)}, sum(cost_micros)::text, sum(saved_micros)::text, "
        f"{', '.join(_SUMS[name] for name in sums)} FROM ({rows}) AS rollups GROUP BY {places}"
    )
    with tenant_session(tenant_id), connection.cursor() as cursor:
        cursor.execute(query, [*params, *values])
        answer = cursor.fetchall()
    found: dict[Key, Totals] = {}
    for row in answer:
        key, (currency, cost, saved, *numbers) = row[: len(keys)], row[len(keys) :]
        into = found.setdefault(key, Totals())
        for name, value in zip(sums, numbers, strict=True):
            setattr(into, name, getattr(into, name) + int(value))
        if currency:
            into.cost[currency] = into.cost.get(currency, 0) + int(cost)
            if int(saved):
                into.saved[currency] = into.saved.get(currency, 0) + int(saved)
    return found


def conditions(filters: Filters) -> tuple[str, list[Any]]:
    """The filters as SQL over a roll-up's columns, with its parameters."""
    found, params = ["true"], []
    for column, value in filters.ids():
        found.append(f"{column} = %s")
        params.append(value)
    if filters.status_class is not None:
        found.append("status_class = %s")
        params.append(filters.status_class)
    if filters.any_model:
        found.append("model_id <> %s")
        params.append(NOTHING)
    if not filters.include_demo:
        found.append("NOT demo")
    return " AND ".join(found), params


def _rows(
    tenant_id: UUID,
    where: Range | Sequence[Piece],
    filters: Filters,
    only: tuple[str, Sequence[UUID]] | None,
) -> tuple[str, list[Any]]:
    """The roll-ups asked for as a subquery, with its parameters."""
    condition, shared = conditions(filters)
    if only is not None:
        condition += f" AND {only[0]} = ANY(%s)"
        shared.append(list(only[1]))
    selects, values = [], []
    for interval, start, end in pieces(where) if isinstance(where, Range) else where:
        table = INTERVALS[interval]._meta.db_table
        selects.append(
            f"SELECT * FROM {table} "
            f"WHERE tenant_id = %s AND start >= %s AND start < %s AND {condition}"
        )
        values += [tenant_id, start, end, *shared]
    return " UNION ALL ".join(selects), values
