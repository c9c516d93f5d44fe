"""What the platform itself needs before the first tenant."""

from __future__ import annotations

from django.db import transaction

from tenants import hooks
from tenants.models import AccountTier, Domain, Tenant

# A row's limits are set only when it is created: an operator may change them.
TIERS = [
    {
        "name": "Free",
        "description": "For trying things out.",
        "max_apis": 5,
        "max_applications": 10,
        "max_members": 3,
        "max_calls_per_minute": 600,
        "max_calls_per_month": 1_000_000,
        "max_calls_at_once": 20,
        "max_tokens_per_month": 5_000_000,
        "max_body_bytes": 1 << 20,
    },
    {
        "name": "Team",
        "description": "For a team in production.",
        "max_apis": 50,
        "max_applications": 200,
        "max_members": 25,
        "max_calls_per_minute": 60_000,
        "max_calls_at_once": 2_000,
        "max_body_bytes": 32 << 20,
    },
    {"name": "Enterprise", "description": "No limits."},
]


AT_ONCE = 50
"""A tier of more tenants is put into effect by the regular reconciliation."""


@transaction.atomic
def save_tier(*, tier: AccountTier) -> None:
    """Saves a tier and lets its limits take effect in its tenants."""
    tier.full_clean()
    tier.save()
    tenants = list(tier.tenants.exclude(schema_name="public")[: AT_ONCE + 1])
    if len(tenants) <= AT_ONCE:
        for tenant in tenants:
            hooks.changed(tenant)


@transaction.atomic
def ensure_tiers() -> dict[str, AccountTier]:
    """The tiers that the platform starts with, by name."""
    return {
        tier["name"]: AccountTier.objects.get_or_create(name=tier["name"], defaults=tier)[0]
        for tier in TIERS
    }


@transaction.atomic
def ensure_public(*, domain: str) -> Tenant:
    """The row by which django-tenants knows the platform's own host."""
    tenant, _ = Tenant.objects.get_or_create(
        schema_name="public",
        defaults={
            "name": "Platform",
            "slug": "public",
            "tier": ensure_tiers()["Enterprise"],
            "state": Tenant.State.ACTIVE,
            "progress": 100,
        },
    )
    Domain.objects.get_or_create(domain=domain, defaults={"tenant": tenant, "is_primary": True})
    return tenant
