"""Prices that a deployment has from a moment on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format

from catalog.ai_routing import in_force
from catalog.models import Deployment, PriceChange
from catalog.models.prices import PRICE_FIELDS
from catalog.price_checks import check_prices
from catalog.services import rows, tiers

COLUMNS = (*PRICE_FIELDS, "price_steps", "picture_prices", "batch_percent", "currency")


@transaction.atomic
def save_price_change(*, change: PriceChange) -> PriceChange:
    """Without ``since`` it begins now. Raises ValidationError by field, also for a change that has
    begun: the calls since then cost what it says."""
    tiers.check_ai()
    _check_not_begun(change)
    check_price_change(change)
    return rows.save(row=change)


@transaction.atomic
def delete_price_change(*, change: PriceChange) -> None:
    _check_not_begun(change)
    rows.delete(row=change)


def check_price_change(change: PriceChange) -> None:
    """Raises ValidationError for a moment that is gone, and for prices that cannot be."""
    now = timezone.now()
    if change.since is None:
        change.since = now
    elif change.since < now:
        message = (
            "This moment is gone, and calls keep what they have cost: enter a later one, or leave "
            "it empty to begin now."
        )
        raise ValidationError({"since": ValidationError(message, code="past")})
    check_prices(change)


def begun(change: PriceChange) -> bool:
    return not change._state.adding and change.since <= timezone.now()


def _check_not_begun(change: PriceChange) -> None:
    """By what is stored: the row at hand may have another moment by now."""
    stored = PriceChange.objects.filter(pk=change.pk).first()
    if stored is not None and begun(stored):
        message = (
            f"These prices hold since {_moment(stored.since)} and calls were paid by them: add "
            "other prices that begin later."
        )
        raise ValidationError({"since": ValidationError(message, code="past")})


def check_own_prices(deployment: Deployment) -> None:
    """Raises ValidationError where prices are changed that other ones have replaced."""
    stored = Deployment.objects.filter(pk=deployment.pk).first()
    if stored is None or not isinstance(current := in_force(stored), PriceChange):
        return
    message = (
        f"Other prices hold since {_moment(current.since)}, so this would change nothing: add "
        "prices that begin later."
    )
    errors: dict[str, Any] = {
        name: ValidationError(message, code="replaced")
        for name in COLUMNS
        if getattr(stored, name) != getattr(deployment, name)
    }
    if errors:
        raise ValidationError(errors)


def _moment(value: datetime) -> str:
    return date_format(timezone.localtime(value), "DATETIME_FORMAT")
