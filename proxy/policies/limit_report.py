"""``GET /v1/limits``: the limits that apply to the caller's application, and what is left.

A reserved path on every tenant's hosts: it needs a key, sent as ``X-API-Key`` or as a Bearer
token, and counts against nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from contract.counters import Reading
from contract.keys import user_digest
from contract.policies import Limit
from contract.snapshot import Api
from proxy.errors import MethodNotAllowed
from proxy.limits import Item, Limits
from proxy.limits.errors import LimitsUnavailable, UserRequired
from proxy.policies import end_user
from proxy.policies.limit_items import Rules
from proxy.valkey import ValkeyError

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, Caller, RouteRuntime, TenantRuntime

RESERVED = Api("", "Limits", "limits", "/v1/limits")
"""Its calls are recorded as those of no API."""

_encode = msgspec.json.Encoder().encode


async def serve(exchange: Exchange, gateway: Gateway) -> None:
    """Raises MethodNotAllowed, LimitsUnavailable."""
    if exchange.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(["GET", "HEAD"])
    caller: Caller = exchange.caller  # type: ignore[assignment]
    found = _applying(exchange, caller)
    told = []
    if found:
        limits = Limits(tuple(item for item, _ in found))
        try:
            readings = await gateway.limiter.readings(limits)
        except ValkeyError as error:
            raise LimitsUnavailable from error
        for (item, api), counter, reading in zip(found, limits.counters, readings, strict=True):
            end = -counter.window if item.period else reading.free_at / 1e6
            told.append(_tell(item, api, reading, end))
    body = _encode({"application": caller.application.name, "limits": told})
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await exchange.respond(200, headers, b"" if exchange.method == "HEAD" else body, len(body))


def _applying(exchange: Exchange, caller: Caller) -> list[tuple[Item, ApiRuntime]]:
    """Each counter once, with an API to which it applies."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    found: dict[tuple[str, ...], tuple[Item, ApiRuntime]] = {}
    for api, route in _open(caller, tenant):
        for item in _items(exchange, caller, api, route):
            same = (item.measure, item.subject, str(item.window), item.period, item.currency)
            known = found.get(same)
            if known is None or item.amount < known[0].amount:
                found[same] = (item, api)
    return list(found.values())


def _open(caller: Caller, tenant: TenantRuntime) -> Iterator[tuple[ApiRuntime, RouteRuntime]]:
    """What the application is subscribed to: each API, and routes with limits of their own."""
    for api in tenant.apis.values():
        subscription = caller.uses.get(api.id)
        if subscription is not None and subscription.status == "approved":
            yield api, api.base
            yield from ((api, api.ruled(route)) for route in api.api.routes if route.policies)


def _items(
    exchange: Exchange, caller: Caller, api: ApiRuntime, route: RouteRuntime
) -> tuple[Item, ...]:
    place, policies = caller.uses[api.id].rules(route, caller)
    limits = [(level, policy) for level, policy in policies if isinstance(policy, Limit)]
    rules = Rules(limits, place)
    user = ""
    if rules.by_user:
        try:
            user = user_digest(end_user.reader(place.user_from)(exchange))
        except UserRequired:
            rules = Rules([pair for pair in limits if pair[1].scope != "user"], place)
    return rules.items(caller.key_id, user)


def _tell(item: Item, api: ApiRuntime, reading: Reading, end: float) -> dict[str, Any]:
    units = {"concurrency": "calls", "cost": f"micro-{item.currency}"}
    return {
        "name": item.name,
        "measure": item.measure,
        "unit": units.get(item.measure, item.measure),
        "scope": item.scope,
        "api": api.api.name if item.scope in ("api", "subscription") else None,
        "amount": item.amount,
        "window_seconds": item.window or None,
        "period": item.period or None,
        "used": reading.used,
        "reserved": reading.reserved,
        "remaining": max(0, item.amount - reading.used - reading.reserved),
        "resets_at": datetime.fromtimestamp(end, UTC).isoformat() if end else None,
    }
