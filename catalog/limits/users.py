"""Counters of end users. Nobody knows them all, so those are filled that the records name."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from uuid import UUID

from catalog.limits.counters import Counted, placed
from catalog.limits.source import Records, Sum
from contract.periods import Period
from contract.policies import Limit
from contract.snapshot import TenantSnapshot

Limits = dict[str, list[Limit]]
"""By the id of the place that they are set on."""


def used(
    snapshot: TenantSnapshot, periods: dict[str, Period], records: Records
) -> Generator[tuple[str, str, int]]:
    """Each user's counters that hold anything: its name, the kind of its period, the amount.

    The records are gone through once for each kind of place (five at most), and told as they
    are read, whatever the number of users.
    """
    starts = {kind: datetime.fromtimestamp(one.start, UTC) for kind, one in periods.items()}
    for place, limits in _by_place(snapshot).items():
        sums = list(dict.fromkeys(_sum(one, starts) for many in limits.values() for one in many))
        # Calls of an API that needs no key meet no limits of plans, applications and keys.
        opened = [api.id for api in snapshot.apis if not api.key_required and place in ("", "api")]
        column = f"{place}_id" if place else ""
        found = records.used_by_users(UUID(snapshot.tenant_id), column, list(limits), sums, opened)
        for place_id, application, user, amounts in found:
            for limit in limits[place_id]:
                one = Counted(limit, place, place_id, "user", f"{application}:{user}", ())
                if amount := amounts[sums.index(_sum(limit, starts))]:
                    name = one.name(snapshot.tenant_id, periods[limit.period].name)
                    yield name, limit.period, amount


def _by_place(snapshot: TenantSnapshot) -> dict[str, Limits]:
    found: dict[str, Limits] = {}
    for place, place_id, limit in placed(snapshot):
        if limit.scope == "user" and limit.period:
            found.setdefault(place, {}).setdefault(place_id, []).append(limit)
    return found


def _sum(limit: Limit, starts: dict[str, datetime]) -> Sum:
    currency = limit.currency if limit.measure == "cost" else ""
    return Sum(limit.measure, starts[limit.period], currency)
