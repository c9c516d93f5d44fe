"""Filling the calendar counters of tenants whose marks are missing, as after a loss of Valkey."""

from __future__ import annotations

import logging
from time import monotonic, sleep, time

from django.db import DatabaseError
from django_tenants.utils import tenant_context

from catalog import store
from catalog.limits import fill as limit_fill
from catalog.limits.fill import NOTHING, read_mark, set_mark
from catalog.limits.source import records
from catalog.models import Limit
from catalog.reconcile import every
from catalog.snapshot import compile_snapshot
from contract import keys
from tenants.models import Tenant

logger = logging.getLogger(__name__)

RECORDED_SECONDS = 20.0
"""How long one run waits for the stream's entries to be recorded before it gives up."""


def rebuild_lost() -> list[Tenant]:
    """Fills the counters of tenants that have lost theirs or are due for the second time.

    Runs every two seconds; as long as nothing is lost it costs one look at the marks. Raises
    StoreError.
    """
    tenants = list(every().select_related("tier"))
    with store.client().pipeline(transaction=False) as pipe:
        for tenant in tenants:
            pipe.get(keys.limits_rebuilt(str(tenant.pk)))
        marks = [read_mark(value) for value in pipe.execute()]
    lost = [tenant for tenant, mark in zip(tenants, marks, strict=True) if mark is None]
    due = [t for t, mark in zip(tenants, marks, strict=True) if mark and 0 < mark[1] <= time()]
    if lost and not _all_recorded():
        logger.warning("Counters of limits wait for usage to be recorded; tried again soon.")
        lost = []
    for tenant in [*lost, *due]:
        try:
            rebuild(tenant, again=tenant in lost)
        except (DatabaseError, ValueError):
            # One tenant's broken schema must not keep the others' counters empty.
            logger.exception("The counters of tenant %s could not be filled", tenant.slug)
    return [*lost, *due]


def rebuild(tenant: Tenant, *, again: bool) -> int:
    """Fills the tenant's counters and sets its mark; returns how many of them hold any use."""
    with tenant_context(tenant):
        if not _has_calendar_limits(tenant):
            set_mark(str(tenant.pk), NOTHING)
            return 0
        snapshot = compile_snapshot(tenant, 0)
    if again:
        return limit_fill.fill_twice(snapshot)
    filled = limit_fill.fill(snapshot)
    set_mark(snapshot.tenant_id, limit_fill.kinds_of(snapshot))
    return filled


def _all_recorded() -> bool:
    """Waits until what is in the stream now is in the tables."""
    newest, deadline = records().newest_entry(), monotonic() + RECORDED_SECONDS
    while not records().recorded_up_to(newest):
        if monotonic() > deadline:
            return False
        sleep(0.1)
    return True


def _has_calendar_limits(tenant: Tenant) -> bool:
    """Two look-ups spare most tenants from being compiled."""
    tier = tenant.tier
    if tier.max_calls_per_month is not None or tier.max_tokens_per_month is not None:
        return True
    windows = (Limit.Window.CALENDAR_DAY, Limit.Window.CALENDAR_MONTH)
    return Limit.objects.filter(window__in=windows).exists()
