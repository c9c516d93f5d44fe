"""Hosts that lead to a tenant."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import transaction

from tenants import hooks
from tenants.models import Domain, Tenant

_host_name = RegexValidator(
    r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
    "Use a host name in lower case, such as api.example.org, with no port and no path.",
)


def add_domain(*, tenant: Tenant, domain: str) -> Domain:
    """Lets one more host lead to the tenant, in the console and in the gateway."""
    domain = domain.strip().lower().rstrip(".")
    try:
        _host_name(domain)
    except ValidationError as error:
        raise ValidationError({"domain": error}) from None
    row = Domain(domain=domain, tenant=tenant, is_primary=False)
    row.full_clean()
    with transaction.atomic():
        row.save()
        hooks.changed(tenant)
    return row


def remove_domain(*, domain: Domain) -> None:
    """Takes a host away; the one that the tenant was created with stays."""
    if domain.is_primary:
        raise ValidationError("A tenant's first host cannot be removed.", code="primary")
    tenant = domain.tenant
    with transaction.atomic():
        domain.delete()
        hooks.changed(tenant)
