"""The demo's operator, tenant and members. Every password is generated, none has a default."""

from __future__ import annotations

from django.conf import settings

from tenants import services
from tenants.models import AccountTier, Membership, Tenant, User

SLUG = "demo"


class DemoError(Exception):
    """The demo cannot be made; the message says why."""


def tenant(owner: User) -> tuple[Tenant, bool]:
    """The demo tenant, ready to be filled, and whether it was created just now."""
    found = Tenant.objects.filter(slug=SLUG).first()
    created = found is None
    if found is None:
        tier, _ = AccountTier.objects.get_or_create(
            name="Demo",
            defaults={
                "description": "No limits, and upstreams on this machine.",
                "private_upstreams": True,
            },
        )
        found = services.create_tenant(name="Demo", slug=SLUG, tier=tier, owner=owner, start=False)
    elif found.state == Tenant.State.FAILED:
        services.retry_provisioning(tenant=found)
    if found.state in (Tenant.State.CREATING, Tenant.State.FAILED) and not services.provision(
        found
    ):
        found.refresh_from_db()
        raise DemoError(f"The demo tenant could not be created: {found.progress_text}")
    found.refresh_from_db()
    return found, created


def person(username: str, *, reset: bool) -> tuple[User, str | None]:
    """An account and its password; None where it is there already and is not to be reset."""
    user = User.objects.filter(username=username).first()
    if user is None:
        return services.create_user(
            username=username, email=f"{username}@{SLUG}.{settings.DOMAIN}", one_time=False
        )
    return user, _reset(user) if reset else None


def operator(*, reset: bool) -> tuple[User, str | None]:
    """An operator and the password, if it was made here just now or is to be reset.

    Only the account that this command itself makes is ever reset.
    """
    services.ensure_public(domain=settings.DOMAIN)
    services.ensure_tiers()
    user, password = services.ensure_operator()
    if password is None and reset and user.username == "operator":
        password = _reset(user)
    return user, password


def _reset(user: User) -> str:
    password = services.reset_password(user=user)
    # It was generated for whoever runs this command and goes to no one else.
    user.must_change_password = False
    user.save(update_fields=["must_change_password"])
    return password


def membership(tenant: Tenant, user: User, role: str) -> Membership:
    """The user's membership, made where there is none; a role given since is kept."""
    found = Membership.objects.filter(tenant=tenant, user=user).first()
    return found or services.add_member(tenant=tenant, user=user, role=role)


def token(membership: Membership) -> str:
    """A management token in place of the demo's one before."""
    for old in membership.tokens.filter(name="Demo"):
        services.revoke_token(token=old)
    return services.issue_token(membership=membership, name="Demo")[1]
