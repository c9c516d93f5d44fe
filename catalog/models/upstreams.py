"""Where calls are sent."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog.models.base import Row
from catalog.validators import validate_address, validate_probe_path

RETRY_STATUSES = (502, 503, 504)
_ABOVE_ZERO = [MinValueValidator(0.1)]
_COUNT = [MinValueValidator(1)]
_PERCENT = [MaxValueValidator(100)]


class Upstream(Row):
    """A service, reachable at one or more targets."""

    name = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    connect_timeout = models.FloatField("connect time-out, s", default=5, validators=_ABOVE_ZERO)
    first_byte_timeout = models.FloatField(
        "first byte time-out, s", default=60, validators=_ABOVE_ZERO
    )
    idle_timeout = models.FloatField("idle time-out, s", default=60, validators=_ABOVE_ZERO)
    total_timeout = models.FloatField(
        "whole call time-out, s",
        null=True,
        blank=True,
        validators=_ABOVE_ZERO,
        help_text="With all attempts, up to the last byte of the answer. Empty: none.",
    )
    preserve_host = models.BooleanField(
        "forward the caller's Host header",
        default=False,
        help_text="Otherwise the target's own host name is sent.",
    )
    tls_verify = models.BooleanField("verify TLS certificates", default=True)
    max_connections = models.PositiveIntegerField(
        "connections to a target",
        default=2000,
        validators=[MinValueValidator(1), MaxValueValidator(20_000)],
        help_text="From each gateway worker, at most.",
    )
    max_waiting = models.PositiveIntegerField(
        "calls that wait for a connection",
        default=200,
        validators=[MaxValueValidator(20_000)],
        help_text="Once all are in use. Further calls are refused at once.",
    )

    retries = models.PositiveSmallIntegerField(
        default=2,
        validators=[MaxValueValidator(5)],
        help_text="Further attempts for a call that failed. Only what was not sent is tried "
        "again, and calls that are idempotent or carry an Idempotency-Key.",
    )
    retry_timeouts = models.BooleanField(
        "retry time-outs", default=False, help_text="Of such calls, before any answer."
    )
    retry_statuses = ArrayField(
        models.PositiveSmallIntegerField(choices=[(code, str(code)) for code in RETRY_STATUSES]),
        default=list,
        blank=True,
        help_text="Answers to such calls that are tried again.",
    )
    retry_budget_percent = models.PositiveSmallIntegerField(
        "retries, % of calls",
        default=20,
        validators=_PERCENT,
        help_text="At most, over ten seconds in each gateway worker.",
    )
    retry_budget_per_second = models.PositiveSmallIntegerField(
        "retries always allowed, per second", default=3, validators=[MaxValueValidator(1000)]
    )

    fail_threshold = models.PositiveSmallIntegerField(
        "failures in a row",
        default=3,
        validators=_COUNT,
        help_text="After which a target is left out. Failed connections and broken answers count.",
    )
    fail_seconds = models.FloatField(
        "left out for, s",
        default=10,
        validators=_ABOVE_ZERO,
        help_text="Then one call is let through to see.",
    )
    fail_percent = models.PositiveSmallIntegerField(
        "failures, % of calls",
        default=0,
        validators=_PERCENT,
        help_text="In ten seconds, after which a target is left out as well. 0: not looked at.",
    )
    fail_least_calls = models.PositiveIntegerField(
        "of at least so many calls", default=20, validators=_COUNT
    )
    fail_on_status = models.BooleanField("answers of 500 and above are failures", default=False)
    fail_on_timeout = models.BooleanField("time-outs are failures", default=False)

    probe_path = models.CharField(
        max_length=300,
        blank=True,
        validators=[validate_probe_path],
        help_text="Called on each target to see whether it is well, like /healthz. "
        "Empty: targets are not probed.",
    )
    probe_interval = models.FloatField(
        "probe every, s", default=10, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    probe_timeout = models.FloatField(
        "probe time-out, s", default=2, validators=[*_ABOVE_ZERO, MaxValueValidator(60)]
    )
    probe_status = models.PositiveSmallIntegerField(
        "expected status",
        default=200,
        validators=[MinValueValidator(200), MaxValueValidator(599)],
    )
    probe_healthy_after = models.PositiveSmallIntegerField(
        "used again after",
        default=2,
        validators=_COUNT,
        help_text="Probes in a row that were answered so.",
    )
    probe_unhealthy_after = models.PositiveSmallIntegerField(
        "left out after",
        default=3,
        validators=_COUNT,
        help_text="Probes in a row that were not.",
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
