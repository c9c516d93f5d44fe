"""One row for each call, in a table partitioned by day and guarded by row-level security."""

from __future__ import annotations

from django.db import models


class UsageRecord(models.Model):
    """A usage event as it was recorded; the fields are those of ``contract.usage``, of ``measured``
    the unit in ``measure`` and the count by its own name.

    The table is made in SQL by the first migration: partitions, indexes and policies are
    beyond what Django's schema editor knows.
    """

    pk = models.CompositePrimaryKey("at", "id")
    at = models.DateTimeField()
    id = models.UUIDField()
    tenant_id = models.UUIDField()
    method = models.TextField()
    path = models.TextField()
    status = models.SmallIntegerField()
    error_code = models.TextField(default="", blank=True)
    api_id = models.UUIDField(null=True)
    route_id = models.UUIDField(null=True)
    application_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    plan_id = models.UUIDField(null=True)
    request_bytes = models.BigIntegerField(default=0)
    response_bytes = models.BigIntegerField(default=0)
    total_us = models.BigIntegerField(default=0)
    upstream_us = models.BigIntegerField(default=0)
    first_byte_us = models.BigIntegerField(default=0)
    streamed = models.BooleanField(default=False)
    abandoned = models.BooleanField(default=False)
    model_id = models.UUIDField(null=True)
    model = models.TextField(default="", blank=True)
    provider_id = models.UUIDField(null=True)
    deployment_id = models.UUIDField(null=True)
    prompt_id = models.UUIDField(null=True)
    prompt_version = models.IntegerField(default=0)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost_micros = models.BigIntegerField(null=True)
    currency = models.TextField(default="", blank=True)
    attempts = models.SmallIntegerField(null=True)
    end_user = models.TextField(default="", blank=True)
    routed = models.TextField(default="", blank=True)
    adapted = models.TextField(default="", blank=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    saved_micros = models.BigIntegerField(null=True)
    measure = models.TextField(default="", blank=True)
    measured = models.BigIntegerField(null=True)
    measured_kind = models.TextField(default="", blank=True)
    demo = models.BooleanField(default=False)

    class Meta:
        db_table = "analytics_usagerecord"
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"
