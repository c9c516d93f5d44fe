"""A column that holds a histogram."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models

from analytics import histogram


class HistogramField(models.Field):
    """A list of counts by bucket of ``analytics.histogram``, stored as the number that holds
    them, so that ``+`` and ``sum()`` in SQL add histograms up."""

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def from_db_value(self, value: Decimal | None, *_: Any) -> list[int] | None:
        return None if value is None else histogram.unpack(value)

    def get_prep_value(self, value: list[int] | None) -> Decimal | None:
        return None if value is None else Decimal(histogram.pack(dict(enumerate(value))))
