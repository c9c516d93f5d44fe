"""What limits count a batch by, from its creation to its end (``proxy.limits.bills``).

The bill is opened before the provider is asked: should the worker end here, what the batch may use
is counted, and whoever looks at the batch later closes the bill.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import time
from typing import TYPE_CHECKING

from proxy.ai.batches.errors import BatchesUnavailable, FileNotFound
from proxy.ai.errors import (
    InvalidRequest,
    ProviderRefused,
    ProviderRejectedCredentials,
    ProviderSays,
)
from proxy.errors import ConnectFailed, UpstreamOverloaded
from proxy.limits.bills import Used
from proxy.limits.errors import LimitsUnavailable
from proxy.valkey import ValkeyError

if TYPE_CHECKING:
    from proxy.ai.batches.counted import Sum
    from proxy.ai.batches.places import Desk

DAY, MOST_DAYS = 86_400, 7
_WINDOW = re.compile(r"(\d{1,3})([hd])")
_NOT_CREATED = (
    BatchesUnavailable,
    FileNotFound,
    InvalidRequest,
    ProviderSays,
    ProviderRefused,
    ProviderRejectedCredentials,
    ConnectFailed,
    UpstreamOverloaded,
)


async def open(desk: Desk, window: object) -> str:  # noqa: A001
    """The bill of the batch that is to be created, for what the call has reserved; empty where
    nothing is limited that is known only later. ``window``: within which the batch ends, as in
    "24h". Raises LimitsUnavailable.
    """
    exchange = desk.exchange
    reservation = exchange.reservation
    if reservation is None or not reservation.held.limits.closed:
        return ""
    held, bills = reservation.held, desk.gateway.limiter.bills
    opening = asyncio.ensure_future(bills.open(exchange.id, held.limits, held.units, _span(window)))
    reservation.billed = True
    try:
        await asyncio.shield(opening)
    except ValkeyError as error:
        reservation.billed = False
        raise LimitsUnavailable from error
    except asyncio.CancelledError:
        # The client left before anybody was asked for a batch.
        desk.gateway.batches.later(_undo(desk, opening, exchange.id))
        raise
    return exchange.id


async def _undo(desk: Desk, opening: asyncio.Future[None], bill: str) -> None:
    """Should that fail, what the batch might have used goes on counting."""
    with suppress(ValkeyError, LimitsUnavailable):
        await opening
        await _close(desk, bill, Used(), time())


@asynccontextmanager
async def unless_refused(desk: Desk, bill: str) -> AsyncIterator[None]:
    """Within it the batch is created. Where it surely was not, it used nothing. Where that cannot
    be known, what it may use goes on counting."""
    try:
        yield
    except _NOT_CREATED:
        if bill:
            await _close(desk, bill, Used(), time())
        raise


async def close(desk: Desk, bill: str, total: Sum, ended: int) -> None:
    """Raises LimitsUnavailable."""
    if bill:
        used = Used(total.tokens, total.cost_micros, total.prices.currency)
        await _close(desk, bill, used, ended)


async def _close(desk: Desk, bill: str, used: Used, ended: float) -> None:
    try:
        await desk.gateway.limiter.bills.close(desk.tenant.id, bill, used, ended)
    except ValkeyError as error:
        raise LimitsUnavailable from error


def _span(window: object) -> int:
    match = _WINDOW.fullmatch(window) if isinstance(window, str) else None
    if match is None:
        return DAY
    seconds = int(match[1]) * (DAY if match[2] == "d" else DAY // 24)
    return min(seconds, MOST_DAYS * DAY)
