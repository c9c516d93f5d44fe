"""How calls of a model are spread over its deployments."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models

from catalog.models.base import Row


class Strategy(models.TextChoices):
    WEIGHTED = "weighted", "In turn, by weight"
    PRIORITY = "priority", "By priority"
    LOWEST_COST = "lowest_cost", "The cheapest"
    FIRST_TOKEN = "first_token", "The quickest to begin"
    TOKENS_PER_SECOND = "tokens_per_second", "The quickest to write"
    LEAST_BUSY = "least_busy", "The least busy"
    HEADROOM = "headroom", "The most left under its limits"


QUICKEST = (Strategy.FIRST_TOKEN, Strategy.TOKENS_PER_SECOND)
"""Those that have ``within_percent`` and ``explore``."""


class Unsupported(models.TextChoices):
    DECLARED = "declared", "by its rule: dropped or refused"
    DROP = "drop", "dropped, and said so"
    REFUSE = "refuse", "refused"


class OnBreak(models.TextChoices):
    ERROR = "error", "ends with an error"
    CONTINUE = "continue", "is carried on by the next deployment"


class RoutingColumns(models.Model):
    strategy = models.CharField(max_length=20, choices=Strategy, default=Strategy.WEIGHTED)
    within_percent = models.PositiveSmallIntegerField(
        "as good as the quickest, %",
        default=10,
        validators=[MaxValueValidator(1000)],
        help_text="Deployments that are slower by no more than this take turns with the quickest.",
    )
    explore = models.PositiveIntegerField(
        "one try in",
        default=50,
        validators=[MaxValueValidator(1_000_000)],
        help_text="One call in so many goes to a deployment in turn, so that one that has become "
        "quicker is noticed. 0: none.",
    )
    fallbacks = ArrayField(
        models.UUIDField(),
        default=list,
        blank=True,
        help_text="Models that are asked once all deployments of this one have failed, in order.",
    )
    unsupported = models.CharField(
        "a parameter that the provider lacks is",
        max_length=10,
        choices=Unsupported,
        default=Unsupported.DECLARED,
    )
    regions = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="Only deployments in these regions are asked. Empty: all.",
    )
    on_break = models.CharField(
        "a stream that breaks off",
        max_length=10,
        choices=OnBreak,
        default=OnBreak.ERROR,
        help_text="Text is carried on where it ends, as one answer; each deployment's part costs "
        "its own price. Calls of tools and structured output end with an error in any case.",
    )
    compare_with = models.ForeignKey(
        "catalog.AIModel",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="+",
        help_text="What each call saves is reckoned at the price of this model's dearest "
        "deployment; it may be the model itself. None: nothing is reckoned.",
    )

    class Meta:
        abstract = True


class RoutingRule(Row):
    """Where all conditions hold, only some deployments are asked, or another model is. The first
    rule that holds decides."""

    model = models.ForeignKey(
        "catalog.AIModel", on_delete=models.CASCADE, related_name="routing_rules"
    )
    position = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=80)
    conditions = models.JSONField(
        default=list, blank=True, help_text="All of them must hold. None: the rule always holds."
    )
    deployments = models.ManyToManyField("catalog.Deployment", blank=True, related_name="+")
    target = models.ForeignKey(
        "catalog.AIModel",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="model to ask instead",
    )

    class Meta:
        ordering = ["position", "created_at"]

    def __str__(self) -> str:
        return self.name
