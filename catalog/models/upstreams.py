"""Where calls are sent."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from catalog.models.base import Row
from catalog.validators import validate_address


class Upstream(Row):
    """A service, reachable at one or more targets."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    connect_timeout = models.FloatField(
        "connect time-out, s", default=5, validators=[MinValueValidator(0.1)]
    )
    first_byte_timeout = models.FloatField(
        "first byte time-out, s", default=60, validators=[MinValueValidator(0.1)]
    )
    idle_timeout = models.FloatField(
        "idle time-out, s", default=60, validators=[MinValueValidator(0.1)]
    )
    preserve_host = models.BooleanField(
        "forward the caller's Host header",
        default=False,
        help_text="Otherwise the target's own host name is sent.",
    )
    tls_verify = models.BooleanField("verify TLS certificates", default=True)
    fail_threshold = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1)],
        help_text="Connection failures in a row after which a target is left out.",
    )
    fail_seconds = models.FloatField(
        default=10,
        validators=[MinValueValidator(0.1)],
        help_text="How long a failed target is left out before it is tried again.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Target(Row):
    """One address of an upstream."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="targets")
    url = models.CharField(
        "address",
        max_length=300,
        validators=[validate_address],
        help_text="Like https://orders.example.com or http://10.0.0.7:8080/base.",
    )
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["upstream", "url"]
        constraints = [
            models.UniqueConstraint(fields=["upstream", "url"], name="one_target_per_address"),
        ]

    def __str__(self) -> str:
        return self.url
