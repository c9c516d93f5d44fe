"""/api/usage/models/"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.api.answers import Figures, NamedOut, told
from analytics.api.examples import FIGURES
from analytics.api.parameters import METRICS, Asked, Choice
from analytics.api.views import UsageView, iso, told_range
from analytics.model_health import (
    HEALTH,
    SORTS,
    DeploymentLine,
    Line,
    ModelLine,
    Overview,
    Wanted,
    overview,
)
from analytics.queries import NOTHING
from contract.target_states import WORST_FIRST
from tenants.tokens import TokenAuthentication

TREND = ("calls", "errors", "server_errors", "p95_us")


class ModelsAsked(Asked):
    """The range and the filters of all usage, and which models in which order."""

    status_class = None
    q = serializers.CharField(
        required=False, default="", help_text="A part of the name of the model or a deployment."
    )
    health = Choice(
        ["attention", *HEALTH],
        required=False,
        help_text="Models that are so, or have a deployment that is; `attention`: `down` or "
        "`degraded`.",
    )
    unpriced = serializers.BooleanField(
        default=False,
        help_text="`true`: only those with a deployment in use that has no price, or with calls "
        "whose cost is unknown.",
    )
    sort = Choice(list(SORTS), default="calls", help_text="Also sorts each model's deployments.")
    order = Choice(
        ["asc", "desc"],
        required=False,
        help_text="Without it: names from A to Z, health worst first, `speed` slowest first, all "
        "others largest first. What has no such figure comes last in either.",
    )
    page = serializers.IntegerField(default=1, min_value=1)
    page_size = serializers.IntegerField(default=50, min_value=1, max_value=200)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        given = super().validate(given)
        order = given.get("order")
        given["wanted"] = Wanted(
            q=given["q"],
            health=given.get("health", ""),
            unpriced=given["unpriced"],
            sort=given["sort"],
            ascending=None if order is None else order == "asc",
            page=given["page"],
            page_size=given["page_size"],
        )
        return given


class TrendOut(serializers.Serializer):
    start = serializers.DateTimeField()
    calls = serializers.IntegerField()
    errors = serializers.IntegerField()
    server_errors = serializers.IntegerField()
    p95_us = serializers.IntegerField(allow_null=True)


class LineOut(Figures):
    cost_micros = serializers.DictField(
        child=serializers.IntegerField(),
        allow_null=True,
        help_text="By currency, in millionths of it, without the `unpriced` calls. Null where "
        "all of it is unknown, which is not 0.",
    )
    trend = TrendOut(many=True)


class SeenOut(serializers.Serializer):
    worker = serializers.CharField()
    host = serializers.CharField(help_text="The machine that the worker runs on.")
    state = serializers.ChoiceField(WORST_FIRST)


class PriceOut(serializers.Serializer):
    """What a million tokens cost now; null where that is unknown, which is not 0."""

    input = serializers.DecimalField(14, 6, allow_null=True)
    output = serializers.DecimalField(14, 6, allow_null=True)
    currency = serializers.CharField()
    known = serializers.BooleanField(help_text="Whether calls are recorded with a cost.")


class DeploymentOut(LineOut):
    """A deployment, one that is deleted and was called, or with the id null the calls of the
    model that no deployment was asked for, such as those that a limit refused."""

    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    provider = NamedOut(allow_null=True)
    region = serializers.CharField(allow_blank=True)
    health = serializers.ChoiceField(HEALTH, allow_null=True)
    seen = SeenOut(many=True, help_text="Worst first. Of what works, workers tell nothing.")
    price = PriceOut(allow_null=True)


class ModelOut(LineOut):
    id = serializers.UUIDField()
    name = serializers.CharField(help_text="Its name now; `deleted (…)` if it is no more.")
    health = serializers.ChoiceField(
        HEALTH,
        help_text="`down`: no deployment can be asked; `degraded`: something is held against one "
        "or more; `unknown`: what gateways see cannot be read; `off`: switched off.",
    )
    deployments = DeploymentOut(many=True)


class ModelsOut(serializers.Serializer):
    start = serializers.DateTimeField(help_text="What the figures cover.")
    end = serializers.DateTimeField()
    trend_seconds = serializers.IntegerField(
        help_text="What a point of a trend stands for; the last may be cut short."
    )
    count = serializers.IntegerField(help_text="Models on all pages.")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ModelOut(many=True)


_POINT = {
    "start": "2026-03-14T15:00:00Z",
    "calls": 52,
    "errors": 1,
    "server_errors": 1,
    "p95_us": 198000,
}
EXAMPLE = OpenApiExample(
    "A model with one deployment, which is left out for now",
    value={
        "start": "2026-03-14T15:00:00Z",
        "end": "2026-03-14T16:00:00Z",
        "trend_seconds": 3600,
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": "0d5f8f0e-2f0b-4c43-9d64-3a60e8cf8a10",
                "name": "fast",
                "health": "down",
                **FIGURES,
                "trend": [_POINT],
                "deployments": [
                    {
                        "id": "b8f63fd0-2a0c-4b3f-8d1a-0a3f3f1c2f77",
                        "name": "OpenAI · gpt-5-mini",
                        "provider": {
                            "id": "4f2c7a52-6f0f-4f0e-9a4a-6a0a52a6c1d3",
                            "name": "OpenAI",
                        },
                        "region": "EU",
                        "health": "down",
                        "seen": [{"worker": "gw-1-0", "host": "gw-1", "state": "open"}],
                        "price": {
                            "input": "0.250000",
                            "output": "2.000000",
                            "currency": "USD",
                            "known": True,
                        },
                        **FIGURES,
                        "trend": [_POINT],
                    }
                ],
            }
        ],
    },
    response_only=True,
)


class ModelsView(UsageView):
    """For members; an application's key has no say in what others use."""

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    asked_class = ModelsAsked

    @extend_schema(parameters=[ModelsAsked], responses=ModelsOut, examples=[EXAMPLE])
    def get(self, request: Request) -> Response:
        """Each model and each of its deployments: how gateways see it now, its calls, errors,
        latency, tokens and cost over a range, what it costs now, and a trend."""
        asked = self.asked()
        found = overview(
            request.tenant.pk,
            asked["asked"],
            asked["filters"],
            asked["wanted"],
            trend=("calls", "client_errors", "server_errors", "latency"),
        )
        body = {
            **told_range(found.covered),
            "trend_seconds": int(found.step.total_seconds()),
            "count": found.count,
            "next": self._link(asked, found.page + 1, found),
            "previous": self._link(asked, found.page - 1, found),
            "results": [_model(line) for line in found.lines],
        }
        return Response(ModelsOut(body).data)

    def _link(self, asked: dict[str, Any], page: int, found: Overview) -> str | None:
        """This address with another page, of the range as it was understood."""
        if not 1 <= page <= found.pages:
            return None
        kept = self.request.query_params.dict()
        kept.pop("range", None)
        rng = asked["asked"]
        kept |= {"start": iso(rng.start), "end": iso(rng.end), "page": page}
        return self.request.build_absolute_uri(f"{self.request.path}?{urlencode(kept)}")


def _figures(line: Line) -> dict[str, Any]:
    points = [{"start": point.start, **told(point.totals, TREND)} for point in line.trend]
    return told(line.totals, METRICS) | {"cost_micros": line.cost, "trend": points}


def _model(line: ModelLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "name": line.name,
        "health": line.health,
        **_figures(line),
        "deployments": [_deployment(one) for one in line.deployments],
    }


def _deployment(line: DeploymentLine) -> dict[str, Any]:
    place = line.place
    return {
        "id": None if line.id == NOTHING else line.id,
        "name": line.name,
        "provider": place and {"id": place.provider_id, "name": place.provider},
        "region": place.region if place else "",
        "health": line.health or None,
        "seen": line.seen,
        "price": place and place.price,
        **_figures(line),
    }
