"""Members of a tenant and their roles.

``actor`` is the membership of whoever asks; None stands for the platform itself. The
tenant's row is locked first, so that two owners who leave at once cannot both go.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction

from tenants.models import Membership, Tenant, User
from tenants.selectors import tier_limit
from tenants.services.people import create_user

Role = Membership.Role


@transaction.atomic
def add_member(
    *, tenant: Tenant, user: User, role: str, actor: Membership | None = None
) -> Membership:
    """Adds an account that exists."""
    tenant = _lock(tenant)
    _check_actor(actor, tenant, role)
    if Membership.objects.filter(tenant=tenant, user=user).exists():
        raise ValidationError("This person is a member already.", code="member")
    limit = tier_limit(tenant, "max_members")
    if limit is not None and Membership.objects.filter(tenant=tenant).count() >= limit:
        raise ValidationError(
            f"The {tenant.tier} tier allows {limit} members. Remove one, or ask the platform's "
            "operator for a larger tier.",
            code="tier_limit",
        )
    return Membership.objects.create(tenant=tenant, user=user, role=role)


@transaction.atomic
def invite_member(
    *, tenant: Tenant, username: str, email: str, role: str, actor: Membership | None = None
) -> tuple[Membership, str | None]:
    """Adds a person by user name and e-mail; a new one gets a one-time password, returned here.

    An account that exists is added only if both agree, so that nobody is drawn into a
    tenant, or found on the platform, by guessing one of them.
    """
    user = User.objects.filter(username=username.strip()).first()
    password = None
    if user is None:
        if not email.strip():
            raise ValidationError(
                {"email": ValidationError("A new account needs an e-mail.", code="required")}
            )
        user, password = create_user(username=username, email=email)
    elif not user.email or user.email.lower() != email.strip().lower():
        raise ValidationError(
            {
                "username": ValidationError(
                    "This user name cannot be used with this e-mail. Choose another one.",
                    code="taken",
                )
            }
        )
    return add_member(tenant=tenant, user=user, role=role, actor=actor), password


@transaction.atomic
def change_role(*, membership: Membership, role: str, actor: Membership | None = None) -> None:
    """Gives a member another role."""
    tenant = _lock(membership.tenant)
    membership.refresh_from_db()
    _check_actor(actor, tenant, role, membership.role)
    if membership.role == Role.OWNER and role != Role.OWNER:
        _check_not_last_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove_member(*, membership: Membership, actor: Membership | None = None) -> None:
    """Ends a membership, and its tokens with it. The account stays."""
    tenant = _lock(membership.tenant)
    membership.refresh_from_db()
    _check_actor(actor, tenant, membership.role)
    if membership.role == Role.OWNER:
        _check_not_last_owner(membership)
    membership.delete()


def _lock(tenant: Tenant) -> Tenant:
    locked = Tenant.objects.select_for_update(of=("self",)).select_related("tier")
    return locked.get(pk=tenant.pk)


def _check_actor(actor: Membership | None, tenant: Tenant, *roles: str) -> None:
    """Whether the actor may give or take away the roles; raises if not."""
    if unknown := set(roles) - set(Role.values):
        raise ValidationError(
            {"role": ValidationError(f"There is no role {min(unknown)}.", code="role")}
        )
    if actor is None:
        return
    # Asked again here: the actor's own role may have changed since the request began.
    current = Membership.objects.filter(pk=actor.pk, tenant=tenant).first()
    if current is None or current.role not in (Role.OWNER, Role.ADMIN):
        raise ValidationError("Only an owner or an admin manages members.", code="forbidden")
    if Role.OWNER in roles and current.role != Role.OWNER:
        raise ValidationError("Only an owner makes or unmakes owners.", code="owners_only")


def _check_not_last_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(tenant_id=membership.tenant_id, role=Role.OWNER)
    if not owners.exclude(pk=membership.pk).exists():
        raise ValidationError(
            "This is the last owner. Make somebody else an owner first.", code="last_owner"
        )
