"""Trend reports, kept as they were written."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class TrendReport(models.Model):
    """What one period looked like beside the one before; ``body`` as in ``analytics.reports``.

    Days and weeks are those of ``time_zone``, the tenant's when the report was written.
    """

    class Kind(models.TextChoices):
        DAILY = "daily", "Daily"
        WEEKLY = "weekly", "Weekly"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant_id = models.UUIDField(editable=False)
    kind = models.CharField(max_length=8, choices=Kind, editable=False)
    period_start = models.DateField("period from", editable=False)
    time_zone = models.CharField(max_length=50, default="UTC", editable=False)
    demo = models.BooleanField(
        default=False, editable=False, help_text="Some of its figures are of demo calls."
    )
    body = models.JSONField(default=dict, editable=False)
    created_at = models.DateTimeField("written", default=timezone.now, editable=False)

    class Meta:
        ordering = ["-period_start", "kind"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "kind", "period_start"], name="one_report_per_period"
            ),
        ]

    def __str__(self) -> str:
        day = f"{self.period_start:%-d %B %Y}"
        return f"Week of {day}" if self.kind == self.Kind.WEEKLY else day
