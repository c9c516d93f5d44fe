"""How much of a limit is used now: the numbers that the gateways go by, read where they count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from catalog import store
from catalog.limit_counters import Counted, counted
from catalog.snapshot import compile_snapshot
from contract import keys
from contract.counters import read
from contract.periods import period_at
from contract.snapshot import Subscription, TenantSnapshot, decode
from tenants.models import Tenant

MOST = 100
"""Counters looked at for one limit. A plan may have more subscribers than a page can wait for."""


class Use(NamedTuple):
    """In units as gateways count them: money in micro-units. ``reserved`` is held for calls
    under way. ``resets_at`` is the end of the calendar period, or when all that was used in a
    sliding window is free again; None where nothing is."""

    counted: Counted
    used: int
    reserved: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int:
        return max(0, self.counted.limit.amount - self.used - self.reserved)

    @property
    def share(self) -> float:
        """Of the amount, 0 to 1 and beyond where a limit was lowered."""
        return (self.used + self.reserved) / self.counted.limit.amount


def in_force(tenant: Tenant) -> TenantSnapshot:
    """What the gateways go by now, also where their store has lost it. Raises StoreError."""
    blob = store.client().get(keys.snapshot_blob(str(tenant.pk)))
    return decode(blob) if blob else compile_snapshot(tenant, 0)


def read_all(snapshot: TenantSnapshot, found: Sequence[Counted]) -> list[Use]:
    """The use of each, in order, in one round trip. Raises StoreError."""
    if not found:
        return []
    seconds, micros = store.client().time()
    periods = {kind: period_at(kind, snapshot.time_zone, seconds) for kind in ("day", "month")}
    with store.client().pipeline(transaction=False) as pipe:
        for one in found:
            period = periods[one.limit.period].name if one.limit.period else ""
            name = one.name(snapshot.tenant_id, period)
            pipe.hgetall(name)
            pipe.hgetall(keys.limit_held(name))
        answers = pipe.execute()
    now = seconds * 1_000_000 + micros
    uses = []
    for one, counter, held in zip(found, answers[::2], answers[1::2], strict=True):
        reading = read(counter, held, one.limit.window, now)
        ends = periods[one.limit.period].end if one.limit.period else reading.free_at / 1e6
        resets_at = datetime.fromtimestamp(ends, UTC) if ends else None
        uses.append(Use(one, reading.used, reading.reserved, resets_at))
    return uses


def of_application(snapshot: TenantSnapshot, application_id: str) -> list[Counted]:
    """Those that count the application's calls, alone or among others'."""
    uses = [row for row in _approved(snapshot) if row.application_id == application_id]
    return _concerning(snapshot, application_id, uses)


def of_subscription(snapshot: TenantSnapshot, subscription_id: str) -> list[Counted]:
    """Those that count what its application calls under it; none while it is not approved."""
    for row in _approved(snapshot):
        if row.id == subscription_id:
            return _concerning(snapshot, row.application_id, [row])
    return []


def _approved(snapshot: TenantSnapshot) -> list[Subscription]:
    return [row for row in snapshot.subscriptions if row.status == "approved"]


def _concerning(
    snapshot: TenantSnapshot, application_id: str, uses: Sequence[Subscription]
) -> list[Counted]:
    """By the columns of usage records: the application's own calls have these values there."""
    possible = {
        "application_id": {application_id},
        "key_id": {key.id for key in snapshot.keys if key.application_id == application_id},
        "api_id": {row.api_id for row in uses},
        "plan_id": {row.plan_id for row in uses},
    }
    return [
        one
        for one in counted(snapshot)
        if all(value in possible[column] for column, value in one.ids)
    ]
