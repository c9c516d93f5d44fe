"""AI providers, the models that the tenant offers, and where each is deployed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from catalog.models.apis import Api
from catalog.models.base import Row
from catalog.validators import validate_address, validate_model_name


class Provider(Row):
    """An AI provider's endpoint."""

    class WireFormat(models.TextChoices):
        OPENAI = "openai", "OpenAI-compatible"

    name = models.CharField(max_length=80, unique=True)
    wire_format = models.CharField(max_length=20, choices=WireFormat, default=WireFormat.OPENAI)
    base_url = models.CharField(
        "base address",
        max_length=300,
        validators=[validate_address],
        help_text="With the version segment, like https://api.example.com/v1.",
    )
    needs_credential = models.BooleanField(
        default=True, help_text="Off for providers that ask for no key, like a local server."
    )
    first_byte_timeout = models.FloatField(
        "first byte time-out, s", default=300, validators=[MinValueValidator(0.1)]
    )
    idle_timeout = models.FloatField(
        "idle time-out, s", default=120, validators=[MinValueValidator(0.1)]
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProviderCredential(Row):
    """A provider's secret, sealed. ``hint`` is its last four characters."""

    provider = models.OneToOneField(Provider, on_delete=models.CASCADE, related_name="credential")
    sealed = models.BinaryField(editable=False)
    hint = models.CharField(max_length=4, editable=False)

    def __str__(self) -> str:
        return f"…{self.hint}"


class AIModel(Row):
    """A model under the name that applications use."""

    class Ability(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDINGS = "embeddings", "Embeddings"

    name = models.CharField(max_length=120, unique=True, validators=[validate_model_name])
    description = models.TextField(blank=True)
    abilities = ArrayField(models.CharField(max_length=20, choices=Ability), default=list)
    apis = models.ManyToManyField(
        Api,
        related_name="models",
        blank=True,
        limit_choices_to={"kind": Api.Kind.AI},
        verbose_name="offered through",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "AI model"

    def __str__(self) -> str:
        return self.name


class Deployment(Row):
    """A model at one provider, with its prices there per million tokens."""

    model = models.ForeignKey(AIModel, on_delete=models.CASCADE, related_name="deployments")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="deployments")
    provider_model = models.CharField(
        "the provider's name for it", max_length=120, validators=[validate_model_name]
    )
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    enabled = models.BooleanField(default=True)
    input_price = models.DecimalField(
        "input, per million tokens",
        max_digits=14,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty: unknown, and calls are recorded without a cost.",
    )
    output_price = models.DecimalField(
        "output, per million tokens",
        max_digits=14,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    currency = models.CharField(max_length=3, default="USD")

    class Meta:
        ordering = ["model", "provider"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "provider", "provider_model"], name="one_deployment_per_place"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} at {self.provider}"
