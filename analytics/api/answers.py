"""What is told, and how OpenAPI describes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import serializers

from analytics.models import UsageRecord
from analytics.names import KINDS, Names
from analytics.queries import NOTHING, Group, Totals

_SOURCES = {"cost_micros": "cost", "saved_micros": "saved"}


def told(totals: Totals, metrics: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """These metrics, as they are answered."""
    return {name: getattr(totals, _SOURCES.get(name, name)) for name in metrics}


def told_group(group: Group) -> dict[str, Any]:
    return {"id": None if group.id == NOTHING else str(group.id), "name": group.name}


def told_record(row: UsageRecord, names: Names) -> dict[str, Any]:
    """The record as ``RecordOut`` describes it."""
    answer = {name: getattr(row, name) for name in PLAIN}
    for kind in KINDS:
        id_: UUID | None = getattr(row, f"{kind}_id")
        answer[kind] = None if id_ is None else {"id": id_, "name": names[kind][id_]}
    return answer


class Figures(serializers.Serializer):
    """Sums over calls. Durations are in microseconds."""

    calls = serializers.IntegerField()
    errors = serializers.IntegerField(help_text="Client errors and server errors.")
    error_rate = serializers.FloatField(help_text="Share of the calls, 0 to 1.")
    client_errors = serializers.IntegerField(help_text="Answered with a status from 400 to 499.")
    server_errors = serializers.IntegerField(help_text="Answered with a status of 500 or more.")
    limited = serializers.IntegerField(help_text="Answered with 429.")
    abandoned = serializers.IntegerField(
        help_text="The client left before the answer was complete."
    )
    p50_us = serializers.IntegerField(
        allow_null=True, help_text="Half of the calls took less; within 4.5 %. Null without calls."
    )
    p95_us = serializers.IntegerField(allow_null=True)
    p99_us = serializers.IntegerField(allow_null=True)
    mean_us = serializers.IntegerField(allow_null=True)
    mean_upstream_us = serializers.IntegerField(
        allow_null=True, help_text="Of the mean, spent waiting for the upstream."
    )
    mean_first_byte_us = serializers.IntegerField(allow_null=True)
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Part of the input tokens.")
    reasoning_tokens = serializers.IntegerField(help_text="Part of the output tokens.")
    cache_write_tokens = serializers.IntegerField(help_text="Part of the input tokens.")
    p50_first_token_us = serializers.IntegerField(
        allow_null=True,
        help_text="Half of the streamed answers of models began sooner; null without any.",
    )
    p95_first_token_us = serializers.IntegerField(allow_null=True)
    mean_first_token_us = serializers.IntegerField(allow_null=True)
    tokens_per_second = serializers.FloatField(
        allow_null=True,
        help_text="Of output, from a stream's first piece to its last; null where none says.",
    )
    streams = serializers.IntegerField(help_text="Streamed answers of models.")
    cost_micros = serializers.DictField(
        child=serializers.IntegerField(), help_text="By currency, in millionths of it."
    )
    saved_micros = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="What the same usage would have cost more at the models that those called are "
        "compared with, as `cost_micros`; less than 0 where it would have cost less.",
    )
    unpriced = serializers.IntegerField(
        help_text="Calls that used tokens, or what else is billed, and whose cost is unknown."
    )
    request_bytes = serializers.IntegerField()
    response_bytes = serializers.IntegerField()


class _Covered(serializers.Serializer):
    start = serializers.DateTimeField(
        help_text="What the answer covers, which may be a little more than was asked for: whole "
        "minutes, and whole hours or days where no finer figures are kept."
    )
    end = serializers.DateTimeField()


class TotalsOut(Figures, _Covered):
    """Sums over a range."""


class GroupOut(Figures):
    """Sums over the calls of one API, application and so on."""

    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(help_text="Its name now; `deleted (…)` if it is no more.")


class TopOut(_Covered):
    by = serializers.CharField()
    order = serializers.CharField()
    results = GroupOut(many=True)


class PointOut(Figures):
    """Sums over one interval: those that were asked for."""

    start = serializers.DateTimeField()

    def get_fields(self) -> dict[str, serializers.Field]:
        found = super().get_fields()
        for name, field in found.items():
            field.required = name == "start"
        return found


class SeriesOfGroupOut(serializers.Serializer):
    """A series; `id` and `name` are null where nothing was grouped by."""

    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    points = PointOut(many=True)


class SeriesOut(_Covered):
    interval = serializers.CharField()
    time_zone = serializers.CharField()
    metrics = serializers.ListField(child=serializers.CharField())
    by = serializers.CharField(allow_null=True)
    series = SeriesOfGroupOut(many=True)


class NamedOut(serializers.Serializer):
    """Something of the catalogue that a call had to do with."""

    id = serializers.UUIDField()
    name = serializers.CharField(help_text="Its name now; `deleted (…)` if it is no more.")


class RecordOut(serializers.ModelSerializer):
    """One call. Durations are in microseconds; token counts are null where unknown."""

    id = serializers.UUIDField(help_text="The request id, which the caller has as X-Request-Id.")
    attempts = serializers.IntegerField(
        allow_null=True,
        help_text="Requests sent upstream for it, repeats included. 0 where none was; null where "
        "that is not known.",
    )
    routed = serializers.CharField(
        help_text="Why the model's deployment was chosen, which were passed over for it and "
        "which failed before."
    )
    adapted = serializers.CharField(
        help_text="What the provider could not be told as the client asked it."
    )
    measure = serializers.CharField(
        help_text="What else than tokens it may be billed by: `picture` (made), `millisecond` (of "
        "sound heard), `character` (spoken) or `search` (by a reranker). Empty: nothing."
    )
    measured = serializers.IntegerField(
        allow_null=True, help_text="How many of them. Null: not known, and no cost by them is."
    )
    measured_kind = serializers.CharField(
        help_text="Of pictures their size and quality, like `1024x1536/high`; `auto` stands for "
        "what nobody said."
    )
    api = NamedOut(allow_null=True)
    route = NamedOut(allow_null=True)
    application = NamedOut(allow_null=True)
    key = NamedOut(allow_null=True)
    plan = NamedOut(allow_null=True)
    model = NamedOut(allow_null=True)
    provider = NamedOut(allow_null=True)
    deployment = NamedOut(allow_null=True)
    prompt = NamedOut(allow_null=True)

    class Meta:
        model = UsageRecord
        fields = [
            "id",
            "at",
            "method",
            "path",
            "status",
            "error_code",
            *KINDS,
            "prompt_version",
            "request_bytes",
            "response_bytes",
            "total_us",
            "upstream_us",
            "first_byte_us",
            "attempts",
            "streamed",
            "abandoned",
            "input_tokens",
            "output_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "cache_write_tokens",
            "cost_micros",
            "saved_micros",
            "measure",
            "measured",
            "measured_kind",
            "currency",
            "routed",
            "adapted",
            "demo",
        ]


PLAIN = tuple(name for name in RecordOut.Meta.fields if name not in KINDS)


class RecordsOut(serializers.Serializer):
    """A page of calls, newest first. It may be short or empty although `next` is given: then
    the search for rare ones has come to `searched_to` and goes on there."""

    next = serializers.URLField(allow_null=True, help_text="Older ones.")
    previous = serializers.URLField(allow_null=True, help_text="Newer ones.")
    searched_to = serializers.DateTimeField(allow_null=True)
    results = RecordOut(many=True)
