"""What has been used since a moment, as limits count it, from the records of usage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from analytics.access import tenant_session
from contract.keys import USAGE_STREAM
from contract.usage import BATCH, NOT_COUNTED
from tenants.valkey import Client, connect

# What a batch used is no call. A client's own method of that name reaches no model.
_CALL = f"error_code <> ALL(%s) AND NOT (method = '{BATCH}' AND model_id IS NOT NULL)"

# A call was let through where it had a plan, or its API needs none, and no limit refused it.
# Without a plan no application's limits are asked, though a key that came with it is known.
_SUMS = f"""
SELECT coalesce(api_id::text, ''),
    CASE WHEN plan_id IS NULL THEN '' ELSE coalesce(application_id::text, '') END,
    coalesce(plan_id::text, ''), coalesce(key_id::text, ''), currency, at >= %s,
    count(*) FILTER (
        WHERE (plan_id IS NOT NULL OR api_id = ANY(%s::uuid[])) AND {_CALL}
    ),
    coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0)::bigint,
    coalesce(sum(cost_micros), 0)::bigint
FROM public.analytics_usagerecord
WHERE tenant_id = %s AND at >= %s AND NOT demo
GROUP BY 1, 2, 3, 4, 5, 6
"""

# As above, by whom the call was made for: of an application, or of none where there is no plan.
_BY_USERS = """
SELECT {place}, CASE WHEN plan_id IS NULL THEN 'none' ELSE application_id::text END, end_user,
    {sums}
FROM public.analytics_usagerecord
WHERE tenant_id = %s AND at >= %s AND NOT demo AND end_user <> '' AND {within}
    AND (plan_id IS NOT NULL OR api_id = ANY(%s::uuid[]))
GROUP BY 1, 2, 3
"""
_ADDED = {
    "calls": f"count(*) FILTER (WHERE at >= %s AND {_CALL})",
    "tokens": "coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) "
    "FILTER (WHERE at >= %s), 0)::bigint",
    "cost": "coalesce(sum(cost_micros) FILTER (WHERE at >= %s AND currency = %s), 0)::bigint",
}
_READ_AT_ONCE = 2000


class Used(NamedTuple):
    """Ids are empty where there was none; ``later`` tells the two stretches of time apart."""

    api_id: str
    application_id: str
    plan_id: str
    key_id: str
    currency: str
    later: bool
    calls: int
    tokens: int
    cost: int


def used(tenant_id: UUID, since: datetime, later: datetime, open_apis: Sequence[str]) -> list[Used]:
    """Sums over the records from ``since`` on, those from ``later`` on apart.

    ``open_apis`` are the ids of the APIs that need no key. Invented usage does not count.
    """
    with tenant_session(tenant_id), connection.cursor() as cursor:
        values = [later, list(open_apis), sorted(NOT_COUNTED), tenant_id, since]
        cursor.execute(_SUMS, values)
        return [Used(*row) for row in cursor.fetchall()]


def used_by_users(
    tenant_id: UUID,
    column: str,
    ids: Sequence[str],
    sums: Sequence[tuple[str, datetime, str]],
    open_apis: Sequence[str],
) -> Iterator[tuple[str, str, str, tuple[int, ...]]]:
    """Place, application (``none`` for open APIs), digest of the user, and the sums, for each.

    ``sums`` are (measure, since, currency). Only calls that have one of ``ids`` in ``column``
    count, and only with a plan or to one of ``open_apis``; without a column all of them, and
    the place is empty. To be read to its end, or closed: it holds a session open.
    """
    values: list[Any] = []
    for measure, since, currency in sums:
        more = {"calls": sorted(NOT_COUNTED), "cost": currency}.get(measure)
        values += [since] if more is None else [since, more]
    statement = _BY_USERS.format(
        place=f"{column}::text" if column else "''",
        sums=", ".join(_ADDED[measure] for measure, _, _ in sums),
        within=f"{column} = ANY(%s::uuid[])" if column else "true",
    )
    values += [tenant_id, min(since for _, since, _ in sums)]
    values += [list(ids)] if column else []
    with tenant_session(tenant_id), connection.chunked_cursor() as cursor:
        cursor.itersize = _READ_AT_ONCE
        cursor.execute(statement, [*values, list(open_apis)])
        for place, application, user, *amounts in cursor:
            yield place, application, user, tuple(amounts)


def newest_entry() -> bytes:
    """The stream's newest entry. Raises tenants.valkey.Unreachable."""
    entries = _client().xrevrange(USAGE_STREAM, count=1)
    return entries[0][0] if entries else b"0-0"


def recorded_up_to(entry: bytes) -> bool:
    """Whether all entries up to this one are in the tables, and so gone from the stream."""
    return not _client().xrange(USAGE_STREAM, max=entry.decode(), count=1)


@cache
def _connect(url: str) -> Client:
    return connect(url, socket_timeout=5)


def _client() -> Client:
    return _connect(settings.REDIS_URL)
