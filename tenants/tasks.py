"""Work in the background."""

from __future__ import annotations

from celery import shared_task
from django_tenants.utils import schema_context

from tenants import services
from tenants.models import Tenant


@shared_task(name="tenants.provision")
def provision(tenant_id: str) -> None:
    """Creates a tenant's schema; see the service."""
    with schema_context("public"):
        if tenant := Tenant.objects.filter(pk=tenant_id).first():
            services.provision(tenant)


@shared_task(name="tenants.purge_deleted")
def purge_deleted() -> list[str]:
    """Drops the tenants whose time to be brought back is over."""
    with schema_context("public"):
        return services.purge_deleted()
