"""Deciding, once a minute, which rules fire and which resolve.

1. The figure of the window that ends with the last whole minute is read, demo calls left out.
2. The rule's row is locked. If this minute was decided already, by a run before or beside
   this one, nothing happens.
3. Where the rule begins or ceases to fire, the event and what is to be sent are written in
   the same transaction. Sending comes after the commit, and is repeated from these rows.

A rule resolves only once its figure is a tenth below the threshold, so that one that hovers
there does not fire again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from analytics import queries
from analytics.models import AlertDelivery, AlertEvent, AlertRule
from analytics.queries import Filters, QueryError, Range, Totals
from tenants.models import Tenant

log = logging.getLogger(__name__)

Metric, State = AlertRule.Metric, AlertRule.State
CALM = 0.9
"""The share of the threshold at which a firing rule resolves."""


@dataclass(frozen=True)
class Measured:
    """``value`` is None where there are too few calls to say anything."""

    value: float | None
    calls: int


def evaluate_all(now: datetime, send: Callable[[int], None]) -> list[AlertEvent]:
    """Decides every enabled rule of tenants that serve; ``send(delivery_id)`` is called after
    the commit for what there is to tell. One rule's failure is logged and stops no other."""
    at = now.replace(second=0, microsecond=0)
    serving = Tenant.objects.filter(state=Tenant.State.ACTIVE).values("pk")
    waiting = AlertRule.objects.filter(enabled=True, tenant_id__in=serving)
    events = []
    for rule in waiting.exclude(evaluated_at__gte=at).order_by("tenant_id", "pk"):
        try:
            event = evaluate(rule, at=at, send=send)
        except (DatabaseError, QueryError):
            log.exception("Alert rule %s could not be evaluated", rule.pk)
            continue
        if event is not None:
            events.append(event)
    return events


def evaluate(
    rule: AlertRule, *, at: datetime, send: Callable[[int], None] = lambda pk: None
) -> AlertEvent | None:
    """Decides one rule for the minute that ends ``at``; what began or ceased, if anything."""
    measured = measure(rule, at)
    with transaction.atomic():
        row = AlertRule.objects.select_for_update().filter(pk=rule.pk, enabled=True).first()
        if row is None or (row.evaluated_at is not None and row.evaluated_at >= at):
            return None
        change = _decide(row, measured.value, at)
        row.last_value, row.evaluated_at = measured.value, at
        row.save(update_fields=["state", "past_since", "last_value", "evaluated_at"])
        if change is None:
            return None
        return _tell(row, change, measured.value, at, describe(row, measured, change), send)


def measure(rule: AlertRule, at: datetime) -> Measured:
    """The figure of the window before ``at``: percent, milliseconds, money or calls."""
    window = Range(at - timedelta(minutes=rule.window_minutes), at)
    filters = Filters(api=rule.api_id, application=rule.application_id, include_demo=False)
    totals = queries.totals(rule.tenant_id, window, filters)
    return Measured(_figure(rule, totals), totals.calls)


def _figure(rule: AlertRule, totals: Totals) -> float | None:
    if rule.metric == Metric.SILENCE:
        return float(totals.calls)
    if rule.metric == Metric.COST:
        return totals.cost.get(rule.currency, 0) / 1_000_000
    if totals.calls < max(1, rule.min_calls):
        return None
    if rule.metric == Metric.ERROR_RATE:
        return 100 * totals.server_error_rate
    return (totals.p95_us or 0) / 1000


def _decide(rule: AlertRule, value: float | None, at: datetime) -> str | None:
    """Moves the rule's state; ``firing`` or ``resolved`` where that is to be told."""
    if rule.state == State.FIRING:
        if not _calm(rule, value):
            return None
        rule.state, rule.past_since = State.OK, None
        return AlertEvent.State.RESOLVED
    if not _past(rule, value):
        rule.state, rule.past_since = State.OK, None
        return None
    rule.past_since = rule.past_since or at
    if at - rule.past_since < timedelta(minutes=rule.for_minutes):
        rule.state = State.PENDING
        return None
    rule.state = State.FIRING
    return AlertEvent.State.FIRING


def _past(rule: AlertRule, value: float | None) -> bool:
    if value is None:
        return False
    return value == 0 if rule.metric == Metric.SILENCE else value > rule.threshold


def _calm(rule: AlertRule, value: float | None) -> bool:
    if value is None:
        return True
    if rule.metric == Metric.SILENCE:
        return value > 0
    return value <= rule.threshold * CALM


def resolve(rule: AlertRule, *, at: datetime, text: str) -> AlertEvent | None:
    """Ends a rule's firing for another reason than its figure; nobody is told."""
    before, rule.state, rule.past_since = rule.state, State.OK, None
    AlertRule.objects.filter(pk=rule.pk).update(state=State.OK, past_since=None)
    if before != State.FIRING:
        return None
    return _event(rule, AlertEvent.State.RESOLVED, rule.last_value, at, text)


def _event(rule: AlertRule, state: str, value: float | None, at: datetime, text: str) -> AlertEvent:
    return AlertEvent.objects.create(
        tenant_id=rule.tenant_id,
        rule=rule,
        rule_name=rule.name,
        metric=rule.metric,
        state=state,
        value=value,
        threshold=rule.threshold,
        text=text,
        at=at,
    )


def _tell(
    rule: AlertRule,
    state: str,
    value: float | None,
    at: datetime,
    text: str,
    send: Callable[[int], None],
) -> AlertEvent:
    event = _event(rule, state, value, at, text)
    for channel in channels(rule):
        delivery = AlertDelivery.objects.create(
            tenant_id=rule.tenant_id, event=event, channel=channel, tried_at=at
        )
        transaction.on_commit(lambda pk=delivery.pk: send(pk), robust=True)
    return event


def channels(rule: AlertRule) -> list[str]:
    """By which ways a rule tells."""
    ways = (
        (AlertDelivery.Channel.EMAIL, rule.emails),
        (AlertDelivery.Channel.WEBHOOK, rule.webhook_url),
    )
    return [channel for channel, address in ways if address]


def describe(rule: AlertRule, measured: Measured, state: str) -> str:
    """A sentence with the figure, its window and the threshold."""
    minutes = rule.window_minutes
    window = f"the last {minutes} minutes" if minutes > 1 else "the last minute"
    value = measured.value
    calls = f"{measured.calls:,} call{'' if measured.calls == 1 else 's'}"
    if rule.metric == Metric.SILENCE:
        return f"No calls in {window}." if state == "firing" else f"{calls} in {window}."
    if value is None:
        return f"Only {calls} in {window}, too few to say."
    limit = amount(rule, rule.threshold)
    subject = {
        Metric.ERROR_RATE: f"{amount(rule, value)} of {calls} failed in {window}",
        Metric.LATENCY_P95: f"95 % of {calls} in {window} took up to {amount(rule, value)}",
        Metric.COST: f"{amount(rule, value)} spent in {window}",
    }[Metric(rule.metric)]
    return f"{subject}; the threshold is {limit}."


def amount(rule: AlertRule, value: float) -> str:
    """A figure of the rule's metric with its unit."""
    return {
        Metric.ERROR_RATE: f"{value:.4g} %",
        Metric.LATENCY_P95: f"{value:,.4g} ms" if value < 10_000 else f"{value:,.0f} ms",
        Metric.COST: f"{value:,.6f}".rstrip("0").rstrip(".") + f" {rule.currency}",
        Metric.SILENCE: f"{value:,.0f} calls",
    }[Metric(rule.metric)]
