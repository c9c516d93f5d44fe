"""What others want to know about a tenant's life.

Apps above this one register plain functions from their ``AppConfig.ready``. They are
called after the commit, with the connection in whatever schema the change was made
from; one that fails is logged and does not keep the others from being called.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from tenants.models import Tenant

Changed = Callable[[Tenant], None]
Purged = Callable[[UUID], None]

_on_change: list[Changed] = []
_on_purge: list[Purged] = []


def on_change(callback: Changed) -> Changed:
    """Calls ``callback(tenant)`` when its state, tier, name or hosts have changed."""
    _on_change.append(callback)
    return callback


def on_purge(callback: Purged) -> Purged:
    """Calls ``callback(tenant_id)`` when a tenant is gone for good, schema and all."""
    _on_purge.append(callback)
    return callback


def changed(tenant: Tenant) -> None:
    """Announces a change once the current transaction is committed."""
    for callback in _on_change:
        _after_commit(_with_fresh(callback, tenant.pk))


def purged(tenant_id: UUID) -> None:
    """Announces that a tenant is gone once the current transaction is committed."""
    for callback in _on_purge:
        _after_commit(lambda callback=callback: callback(tenant_id))


def _after_commit(call: Callable[[], None]) -> None:
    # A plain function: Django names it in the log when it fails, and a partial has no name.
    transaction.on_commit(call, robust=True)


def _with_fresh(callback: Changed, tenant_id: UUID) -> Callable[[], None]:
    def call() -> None:
        if tenant := Tenant.objects.select_related("tier").filter(pk=tenant_id).first():
            callback(tenant)

    return call
