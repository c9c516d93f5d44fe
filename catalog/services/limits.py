"""Limits, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Hashable

from django.db import transaction

from catalog.models import Limit
from catalog.services import rows


@transaction.atomic
def save_limit(*, limit: Limit) -> Limit:
    """Raises ValidationError by field for what cannot be counted, or is limited already."""
    return rows.save(row=limit)


def kind_of(limit: Limit) -> Hashable:
    """Equal for two limits of one thing that contradict each other."""
    return limit.measure, limit.window, limit.per, limit.currency
