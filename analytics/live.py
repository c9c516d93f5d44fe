"""Tells the pages that are open that there is something new, and nothing more.

A page that hears it fetches the figures itself, so what it is shown passes the same checks
as any other request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

EVERY = 1.0
"""Seconds between two messages to the same tenant from one process."""

MESSAGE = {"type": "usage.changed"}

_logger = logging.getLogger(__name__)
_last: dict[str, float] = {}
"""When each tenant was last told, in this process; entries older than ``EVERY`` are dropped."""


def group_of(tenant_id: UUID | str) -> str:
    """The Channels group of a tenant's open pages."""
    return f"usage.{tenant_id}"


def announce(tenant_ids: Iterable[UUID | str]) -> None:
    """Says "changed" to the pages of these tenants, at most once a second to each.

    Whoever listens looks a second time after ``EVERY`` (see ``analytics.consumers``), so what
    is left out here is seen as well. Never raises: a message lost is a page that is late.
    """
    due = _due({str(tenant_id) for tenant_id in tenant_ids}, time.monotonic())
    if not due:
        return
    try:
        async_to_sync(_send)(due)
    except (OSError, RedisError) as error:
        _logger.warning("Live pages were not told of new usage: %s", error)


def _due(tenant_ids: set[str], now: float) -> list[str]:
    for tenant_id in [one for one, told in _last.items() if now - told >= EVERY]:
        del _last[tenant_id]
    due = sorted(tenant_ids - _last.keys())
    _last.update(dict.fromkeys(due, now))
    return due


async def _send(tenant_ids: list[str]) -> None:
    layer = get_channel_layer()
    for tenant_id in tenant_ids:
        await layer.group_send(group_of(tenant_id), MESSAGE)
