"""Publishing in the background: what a request's own publication missed."""

from __future__ import annotations

from celery import shared_task

from catalog import store
from catalog.limits.rebuild import rebuild_lost
from catalog.publish import publish
from catalog.reconcile import reconcile
from tenants.models import Tenant

REBUILD_LOCK = "hubpo:limits:rebuild"
REBUILD_SECONDS = 60.0
"""How long nobody fills counters after a worker was killed while it did."""


@shared_task(name="catalog.publish_tenant")
def publish_tenant(tenant_id: str) -> None:
    """Publishes one tenant, if it is still there."""
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is not None:
        publish(tenant)


@shared_task(name="catalog.reconcile")
def reconcile_changes() -> None:
    """Repairs what is known to be behind; runs every half minute."""
    reconcile()


@shared_task(name="catalog.reconcile_all")
def reconcile_all() -> None:
    """Compares everything; runs every hour."""
    reconcile(full=True)


@shared_task(name="catalog.rebuild_limits")
def rebuild_limits() -> None:
    """Fills calendar counters that were lost with Valkey; looks every two seconds."""
    lock = store.client().lock(REBUILD_LOCK, timeout=REBUILD_SECONDS, thread_local=False)
    if not lock.acquire(blocking=False):
        return
    try:
        rebuild_lost()
    finally:
        if lock.owned():
            lock.release()
