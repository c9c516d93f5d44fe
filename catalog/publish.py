"""Compile, validate, skip what is unchanged, store, announce, and keep a history.

One publisher at a time for each tenant, by an advisory lock: versions are given out and
stored in order. Each compiles after it has the lock, in a view of the tables of its own, so
the last to publish has seen every change committed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from django.db import connection, transaction
from django.db.models import Max
from django_tenants.utils import tenant_context

from catalog import store
from catalog.limits import fill as limit_fill
from catalog.models import Publication
from catalog.snapshot import compile_snapshot
from catalog.snapshot_checks import problems
from contract.snapshot import TenantSnapshot, encode
from tenants.models import SnapshotChange, Tenant

KEPT = 200
"""Publications kept for each tenant."""

Status = Publication.Status

# States in which a tenant's snapshot is in the store; the rest have no schema yet.
PUBLISHED_STATES = (Tenant.State.ACTIVE, Tenant.State.SUSPENDED, Tenant.State.DELETING)


@dataclass(frozen=True)
class Outcome:
    """What came of one publication.

    ``status`` is ``published``, ``unchanged`` (what is in force is right already),
    ``refused`` (validation failed, the former snapshot stays) or ``waiting`` (it could not
    be stored and will be tried again).
    """

    status: str
    version: int = 0
    problem: str = ""

    @classmethod
    def waiting(cls, problem: str) -> Outcome:
        return cls(Status.WAITING, problem=problem)

    @property
    def in_effect(self) -> bool:
        return self.status in (Status.PUBLISHED, "unchanged")

    @property
    def message(self) -> str:
        """One sentence or more for the person who saved."""
        if self.status == Status.REFUSED:
            return f"Saved, but not in effect: the gateway keeps what it had. {self.problem}"
        if self.status == Status.WAITING:
            return (
                "Saved. It will be in effect when the gateway's store is back. " + self.problem
            ).strip()
        return "In effect."


def publish(tenant: Tenant) -> Outcome:
    """Brings the tenant's snapshot in the store up to date.

    Raises only what the database raises; a store that cannot be reached is an outcome.
    """
    with tenant_context(tenant), _alone(tenant):
        current = Tenant.objects.select_related("tier").filter(pk=tenant.pk).first()
        if current is None or current.state not in PUBLISHED_STATES:
            return Outcome("unchanged")
        # Those noted up to here are in the tables that are read next.
        changes = list(SnapshotChange.objects.filter(tenant=current).values_list("pk", flat=True))
        outcome = _publish(current)
        if outcome.status != Status.WAITING:
            SnapshotChange.objects.filter(pk__in=changes).delete()
        return outcome


def _publish(tenant: Tenant) -> Outcome:
    tenant_id = str(tenant.pk)
    try:
        in_force, digest = store.stored(tenant_id)
        there = bool(in_force) and store.has_blob(tenant_id)
    except store.StoreError as error:
        return _record(Status.WAITING, _next_version(0), problem=_cause(error))
    snapshot = _compile(tenant, in_force)
    if found := problems(snapshot):
        return _record(Status.REFUSED, _next_version(in_force), problem="\n".join(found))
    if there and _digest(encode(snapshot)) == digest:
        return Outcome("unchanged", in_force)
    version = _next_version(in_force)
    blob = encode(msgspec.structs.replace(snapshot, version=version))
    try:
        fill = limit_fill.due(snapshot, first=not _published_before())
        if not store.put(tenant_id, version, _digest(blob), blob):
            return Outcome.waiting("A newer version is in force already.")
        if fill:
            limit_fill.fill_twice(snapshot)
    except store.StoreError as error:
        return _record(Status.WAITING, version, problem=_cause(error))
    return _record(Status.PUBLISHED, version, digest=_digest(blob), size=len(blob))


def withdraw(tenant_id: str) -> None:
    """Takes a tenant that is gone out of the store. Raises StoreError."""
    store.remove(tenant_id)


def _cause(error: Exception) -> str:
    return f"The store says: {error}"


def _digest(blob: bytes) -> str:
    return sha256(blob).hexdigest()


def _compile(tenant: Tenant, version: int) -> TenantSnapshot:
    """In one view of all tables. Within a caller's transaction that view is the caller's."""
    if connection.in_atomic_block:
        return compile_snapshot(tenant, version)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return compile_snapshot(tenant, version)


def _published_before() -> bool:
    return Publication.objects.filter(status=Status.PUBLISHED).exists()


def _next_version(in_force: int) -> int:
    """Above all that were ever given out, here or in a store that outlived this database."""
    last = Publication.objects.aggregate(last=Max("version"))["last"] or 0
    return max(last, in_force) + 1


def _record(
    status: str, version: int, *, problem: str = "", digest: str = "", size: int = 0
) -> Outcome:
    """Adds to the history, unless its newest row says the same already."""
    newest = Publication.objects.first()
    if newest and status != Status.PUBLISHED and newest.status == status:
        newest.problem = problem
        newest.save()
        return Outcome(status, newest.version, problem)
    Publication.objects.create(
        version=version, status=status, problem=problem, digest=digest, size=size
    )
    oldest = Publication.objects.values_list("version", flat=True)[KEPT:][:1]
    for last in oldest:
        Publication.objects.filter(version__lte=last).delete()
    return Outcome(status, version, problem)


@contextmanager
def _alone(tenant: Tenant) -> Iterator[None]:
    """Holds the tenant's publishing lock, which a lost connection gives back."""
    key = int.from_bytes(tenant.pk.bytes[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [key])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
