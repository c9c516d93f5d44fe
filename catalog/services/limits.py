"""Limits, one by one or all those of one thing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from django.db import transaction

from catalog.models import Api, ApiKey, Application, Limit, Plan
from catalog.services import rows


@transaction.atomic
def save_limit(*, limit: Limit) -> Limit:
    """Raises ValidationError by field for what cannot be counted, or is limited already."""
    return rows.save(row=limit)


def replace_limits(
    *, of: Plan | Application | ApiKey | Api, place: str, wanted: Sequence[Limit]
) -> None:
    """Makes ``wanted`` the limits of ``of``, whose ``place`` is one of ``limits.PLACES``.

    Raises ValidationError with keys like ``limits[1].window``. Call it inside a transaction.
    """
    for limit in wanted:
        setattr(limit, place, of)
    rows.replace_children(name="limits", existing=list(of.limits.all()), wanted=wanted, key=kind_of)


def kind_of(limit: Limit) -> Hashable:
    """Equal for two limits of one thing that contradict each other."""
    return limit.measure, limit.window, limit.per, limit.currency
