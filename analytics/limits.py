"""What has been used since a moment, as limits count it, from the records of usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from analytics.access import tenant_session
from contract.keys import USAGE_STREAM
from contract.usage import NOT_COUNTED
from tenants.valkey import Client, connect

# A call was let through where it had a plan, or its API needs none, and no limit refused it.
_SUMS = """
SELECT coalesce(api_id::text, ''), coalesce(application_id::text, ''),
    coalesce(plan_id::text, ''), coalesce(key_id::text, ''), currency, at >= %s,
    count(*) FILTER (
        WHERE (plan_id IS NOT NULL OR api_id = ANY(%s::uuid[])) AND error_code <> ALL(%s)
    ),
    coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0)::bigint,
    coalesce(sum(cost_micros), 0)::bigint
FROM public.analytics_usagerecord
WHERE tenant_id = %s AND at >= %s AND NOT demo
GROUP BY 1, 2, 3, 4, 5, 6
"""


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
