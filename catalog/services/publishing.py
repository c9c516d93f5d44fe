"""From a committed change to the gateways, within the request that made it.

``changed()`` notes the change in the same transaction (see ``tenants.SnapshotChange``), so
that ``catalog.reconcile`` repairs what a crash or an unreachable store left undone. After
the commit the tenant's snapshot is compiled and published once, however often ``changed()``
was called. Whatever goes wrong there never breaks the save; ``watch()`` tells what came
of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection, transaction

from catalog.publish import Outcome, publish
from tenants.models import SnapshotChange, Tenant

logger = logging.getLogger(__name__)

_watchers: ContextVar[list[Outcome] | None] = ContextVar("publishing_watchers", default=None)


class _AfterCommit:
    """Publishes one tenant. A type of its own, so that a second one is recognised."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.done = False

    def __call__(self) -> None:
        self.done = True
        try:
            outcome = publish(self.tenant)
        except Exception as error:  # the save is committed: nothing here may undo or hide that
            logger.exception("Publishing tenant %s failed", self.tenant.slug)
            outcome = Outcome.waiting(f"Publishing failed ({type(error).__name__}).")
        watcher = _watchers.get()
        if watcher is not None:
            watcher.append(outcome)


def changed(tenant: Tenant | None = None) -> None:
    """Publishes the tenant (otherwise the current one) once the transaction commits."""
    tenant = tenant or Tenant.objects.get(schema_name=connection.schema_name)
    for _, call, *_ in connection.run_on_commit:
        if isinstance(call, _AfterCommit) and call.tenant.pk == tenant.pk and not call.done:
            return
    with transaction.atomic():
        SnapshotChange.objects.create(tenant=tenant)
        transaction.on_commit(_AfterCommit(tenant))


@contextmanager
def watch() -> Iterator[list[Outcome]]:
    """Collects what came of each publication made inside the block, in order.

    For the admin and the management API: ``outcome.message`` is what to tell the user
    where ``outcome.in_effect`` is false.
    """
    outcomes: list[Outcome] = []
    token = _watchers.set(outcomes)
    try:
        yield outcomes
    finally:
        _watchers.reset(token)
