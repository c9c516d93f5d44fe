"""Reads about tenants that more than one place needs."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, QuerySet
from django.utils import timezone

from tenants.models import ManagementToken, Membership, Tenant, User

LIMITS = (
    "max_apis",
    "max_applications",
    "max_members",
    "max_calls_per_minute",
    "max_calls_per_month",
    "max_calls_at_once",
    "max_tokens_per_month",
    "max_body_bytes",
)

CLAIM_LASTS = timedelta(minutes=5)
"""A worker not heard of for this long has died, and another may take over."""

PATIENCE = timedelta(seconds=10)
"""How long a new tenant may wait for a worker before its page says that none came."""


def organisations() -> QuerySet[Tenant]:
    """All tenants but the platform itself, which django-tenants keeps as a row too."""
    return Tenant.objects.exclude(schema_name="public").select_related("tier")


def tenants_by_state() -> list[dict[str, object]]:
    """``state``, ``label`` and ``count`` of every state, also of those with no tenant."""
    rows = organisations().order_by().values_list("state").annotate(count=Count("pk"))
    counts = dict(rows)
    return [
        {"state": state.value, "label": state.label, "count": counts.get(state, 0)}
        for state in Tenant.State
    ]


def tier_limit(tenant: Tenant, name: str) -> int | None:
    """The tenant's limit of that name (one of ``LIMITS``); None is no limit."""
    if name not in LIMITS:
        raise KeyError(name)
    return getattr(tenant.tier, name)


def members(tenant: Tenant) -> QuerySet[Membership]:
    """The tenant's people and nobody else's."""
    return Membership.objects.filter(tenant_id=tenant.pk).select_related("user")


def tokens_seen_by(membership: Membership) -> QuerySet[ManagementToken]:
    """A member's own tokens; all of the tenant's for its owners and admins."""
    tokens = ManagementToken.objects.filter(membership__tenant_id=membership.tenant_id)
    if membership.role not in (Membership.Role.OWNER, Membership.Role.ADMIN):
        tokens = tokens.filter(membership=membership)
    return tokens.select_related("membership__user")


def operators() -> QuerySet[User]:
    """Who may use the operator's console."""
    return User.objects.filter(is_superuser=True, is_active=True)


def progress_of(tenant: Tenant) -> str:
    """One sentence on how far a tenant's creation is, or why it does not move."""
    if tenant.state != Tenant.State.CREATING:
        return tenant.progress_text
    now = timezone.now()
    if tenant.claimed_at is None and now - tenant.created_at > PATIENCE:
        return tenant.progress_text or (
            "No background worker has taken this up yet. Start one (celery -A config worker) "
            "and it goes on by itself, or try again here."
        )
    if tenant.claimed_at is not None and now - tenant.claimed_at > CLAIM_LASTS:
        return "The background worker that was creating this tenant has stopped. Try again."
    return tenant.progress_text or "Waiting for a background worker"
