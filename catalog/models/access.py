"""Who may call: applications, their keys, plans and subscriptions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from catalog.models.apis import Api
from catalog.models.base import Row


class Application(Row):
    """A client of the tenant's APIs."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    contact = models.EmailField(blank=True)
    enabled = models.BooleanField(default=True, help_text="Off: all its keys are refused.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiKey(Row):
    """A secret by which an application is known. Only its digest is kept."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=80, blank=True)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def active(self) -> bool:
        now = timezone.now()
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class Plan(Row):
    """The terms of a subscription."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    needs_approval = models.BooleanField(
        default=True, help_text="Off: a subscription is approved as soon as it is requested."
    )
    enabled = models.BooleanField(default=True, help_text="Off: no new subscriptions.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Subscription(Row):
    """An application's use of an API under a plan. What was decided when is in ``events``."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        REVOKED = "revoked", "Revoked"

    application = models.ForeignKey(
        Application, on_delete=models.CASCADE, related_name="subscriptions"
    )
    api = models.ForeignKey(Api, on_delete=models.CASCADE, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "api"],
                condition=Q(status__in=["pending", "approved"]),
                name="one_open_subscription",
                violation_error_message="This application already has a subscription "
                "to this API that is pending or approved.",
            ),
        ]
        indexes = [models.Index(fields=["status", "-created_at"], name="subscription_status")]

    def __str__(self) -> str:
        return f"{self.application} → {self.api}"


class SubscriptionEvent(Row):
    """One step in a subscription's life: who did what, when and why."""

    class Action(models.TextChoices):
        REQUEST = "request", "Requested"
        APPROVE = "approve", "Approved"
        REJECT = "reject", "Rejected"
        REVOKE = "revoke", "Revoked"

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="events")
    action = models.CharField(max_length=10, choices=Action)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor_name or 'the system'}"
