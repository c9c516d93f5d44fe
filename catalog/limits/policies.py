"""Limits as gateways are told them."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from catalog.models import Limit
from contract import policies
from tenants.models import Tenant

Policies = dict[UUID | None, tuple[policies.Policy, ...]]
Per = Limit.Per

# window -> (seconds, period) of the contract
_WINDOWS = {
    "": (0, ""),
    "second": (1, ""),
    "minute": (60, ""),
    "hour": (3600, ""),
    "day": (86_400, ""),
    "calendar_day": (0, "day"),
    "calendar_month": (0, "month"),
}


def tier_policies(tenant: Tenant) -> tuple[policies.Policy, ...]:
    """The operator's limits. Of two on the same thing the tighter holds, so what the tenant
    sets itself can never loosen them."""
    tier, found = tenant.tier, []
    for amount, measure, window, period in (
        (tier.max_calls_per_minute, "calls", 60, ""),
        (tier.max_calls_per_month, "calls", 0, "month"),
        (tier.max_calls_at_once, "concurrency", 0, ""),
        (tier.max_tokens_per_month, "tokens", 0, "month"),
    ):
        if amount is not None:
            limit = policies.Limit(measure, amount, window=window, period=period, scope="tenant")
            found.append(limit)
    if tier.max_body_bytes is not None:
        found.append(policies.BodyLimit(tier.max_body_bytes))
    return tuple(found)


def by_place() -> Policies:
    """By the id of what they are set on; by None those of the whole tenant."""
    found: Policies = defaultdict(tuple)
    for row in Limit.objects.order_by("measure", "window", "per", "id"):
        found[row.plan_id or row.application_id or row.key_id or row.api_id] += (limit_policy(row),)
    return found


def fallbacks(found: Policies) -> set[UUID]:
    """The models that are asked where a budget is used up."""
    limits = [one for each in found.values() for one in each if isinstance(one, policies.Limit)]
    return {UUID(one.fallback) for one in limits if one.fallback}


def limit_policy(row: Limit) -> policies.Limit:
    """The limit as gateways are told it."""
    window, period = _WINDOWS[row.window]
    return policies.Limit(
        measure=row.measure,
        amount=row.units,
        window=window,
        period=period,
        scope=_scope(row),
        mode=row.mode,
        currency=row.currency or "USD",
        then=row.then if row.fallback_id else "refuse",
        fallback=str(row.fallback_id or ""),
    )


def _scope(row: Limit) -> policies.Scope:
    """An application's use of one API is its subscription, from whichever side it is seen."""
    if row.per == Per.ALL:
        return row.place or "tenant"
    if (row.place, row.per) in (("api", Per.APPLICATION), ("application", Per.API)):
        return "subscription"
    return row.per
