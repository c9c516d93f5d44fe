"""Saving and deleting alert rules."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from analytics.alerts.evaluate import resolve
from analytics.models import AlertRule
from contract.addresses import private_host
from contract.secrets import Sealer
from tenants.models import Tenant

Metric = AlertRule.Metric
MOST_RULES = 100
SHORTEST_SECRET = 16


@transaction.atomic
def save_rule(*, rule: AlertRule, tenant: Tenant, secret: str | None = None) -> AlertRule:
    """Checks and saves. ``secret`` signs the webhook's requests: None keeps the one there is,
    an empty one takes it away. To be called in the tenant's schema; raises ValidationError."""
    rule.tenant_id = tenant.pk
    if rule.metric == Metric.SILENCE:
        rule.threshold = None
    rule.full_clean(validate_constraints=False)
    check_rule(rule, tenant, secret)
    if secret is not None:
        rule.webhook_secret = (
            sealer().seal(secret, context(rule)) if secret and rule.webhook_url else None
        )
    if not rule.webhook_url:
        rule.webhook_secret = None
    rule.save()
    if not rule.enabled:
        resolve(rule, at=timezone.now(), text="The rule was turned off.")
    return rule


@transaction.atomic
def delete_rule(*, rule: AlertRule) -> None:
    """What it has told stays; one that fires is resolved first."""
    resolve(rule, at=timezone.now(), text="The rule was deleted.")
    rule.delete()


def sealer() -> Sealer:
    return Sealer(",".join([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]))


def context(rule: AlertRule) -> str:
    """What a rule's sealed secret is bound to."""
    return f"webhook:{rule.tenant_id}:{rule.pk}"


def check_rule(rule: AlertRule, tenant: Tenant, secret: str | None) -> None:
    """Raises ValidationError by field for what a rule's fields, each in order, cannot be together
    or in this tenant."""
    if problems := _problems(rule, tenant, secret):
        raise ValidationError(
            {field: ValidationError(text, code=code) for field, (code, text) in problems.items()}
        )


def _problems(rule: AlertRule, tenant: Tenant, secret: str | None) -> dict[str, tuple[str, str]]:
    """By field: a code and a sentence."""
    found: dict[str, tuple[str, str]] = {}
    others = AlertRule.objects.filter(tenant_id=tenant.pk).exclude(pk=rule.pk)
    if others.filter(name=rule.name).exists():
        found["name"] = ("taken", "Another rule has this name.")
    elif rule._state.adding and others.count() >= MOST_RULES:
        found["name"] = ("tier_limit", f"A tenant has at most {MOST_RULES} alert rules.")
    if rule.metric != Metric.SILENCE and rule.threshold is None:
        found["threshold"] = ("required", "Say above which value it fires.")
    elif rule.metric == Metric.ERROR_RATE and rule.threshold >= 100:
        found["threshold"] = ("invalid", "An error rate of more than this never happens.")
    if not re.fullmatch(r"[A-Z]{3}", rule.currency):
        found["currency"] = ("invalid", "Use the currency's three capital letters, like USD.")
    for field, model in (("api_id", "Api"), ("application_id", "Application")):
        chosen = getattr(rule, field)
        rows = apps.get_model("catalog", model).objects
        if chosen is not None and not rows.filter(pk=chosen).exists():
            found[field] = ("invalid_choice", "There is no such thing in this tenant.")
    if rule.webhook_url and (problem := _of_address(rule.webhook_url, tenant)):
        found["webhook_url"] = problem
    if secret and (len(secret) < SHORTEST_SECRET or not secret.isprintable()):
        text = f"Use at least {SHORTEST_SECRET} printable characters."
        found["webhook_secret"] = ("invalid", text)
    return found


def _of_address(address: str, tenant: Tenant) -> tuple[str, str] | None:
    try:
        parts = urlsplit(address)
        usable = parts.port != 0 and not re.search(r"\s", address)
    except ValueError:
        return "invalid", "This is not an address."
    if not usable or parts.scheme not in ("http", "https") or not parts.hostname:
        return "invalid", "The address must look like https://alerts.example.com/hubpo."
    if parts.username or parts.password:
        return "invalid", "Leave user names and passwords out of the address."
    reason = private_host(address)
    if reason and not tenant.tier.private_upstreams:
        return "private_address", f"{reason} Your account tier allows public addresses only."
    return None
