"""A tenant's life: created, suspended, resumed, deleted, brought back, gone.

Each step is one conditional UPDATE on the state it starts from, so of two people (or
two workers) who try the same thing at once one succeeds and the other is told.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from tenants import hooks, schemas
from tenants.models import AccountTier, Domain, Membership, Tenant, User
from tenants.selectors import CLAIM_LASTS

logger = logging.getLogger(__name__)

State = Tenant.State
RESERVED = {"public", "www", "localhost", "admin", "api", "console", "gateway", "operator"}


class ProvisioningError(Exception):
    """Why a tenant cannot be created; the operator reads the message."""


class ClaimLostError(Exception):
    """Another worker goes on with this tenant."""


def create_tenant(
    *,
    name: str,
    slug: str,
    tier: AccountTier,
    owner: User,
    time_zone: str = "UTC",
    start: bool = True,
) -> Tenant:
    """The row and its owner, at once; the schema follows in the background.

    With ``start=False`` nothing is sent to the worker and the caller runs ``provision``.
    """
    if slug in RESERVED:
        raise ValidationError(
            {"slug": ValidationError("This name is kept for the platform.", code="reserved")}
        )
    tenant = Tenant(name=name, slug=slug, schema_name=slug, tier=tier, time_zone=time_zone)
    tenant.full_clean()
    with transaction.atomic():
        tenant.save(force_insert=True)
        Membership.objects.create(tenant=tenant, user=owner, role=Membership.Role.OWNER)
        if start:
            transaction.on_commit(partial(_send_to_worker, tenant.pk))
    return tenant


def update_tenant(*, tenant: Tenant, **fields: Any) -> Tenant:
    """Changes ``name``, ``tier`` or ``time_zone``; ValidationError for what they may not be."""
    if unknown := fields.keys() - {"name", "tier", "time_zone"}:
        raise TypeError(f"A tenant's {sorted(unknown)} cannot be changed.")
    for field, value in fields.items():
        setattr(tenant, field, value)
    tenant.full_clean()
    with transaction.atomic():
        tenant.save(update_fields=list(fields))
        hooks.changed(tenant)
    return tenant


def retry_provisioning(*, tenant: Tenant) -> None:
    """Starts the creation again where it failed, or where no worker has hold of it."""
    with transaction.atomic():
        _move(
            tenant,
            Q(state=State.FAILED) | (Q(state=State.CREATING) & _unclaimed()),
            "This tenant is not waiting to be created.",
            state=State.CREATING,
            claimed_at=None,
            progress_text="",
            created_at=timezone.now(),
        )
        transaction.on_commit(partial(_send_to_worker, tenant.pk))


def provision(tenant: Tenant) -> bool:
    """Creates what is missing of a tenant: schema, tables, host. Says whether it is there.

    Any number of workers may be asked at once: one claims the row and the others leave.
    A failure is kept on the row with its reason and can be retried.
    """
    claim = _Claim(tenant.pk)
    if not claim.take():
        return Tenant.objects.filter(pk=tenant.pk, state=State.ACTIVE).exists()
    try:
        _build(tenant, claim)
    except ClaimLostError:
        return False
    # The outermost boundary of this work: whatever went wrong, the operator must read it.
    except Exception as error:
        logger.exception("Creating tenant %s failed", tenant.slug)
        claim.report(None, _reason(error), state=State.FAILED, claimed_at=None)
        return False
    tenant.refresh_from_db()
    hooks.changed(tenant)
    return True


def suspend_tenant(*, tenant: Tenant, reason: str) -> None:
    """Refuses the tenant's traffic and makes its console read-only."""
    if not reason.strip():
        raise ValidationError(
            {"reason": ValidationError("Say why: its people are told.", code="required")}
        )
    with transaction.atomic():
        _move(
            tenant,
            Q(state=State.ACTIVE),
            "Only an active tenant can be suspended.",
            state=State.SUSPENDED,
            suspended_reason=reason.strip()[:200],
        )
        hooks.changed(tenant)


def resume_tenant(*, tenant: Tenant) -> None:
    """Ends a suspension."""
    with transaction.atomic():
        _move(
            tenant,
            Q(state=State.SUSPENDED),
            "Only a suspended tenant can be resumed.",
            state=State.ACTIVE,
            suspended_reason="",
        )
        hooks.changed(tenant)


