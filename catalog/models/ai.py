"""AI providers, the models that the tenant offers, and where each is deployed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from catalog.models.apis import Api
from catalog.models.base import Row
from catalog.models.prices import PriceColumns
from catalog.models.routing import RoutingColumns
from catalog.validators import validate_address, validate_model_name, validate_quirks
from contract.presets import PRESETS


class Provider(Row):
    """An AI provider's endpoint."""

    name = models.CharField(max_length=80, unique=True)
    preset = models.CharField(
        "kind",
        max_length=20,
        choices=[(preset.name, preset.title) for preset in PRESETS.values()],
        default="compatible",
        help_text="Which provider it is: how it is called, and what it does not know.",
    )
    base_url = models.CharField(
        "base address",
        max_length=300,
        blank=True,
        validators=[validate_address],
        help_text="With the version segment, like https://api.example.com/v1. Empty: the kind's "
        "own address.",
    )
    settings = models.JSONField(
        default=dict,
        blank=True,
        help_text="What the kind asks for besides, like the region of Amazon Bedrock.",
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


class AIModel(Row, RoutingColumns):
    """A model under the name that applications use."""

    class Ability(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDINGS = "embeddings", "Embeddings"
        IMAGES = "images", "Pictures"
        SPEECH = "speech", "Speech"
        TRANSCRIPTION = "transcription", "Transcription"
        MODERATION = "moderation", "Moderation"
        RERANK = "rerank", "Reranking"

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


class Trait(models.TextChoices):
    """What a deployment can be told, beyond text."""

    VISION = "vision", "Pictures"
    AUDIO = "audio", "Sound"
    FILES = "files", "Files"
    TOOLS = "tools", "Tools"
    JSON_SCHEMA = "json_schema", "JSON schema"
    REASONING = "reasoning", "Thinking"


class Deployment(Row, PriceColumns):
    """A model at one provider, with its prices there."""

    model = models.ForeignKey(AIModel, on_delete=models.CASCADE, related_name="deployments")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="deployments")
    provider_model = models.CharField(
        "the provider's name for it", max_length=120, validators=[validate_model_name]
    )
    library = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="Its key in the library of models that it was added from.",
    )
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    enabled = models.BooleanField(default=True)
    priority = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="1 goes first."
    )
    region = models.CharField(
        max_length=40, blank=True, help_text="Where it computes, like EU, in your own words."
    )
    context_tokens = models.PositiveIntegerField(
        "context, in tokens", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_output_tokens = models.PositiveIntegerField(
        "longest answer, in tokens", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    abilities = ArrayField(
        models.CharField(max_length=20, choices=Trait),
        default=list,
        blank=True,
        help_text="None: not known, and nothing is kept from it.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The provider's own limit, which is not run into.",
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    based_on = models.CharField(
        "which model it is",
        max_length=120,
        blank=True,
        validators=[validate_model_name],
        help_text="Where the provider's name for it does not say, as at Azure: like gpt-5-mini. "
        "What that model cannot be told goes by it.",
    )
    quirks = models.JSONField(
        "what it cannot be told",
        default=dict,
        blank=True,
        validators=[validate_quirks],
        help_text="By parameter of OpenAI's chat format: drop, refuse, its name here, or send, "
        'whatever else is known of the provider. Like {"stop": "refuse", '
        '"max_completion_tokens": "max_tokens"}.',
    )

    class Meta:
        ordering = ["model", "provider"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "provider", "provider_model"], name="one_deployment_per_place"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} at {self.provider}"
