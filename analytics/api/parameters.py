"""What is asked for in the query string."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analytics.queries import DIMENSIONS, NOTHING, ORDERS, Filters, QueryError, Range
from analytics.queries.ranges import STEPS, zone

RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
METRICS = (
    "calls",
    "errors",
    "error_rate",
    "client_errors",
    "server_errors",
    "limited",
    "abandoned",
    "p50_us",
    "p95_us",
    "p99_us",
    "mean_us",
    "mean_upstream_us",
    "mean_first_byte_us",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "p50_first_token_us",
    "p95_first_token_us",
    "mean_first_token_us",
    "tokens_per_second",
    "streams",
    "cost_micros",
    "saved_micros",
    "unpriced",
    "request_bytes",
    "response_bytes",
)


class Choice(serializers.ChoiceField):
    default_error_messages = {"invalid_choice": "“{input}” is not known here. Use one of {known}."}

    def fail(self, key: str, **kwargs: Any) -> None:
        super().fail(key, known=", ".join(str(name) for name in self.choices), **kwargs)


@extend_schema_field({"oneOf": [{"type": "string", "format": "uuid"}, {"enum": ["none"]}]})
class IdOrNone(serializers.UUIDField):
    """An id, or ``none`` for the calls that had no such thing."""

    def to_internal_value(self, data: Any) -> UUID:
        return NOTHING if data == "none" else super().to_internal_value(data)


@extend_schema_field({"type": "string", "example": "calls,p95_us"})
class Metrics(serializers.Field):
    """Names from ``METRICS`` with commas between."""

    default_error_messages = {"unknown": "“{name}” is no metric. Use {known}."}

    def to_internal_value(self, data: Any) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in str(data).split(",")))
        for name in names:
            if name not in METRICS:
                self.fail("unknown", name=name, known=", ".join(METRICS))
        return names

    def to_representation(self, value: list[str]) -> str:
        return ",".join(value)


class Asked(serializers.Serializer):
    """The range and the filters that all usage endpoints take.

    Parameters that are not known are refused: a misspelt filter would answer another question.
    """

    range = Choice(
        list(RANGES),
        required=False,
        help_text="The last hour, day, week or 30 days. Not together with `start` and `end`. "
        "Without any of them: `24h`.",
    )
    start = serializers.DateTimeField(
        required=False, help_text="From this moment on, in ISO 8601, like `2026-03-01T00:00:00Z`."
    )
    end = serializers.DateTimeField(
        required=False, help_text="Up to this moment and without it. Without `end`: until now."
    )
    api = IdOrNone(required=False, help_text="Calls to this API; `none`: to no known API.")
    application = IdOrNone(
        required=False, help_text="Calls by this application; `none`: by nobody known."
    )
    plan = IdOrNone(required=False, help_text="Calls under this plan, or under `none`.")
    model = IdOrNone(required=False, help_text="Calls of this AI model, or of `none`.")
    provider = IdOrNone(required=False, help_text="Calls of this AI provider, or of `none`.")
    deployment = IdOrNone(required=False, help_text="Calls of this deployment, or of `none`.")
    prompt = IdOrNone(required=False, help_text="Calls of this prompt, or of `none`.")
    status_class = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=5,
        help_text="The status divided by 100: `5` are server errors.",
    )
    demo = serializers.BooleanField(
        default=True, help_text="`false` leaves out generated demo data."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError(
                {name: ["There is no such parameter here."] for name in unknown}
            )
        return super().to_internal_value(data)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        given["asked"] = _range(given)
        given["filters"] = Filters(
            **{name: given.get(name) for name in (*DIMENSIONS, "status_class")},
            include_demo=given["demo"],
        )
        return given


def _range(given: dict[str, Any]) -> Range:
    start, end, named = given.get("start"), given.get("end"), given.get("range")
    if named and (start or end):
        raise QueryError("two_ranges", "Give “range”, or “start” and “end”, not both.")
    if end and not start:
        raise QueryError("no_start", "Give “start” with “end”.")
    end = end or timezone.now()
    return Range(start or end - RANGES[named or "24h"], end)


class RecordsAsked(Asked):
    """What records are filtered by besides."""

    status = serializers.IntegerField(required=False, min_value=100, max_value=599)
    error_code = serializers.CharField(
        required=False, allow_blank=True, help_text="Empty: calls without one."
    )
    request_id = serializers.UUIDField(required=False)
    method = serializers.CharField(required=False)
    path = serializers.CharField(required=False, help_text="What the path begins with.")
    key = serializers.UUIDField(required=False, help_text="The id of an API key.")
    route = serializers.UUIDField(required=False)
    abandoned = serializers.BooleanField(required=False, allow_null=True, default=None)
    slower_than_us = serializers.IntegerField(required=False, min_value=0, max_value=10**15)
    min_attempts = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=32_767,
        help_text="Sent upstream so many times or more: `2` are those that were tried again.",
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        given = super().validate(given)
        given["columns"] = {name: given.get(name) for name in COLUMNS}
        return given


COLUMNS = (
    "status",
    "error_code",
    "request_id",
    "method",
    "path",
    "key",
    "route",
    "abandoned",
    "slower_than_us",
    "min_attempts",
)


class PageAsked(RecordsAsked):
    before = serializers.CharField(
        required=False, help_text="Older ones than at this cursor; follow `next` instead."
    )
    after = serializers.CharField(
        required=False, help_text="Newer ones than at this cursor; follow `previous` instead."
    )
    page_size = serializers.IntegerField(default=50, min_value=1, max_value=200)


class TopAsked(Asked):
    by = Choice(list(DIMENSIONS), help_text="What to group by.")
    order = Choice(list(ORDERS), default="calls", help_text="Largest first by this.")
    limit = serializers.IntegerField(default=10, min_value=1, max_value=100)
    with_none = serializers.BooleanField(
        default=False, help_text="`true`: calls that had no such thing are a group, with id null."
    )


class SeriesAsked(Asked):
    metrics = Metrics(default=["calls"], help_text=f"With commas between: {', '.join(METRICS)}.")
    interval = Choice(
        list(STEPS),
        required=False,
        help_text="Figures by minute are kept for 8 days, by hour for 400. Without it: what "
        "draws the range best.",
    )
    by = Choice(list(DIMENSIONS), required=False, help_text="A series for each of the largest.")
    order = Choice(list(ORDERS), default="calls", help_text="Which groups are the largest.")
    limit = serializers.IntegerField(default=5, min_value=1, max_value=20)
    with_none = serializers.BooleanField(default=False, help_text="As for the top groups.")
    time_zone = serializers.CharField(
        default="UTC", help_text="Whose days an interval of a day is, like `Europe/London`."
    )

    def validate_time_zone(self, name: str) -> Any:
        return zone(name)


class RecordAsked(serializers.Serializer):
    at = serializers.DateTimeField(
        required=False, help_text="About when it was, to the day: finds an old one sooner."
    )
