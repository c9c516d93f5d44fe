"""Which tenants need publishing again, told without compiling any of them."""

from __future__ import annotations

import logging

from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet

from catalog import store
from catalog.publish import PUBLISHED_STATES, Outcome, publish
from tenants.models import SnapshotChange, Tenant

logger = logging.getLogger(__name__)


def every() -> QuerySet[Tenant]:
    """All tenants that have a snapshot."""
    return Tenant.objects.filter(state__in=PUBLISHED_STATES).exclude(schema_name="public")


def reconcile(*, full: bool = False) -> dict[Tenant, Outcome]:
    """Publishes tenants with changes not yet in force and those that the store lost.

    Two look-ups tell which, however many tenants there are. ``full`` compiles and compares
    every tenant, which also finds what was changed past the services. Tenants that are gone
    leave the store. Raises StoreError while the store cannot be reached.
    """
    entries = store.stored_all()
    noted = SnapshotChange.objects.filter(tenant=OuterRef("pk"))
    tenants = list(every().annotate(noted=Exists(noted)))
    outcomes = {}
    for tenant in tenants:
        if full or tenant.noted or str(tenant.pk) not in entries:
            try:
                outcomes[tenant] = publish(tenant)
            except DatabaseError:
                # One tenant's broken schema must not keep the others from being repaired.
                logger.exception("Publishing tenant %s failed", tenant.slug)
    known = {str(pk) for pk in Tenant.objects.values_list("pk", flat=True)}
    for tenant_id in entries.keys() - known:
        store.remove(tenant_id)
    return outcomes
