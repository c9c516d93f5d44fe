"""Sums of records by minute, hour and day, and by what was called, by whom and how it went."""

from __future__ import annotations

from uuid import UUID

from django.db import models

from analytics.models.fields import HistogramField

NOTHING = UUID(int=0)
"""Stands for a call that had no API, application, plan, model, provider, deployment or prompt: a
unique key cannot hold NULL."""

DIMENSIONS = (
    "api_id",
    "application_id",
    "plan_id",
    "model_id",
    "provider_id",
    "deployment_id",
    "prompt_id",
    "status_class",
    "currency",
    "demo",
)
MEASURES = (
    "calls",
    "abandoned",
    "limited",
    "request_bytes",
    "response_bytes",
    "total_us",
    "upstream_us",
    "first_byte_us",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_micros",
    "unpriced",
    "cache_write_tokens",
    "streams",
    "first_token_us",
    "written_tokens",
    "writing_us",
    "saved_micros",
)
HISTOGRAMS = ("latency", "first_token")

LEAST_WRITING_US = 10_000
"""An answer that took less from its first token to its last came at once: no speed follows."""


class Rollup(models.Model):
    """``start`` is the interval's first moment in UTC. ``latency`` counts ``total_us`` in the
    buckets of ``analytics.histogram``, so that any range has honest percentiles; so does
    ``first_token`` the ``first_byte_us`` of ``streams``."""

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    start = models.DateTimeField()
    api_id = models.UUIDField(default=NOTHING)
    application_id = models.UUIDField(default=NOTHING)
    plan_id = models.UUIDField(default=NOTHING)
    model_id = models.UUIDField(default=NOTHING)
    provider_id = models.UUIDField(default=NOTHING)
    deployment_id = models.UUIDField(
        default=NOTHING, help_text="Nothing too where it was counted before this was told apart."
    )
    prompt_id = models.UUIDField(default=NOTHING)
    status_class = models.SmallIntegerField(help_text="2, 3, 4 or 5: the status divided by 100.")
    currency = models.TextField(default="")
    demo = models.BooleanField(default=False)
    calls = models.BigIntegerField(default=0)
    abandoned = models.BigIntegerField(default=0)
    limited = models.BigIntegerField(default=0, help_text="Answered with 429.")
    request_bytes = models.BigIntegerField(default=0)
    response_bytes = models.BigIntegerField(default=0)
    total_us = models.BigIntegerField(default=0)
    upstream_us = models.BigIntegerField(default=0)
    first_byte_us = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost_micros = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(
        default=0, help_text="Calls that used tokens and whose cost is unknown."
    )
    cache_write_tokens = models.BigIntegerField(default=0)
    streams = models.BigIntegerField(
        default=0, help_text="Answers of models that came in pieces, and did come."
    )
    first_token_us = models.BigIntegerField(
        default=0, help_text="Of the streams, from the request's head to the first piece."
    )
    written_tokens = models.BigIntegerField(
        default=0, help_text="Output of the streams that came whole and whose tokens are known."
    )
    writing_us = models.BigIntegerField(
        default=0, help_text="Of the same streams, from the first piece to the last."
    )
    saved_micros = models.BigIntegerField(
        default=0, help_text="Against the models that those called are compared with."
    )
    latency = HistogramField(default=list)
    first_token = HistogramField(default=list)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}: {self.calls} calls"


def _unique(name: str) -> list[models.UniqueConstraint]:
    return [models.UniqueConstraint(fields=["tenant_id", "start", *DIMENSIONS], name=name)]


class RollupMinute(Rollup):
    class Meta:
        constraints = _unique("one_rollup_per_minute")


class RollupHour(Rollup):
    class Meta:
        constraints = _unique("one_rollup_per_hour")


class RollupDay(Rollup):
    class Meta:
        constraints = _unique("one_rollup_per_day")


INTERVALS: dict[str, type[Rollup]] = {
    "minute": RollupMinute,
    "hour": RollupHour,
    "day": RollupDay,
}
