"""Telling of events, by the ways that the rule names, until it worked or was tried enough.

At least once: a process that dies right after sending sends again. The event's id is in
every message, so a receiver can tell.
"""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from analytics.alerts import rules, webhook
from analytics.alerts.evaluate import channels
from analytics.models import AlertDelivery, AlertEvent, AlertRule
from contract.secrets import SealError
from tenants.models import Tenant

Channel, Status = AlertDelivery.Channel, AlertDelivery.Status
TRIES = 3
FORGOTTEN = timedelta(minutes=3)
"""A delivery that waits for longer than this is taken up again: its task was lost."""


@dataclass(frozen=True)
class Outcome:
    channel: str
    delivered: bool
    text: str


def deliver(delivery_id: int) -> float | None:
    """Tries once. Seconds to wait before the next try; None where there is none to come."""
    with transaction.atomic():
        waiting = AlertDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        row = (
            waiting.filter(pk=delivery_id, status=Status.WAITING)
            .select_related("event__rule")
            .first()
        )
        if row is None:
            return None
        row.attempts += 1
        row.tried_at = timezone.now()
        outcome = _try(row)
        row.outcome = outcome.text[:300]
        if outcome.delivered:
            row.status = Status.DELIVERED
        elif row.attempts >= TRIES:
            row.status = Status.FAILED
        row.save()
    return 5.0 * 4 ** (row.attempts - 1) if row.status == Status.WAITING else None


def forgotten(now: datetime) -> list[int]:
    """Deliveries that nobody seems to be at."""
    rows = AlertDelivery.objects.filter(status=Status.WAITING, tried_at__lt=now - FORGOTTEN)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:100])


def test(rule: AlertRule) -> list[Outcome]:
    """Sends a test by each of the rule's ways, now, and tells how it went. Nothing is kept."""
    tenant = Tenant.objects.select_related("tier").get(pk=rule.tenant_id)
    now = timezone.now()
    message = {
        "id": str(uuid4()),
        "type": "alert.test",
        "at": now.isoformat(),
        "text": "This is a test: nothing is wrong.",
        "value": None,
    }
    return [_send(rule, tenant, channel, message) for channel in channels(rule)]


def _try(row: AlertDelivery) -> Outcome:
    event, rule = row.event, row.event.rule
    tenant = Tenant.objects.select_related("tier").filter(pk=row.tenant_id).first()
    if rule is None or tenant is None or row.channel not in channels(rule):
        return Outcome(row.channel, False, "The rule no longer tells by this way.")
    return _send(rule, tenant, row.channel, _message(event))


def _message(event: AlertEvent) -> dict[str, Any]:
    return {
        "id": str(event.pk),
        "type": f"alert.{event.state}",
        "at": event.at.isoformat(),
        "text": event.text,
        "value": event.value,
    }


def _send(rule: AlertRule, tenant: Tenant, channel: str, message: dict[str, Any]) -> Outcome:
    by = _by_mail if channel == Channel.EMAIL else _by_webhook
    try:
        return Outcome(channel, True, by(rule, tenant, message))
    except webhook.NotDelivered as error:
        return Outcome(channel, False, str(error))
    except SealError as error:
        return Outcome(channel, False, str(error))
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(channel, False, f"The mail server could not be used: {error}")


def _by_mail(rule: AlertRule, tenant: Tenant, message: dict[str, Any]) -> str:
    state = message["type"].partition(".")[2]
    text = (
        f"{message['text']}\n\n"
        f"Rule: {rule.name}\nTenant: {tenant.name}\nState: {state}\nAt: {message['at']}\n"
        f"Event: {message['id']}\n"
    )
    subject = " ".join(f"{tenant.name}: {rule.name} ({state})".split())
    mail = EmailMessage(subject=subject, body=text, to=list(rule.emails))
    mail.send()
    return f"Sent to {', '.join(rule.emails)}."


def _by_webhook(rule: AlertRule, tenant: Tenant, message: dict[str, Any]) -> str:
    secret = ""
    if rule.webhook_secret:
        secret = rules.sealer().open(bytes(rule.webhook_secret), rules.context(rule))
    payload = message | {
        "tenant": tenant.slug,
        "rule": {
            "id": str(rule.pk),
            "name": rule.name,
            "metric": rule.metric,
            "threshold": rule.threshold,
            "window_minutes": rule.window_minutes,
        },
    }
    status = webhook.send(
        rule.webhook_url,
        payload,
        secret=secret,
        private_ok=tenant.tier.private_upstreams,
        now=timezone.now(),
    )
    return f"It answered with {status}."
