"""The counters that a tenant's limits have in Valkey, by what they count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from contract import keys
from contract.policies import Limit
from contract.snapshot import TenantSnapshot

Ids = tuple[tuple[str, str], ...]


class Counted(NamedTuple):
    """One limit on one thing: whoever is counted (``scope`` and ``identifier``), because of
    the limit that is set on ``place`` (empty and ``place_id`` empty for the tenant).

    ``ids`` are the columns of usage records by which its calls are known.
    """

    limit: Limit
    place: str
    place_id: str
    scope: str
    identifier: str
    ids: Ids

    def name(self, tenant_id: str, period: str = "") -> str:
        """Of the counter; ``period`` is the name of the calendar period, for those that have."""
        limit = self.limit
        measure = f"cost-{limit.currency}" if limit.measure == "cost" else limit.measure
        span = period or (str(limit.window) if limit.window else "now")
        within = keys.limit_within(self.place, self.place_id, self.scope)
        subject = keys.limit_subject(self.scope, self.identifier, within=within)
        return keys.limit_counter(tenant_id, measure, subject, span)


def counted(snapshot: TenantSnapshot) -> Iterator[Counted]:
    """Every limit with everything it is counted for, but for end users: nobody knows them all."""
    things = _Things(snapshot)
    plain = {("api_id", api.id) for api in snapshot.apis if api.kind == "http"}
    for place, place_id, limit in placed(snapshot):
        for identifier, ids in things.of(limit.scope, place, place_id):
            if limit.measure in ("tokens", "cost") and not plain.isdisjoint(ids):
                continue  # such an API uses neither
            yield Counted(limit, place, place_id, limit.scope, identifier, ids)


def named(snapshot: TenantSnapshot) -> dict[str, str]:
    """What people call everything that can be counted, by id; keys have no name there."""
    names = {row.id: row.name for row in (*snapshot.apis, *snapshot.plans, *snapshot.applications)}
    for row in snapshot.subscriptions:
        names[row.id] = f"{names.get(row.application_id, '')} → {names.get(row.api_id, '')}"
    return names


def placed(snapshot: TenantSnapshot) -> Iterator[tuple[str, str, Limit]]:
    """Every limit with the place that it is set on, and the id of that."""
    places = [
        *(("api", row.id, row.policies) for row in snapshot.apis),
        *(("plan", row.id, row.policies) for row in snapshot.plans),
        *(("application", row.id, row.policies) for row in snapshot.applications),
        *(("key", row.id, row.policies) for row in snapshot.keys),
    ]
    for place, place_id, policies in [("", "", snapshot.policies), *places]:
        for policy in policies:
            if isinstance(policy, Limit):
                yield place, place_id, policy


class _Things:
    """What can be counted in a tenant, and which of it calls through what."""

    def __init__(self, snapshot: TenantSnapshot) -> None:
        self._snapshot = snapshot
        self._keys: dict[str, list[str]] = {}
        for key in snapshot.keys:
            self._keys.setdefault(key.application_id, []).append(key.id)
        self._uses = [row for row in snapshot.subscriptions if row.status == "approved"]

    def of(self, scope: str, place: str, place_id: str) -> Iterator[tuple[str, Ids]]:
        """(identifier, columns) of everything that ``scope`` names and that calls there."""
        within: Ids = ((f"{place}_id", place_id),) if place else ()
        match scope:
            case "tenant":
                yield "", ()
            case "api" | "plan" if place == scope:
                yield place_id, within
            case "api":
                for api in self._snapshot.apis:
                    yield api.id, (("api_id", api.id),)
            case "subscription":
                yield from self._subscriptions(place, place_id)
            case "application":
                for identifier in self._applications(place, place_id):
                    yield identifier, _merged(within, "application_id", identifier)
            case "key":
                for application in self._applications(place, place_id):
                    for identifier in self._keys.get(application, ()):
                        if place != "key" or identifier == place_id:
                            yield identifier, _merged(within, "key_id", identifier)

    def _subscriptions(self, place: str, place_id: str) -> Iterator[tuple[str, Ids]]:
        for row in self._uses:
            if place_id in ("", getattr(row, f"{place}_id", None)):
                ids = (
                    ("api_id", row.api_id),
                    ("application_id", row.application_id),
                    ("plan_id", row.plan_id),
                )
                yield row.id, ids

    def _applications(self, place: str, place_id: str) -> Iterator[str]:
        if place in ("plan", "api"):
            users = {row.application_id for row in self._uses if place_id == _id(row, place)}
            yield from sorted(users)
        elif place == "application":
            yield place_id
        elif place == "key":
            yield from (k.application_id for k in self._snapshot.keys if k.id == place_id)
        else:
            yield from (row.id for row in self._snapshot.applications)


def _id(row: object, place: str) -> str:
    return getattr(row, f"{place}_id")


def _merged(within: Ids, column: str, identifier: str) -> Ids:
    return tuple(sorted({*within, (column, identifier)}))
