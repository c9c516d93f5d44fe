"""What a tenant publishes: APIs and their routes."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog.models.base import Row
from catalog.models.upstreams import Upstream
from catalog.validators import (
    METHODS,
    validate_header_name,
    validate_listen_path,
    validate_query_name,
    validate_route_path,
    validate_user_from,
)


class Api(Row):
    """One API under one listen path.

    ``http`` forwards to an upstream, ``ai`` offers models below ``/v1``, ``prompt``
    answers with a prompt. Only published APIs are served.
    """

    class Kind(models.TextChoices):
        HTTP = "http", "HTTP"
        AI = "ai", "AI models"
        PROMPT = "prompt", "Prompt"

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        RETIRED = "retired", "Retired"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.HTTP)
    description = models.TextField(blank=True)
    version = models.CharField(max_length=30, blank=True, help_text="For people, like 2.1.")
    listen_path = models.CharField(
        max_length=200,
        validators=[validate_listen_path],
        help_text="Calls to this path and below belong to the API, like /orders. "
        "AI model APIs always use /v1.",
    )
    hosts = ArrayField(
        models.CharField(max_length=253),
        default=list,
        blank=True,
        help_text="Of the tenant's own host names. None chosen: it answers on all of them.",
    )
    upstream = models.ForeignKey(
        Upstream, on_delete=models.PROTECT, null=True, blank=True, related_name="apis"
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    key_required = models.BooleanField(
        "API key required", default=True, help_text="Off: anybody may call it."
    )
    key_header = models.CharField(
        max_length=60,
        default="X-API-Key",
        validators=[validate_header_name],
        help_text="Authorization: Bearer is accepted as well.",
    )
    key_query = models.CharField(
        "key query parameter",
        max_length=60,
        blank=True,
        validators=[validate_query_name],
        help_text="Empty: keys in addresses are not accepted, since addresses get logged.",
    )
    user_from = models.CharField(
        "end users named by",
        max_length=100,
        blank=True,
        validators=[validate_user_from],
        help_text="What names the end user, for limits on each of them: a header, like "
        "header:X-User-Id, or a claim of the token in Authorization, like claim:sub. It is "
        "trusted as far as the application that sends it. Empty: end users are not told apart.",
    )
    max_body_bytes = models.PositiveBigIntegerField(
        "largest request body, bytes", null=True, blank=True, help_text="Empty: any size."
    )

    class Meta:
        ordering = ["name"]
        verbose_name = "API"
        verbose_name_plural = "APIs"

    def __str__(self) -> str:
        return self.name


def _upstreams(name: str) -> models.FloatField:
    """A time-out that a route may have in place of its upstream's."""
    return models.FloatField(
        name,
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1)],
        help_text="Empty: as the upstream says.",
    )


class Route(Row):
    """One path of an API. An API of kind ``http`` without routes serves every path below it."""

    api = models.ForeignKey(Api, on_delete=models.CASCADE, related_name="routes")
    path = models.CharField(
        max_length=300,
        validators=[validate_route_path],
        help_text="Below the listen path: /items/{id}, or /files/{rest*} for all that follows.",
    )
    methods = ArrayField(
        models.CharField(max_length=10, choices=[(m, m) for m in METHODS]),
        default=list,
        blank=True,
        help_text="None chosen: any.",
    )
    rewrite = models.CharField(
        max_length=300,
        blank=True,
        help_text="Path sent to the upstream; may use the names in braces. Empty: the same path.",
    )
    enabled = models.BooleanField(default=True)
    connect_timeout = _upstreams("connect time-out, s")
    first_byte_timeout = _upstreams("first byte time-out, s")
    idle_timeout = _upstreams("idle time-out, s")
    total_timeout = _upstreams("whole call time-out, s")
    retries = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(5)],
        help_text="Further attempts. Empty: as the upstream says.",
    )

    class Meta:
        ordering = ["api", "path"]

    def __str__(self) -> str:
        return f"{'/'.join(self.methods) or 'any'} {self.api.listen_path}{self.path}"