def request_deletion(*, tenant: Tenant, days: int | None = None) -> None:
    """Closes the tenant at once; its data is kept for ``days`` and then dropped."""
    days = settings.TENANT_DELETION_DAYS if days is None else days
    with transaction.atomic():
        _move(
            tenant,
            Q(state__in=[State.ACTIVE, State.SUSPENDED, State.FAILED])
            | (Q(state=State.CREATING) & _unclaimed()),
            "This tenant is being created or is already to be deleted.",
            state=State.DELETING,
            delete_after=timezone.now() + timedelta(days=days),
        )
        hooks.changed(tenant)


def undo_deletion(*, tenant: Tenant) -> None:
    """Brings the tenant back as it was, as long as ``delete_after`` is not over."""
    if tenant.progress < 100:
        state = State.FAILED
    else:
        state = State.SUSPENDED if tenant.suspended_reason else State.ACTIVE
    with transaction.atomic():
        _move(
            tenant,
            Q(state=State.DELETING, delete_after__gt=timezone.now()),
            "The time in which this deletion could be undone is over.",
            state=state,
            delete_after=None,
        )
        hooks.changed(tenant)


def purge_deleted() -> list[str]:
    """Drops each tenant whose time is over, for good. Returns their slugs."""
    due = Q(state=State.DELETING, delete_after__lte=timezone.now())
    purged = []
    for tenant_id in Tenant.objects.filter(due).values_list("pk", flat=True):
        try:
            with transaction.atomic():
                rows = Tenant.objects.select_for_update(skip_locked=True).filter(due, pk=tenant_id)
                if tenant := rows.first():
                    slug = tenant.slug
                    schemas.drop(tenant.schema_name)
                    tenant.delete()
                    hooks.purged(tenant_id)
                    purged.append(slug)
        except DatabaseError:
            # Somebody holds a lock in that schema; the next run comes to it again.
            logger.exception("Tenant %s could not be dropped", tenant_id)
    return purged


class _Claim:
    """One worker's hold on a tenant that is being created.

    ``claimed_at`` is renewed with each report. A report that no longer finds its own
    time there has lost the tenant to another worker and stops.
    """

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._time = timezone.now()

    def take(self) -> bool:
        return bool(
            Tenant.objects.filter(_unclaimed(), pk=self._tenant_id, state=State.CREATING).update(
                claimed_at=self._time, progress=1, progress_text="Creating the schema"
            )
        )

    def report(self, progress: int | None, text: str, **fields: Any) -> None:
        now = timezone.now()
        changes: dict[str, Any] = {"claimed_at": now, "progress_text": text[:200], **fields}
        if progress is not None:
            changes["progress"] = progress
        held = Tenant.objects.filter(
            pk=self._tenant_id, state=State.CREATING, claimed_at=self._time
        )
        if not held.update(**changes):
            raise ClaimLostError
        self._time = now


def _build(tenant: Tenant, claim: _Claim) -> None:
    def report(done: int, total: int, name: str) -> None:
        claim.report(5 + 90 * done // max(total, 1), f"Step {done + 1} of {total}: {name}")

    schemas.create(tenant.schema_name)
    schemas.migrate(tenant.schema_name, report)
    host = f"{tenant.slug}.{settings.DOMAIN}"
    domain, _ = Domain.objects.get_or_create(
        domain=host, defaults={"tenant": tenant, "is_primary": True}
    )
    if domain.tenant_id != tenant.pk:
        raise ProvisioningError(f"The host {host} already leads to another tenant.")
    claim.report(100, "", state=State.ACTIVE, claimed_at=None)


def _unclaimed() -> Q:
    return Q(claimed_at=None) | Q(claimed_at__lt=timezone.now() - CLAIM_LASTS)


def _move(tenant: Tenant, source: Q, problem: str, **changes: Any) -> None:
    """Updates the row if it is in the state ``source``; else raises with ``problem``."""
    if (
        not Tenant.objects.filter(source, pk=tenant.pk)
        .exclude(schema_name="public")
        .update(**changes)
    ):
        raise ValidationError(problem, code="state")
    for field, value in changes.items():
        setattr(tenant, field, value)


def _reason(error: Exception) -> str:
    """The first line of what went wrong, short enough for the row."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _send_to_worker(tenant_id: UUID) -> None:
    try:
        # A connection of its own, tried once: somebody waits for the page.
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            current_app.send_task(
                "tenants.provision", args=[str(tenant_id)], connection=connection, retry=False
            )
    except OperationalError as error:
        logger.warning("The worker's queue cannot be reached: %s", error)
        Tenant.objects.filter(pk=tenant_id, state=State.CREATING).update(
            progress_text="The background worker's queue cannot be reached. Check Valkey, "
            "then try again."
        )
