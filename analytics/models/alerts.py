"""Alert rules, what became of them, and whether those to be told were reached."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

RULE_FIELDS = [
    "name",
    "metric",
    "threshold",
    "currency",
    "window_minutes",
    "min_calls",
    "for_minutes",
    "api_id",
    "application_id",
    "emails",
    "webhook_url",
    "enabled",
]
"""What who makes a rule says of it, but for the webhook's secret."""


class AlertRule(models.Model):
    """Watches one figure of the last ``window_minutes`` against a threshold.

    ``state`` is what the evaluation keeps: a rule that is pending is past its threshold,
    but not yet for ``for_minutes``.
    """

    class Metric(models.TextChoices):
        ERROR_RATE = "error_rate", "Error rate, %"
        LATENCY_P95 = "latency_p95", "Latency, 95th percentile, ms"
        COST = "cost", "Cost"
        SILENCE = "silence", "No calls"

    class State(models.TextChoices):
        OK = "ok", "OK"
        PENDING = "pending", "Pending"
        FIRING = "firing", "Firing"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant_id = models.UUIDField(editable=False)
    name = models.CharField(max_length=80)
    metric = models.CharField(max_length=12, choices=Metric)
    threshold = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="It fires above this: percent of calls answered with 5xx, milliseconds, or "
        "an amount of money. Leave it empty for “No calls”.",
    )
    currency = models.CharField(
        max_length=3, default="USD", help_text="For cost: only amounts in this currency count."
    )
    window_minutes = models.PositiveIntegerField(
        "window, minutes",
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(31 * 24 * 60)],
    )
    min_calls = models.PositiveIntegerField(
        "fewest calls",
        default=20,
        help_text="Error rate and latency of fewer calls than this say nothing.",
    )
    for_minutes = models.PositiveIntegerField(
        "for at least, minutes",
        default=0,
        validators=[MaxValueValidator(24 * 60)],
        help_text="It fires once the figure has been past the threshold for so long.",
    )
    api_id = models.UUIDField("API", null=True, blank=True)
    application_id = models.UUIDField("application", null=True, blank=True)
    emails = ArrayField(
        models.EmailField(), default=list, blank=True, verbose_name="e-mail addresses", size=20
    )
    webhook_url = models.CharField("webhook address", max_length=500, blank=True)
    webhook_secret = models.BinaryField(null=True, editable=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)
    state = models.CharField(max_length=8, choices=State, default=State.OK, editable=False)
    past_since = models.DateTimeField(null=True, editable=False)
    last_value = models.FloatField(null=True, editable=False)
    evaluated_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "name"], name="one_rule_per_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def signed(self) -> bool:
        """Its webhook's requests carry a signature."""
        return bool(self.webhook_secret)


class AlertEvent(models.Model):
    """A rule began or ceased to fire. Kept after the rule is gone."""

    class State(models.TextChoices):
        FIRING = "firing", "Firing"
        RESOLVED = "resolved", "Resolved"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant_id = models.UUIDField(editable=False)
    rule = models.ForeignKey(
        AlertRule, on_delete=models.SET_NULL, null=True, related_name="events", editable=False
    )
    rule_name = models.CharField("rule", max_length=80, editable=False)
    metric = models.CharField(max_length=12, choices=AlertRule.Metric, editable=False)
    state = models.CharField(max_length=8, choices=State, editable=False)
    value = models.FloatField(null=True, editable=False)
    threshold = models.FloatField(null=True, editable=False)
    text = models.CharField(max_length=300, editable=False)
    at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["tenant_id", "-at"], name="alert_events_by_time")]

    def __str__(self) -> str:
        return f"{self.rule_name}: {self.get_state_display().lower()}"


class AlertDelivery(models.Model):
    """One way by which an event is told, and how that went."""

    class Channel(models.TextChoices):
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField(editable=False)
    event = models.ForeignKey(AlertEvent, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=8, choices=Channel)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=300, blank=True)
    tried_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["event", "channel"]
        constraints = [
            models.UniqueConstraint(fields=["event", "channel"], name="one_delivery_per_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_status_display().lower()}"
