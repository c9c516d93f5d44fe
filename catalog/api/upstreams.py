"""/api/upstreams/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import target_states
from catalog.api.base import ChildSerializer, Resource, assign, children
from catalog.models import Target, Upstream
from catalog.services import upstreams

_FIELDS = [
    "name",
    "description",
    "connect_timeout",
    "first_byte_timeout",
    "idle_timeout",
    "total_timeout",
    "preserve_host",
    "tls_verify",
    "max_connections",
    "max_waiting",
    "retries",
    "retry_timeouts",
    "retry_statuses",
    "retry_budget_percent",
    "retry_budget_per_second",
    "fail_threshold",
    "fail_seconds",
    "fail_percent",
    "fail_least_calls",
    "fail_on_status",
    "fail_on_timeout",
    "probe_path",
    "probe_interval",
    "probe_timeout",
    "probe_status",
    "probe_healthy_after",
    "probe_unhealthy_after",
    "targets",
]


class TargetSerializer(ChildSerializer):
    class Meta:
        model = Target
        fields = ["id", "url", "weight", "enabled"]


class UpstreamSerializer(serializers.ModelSerializer):
    targets = TargetSerializer(many=True)

    class Meta:
        model = Upstream
        fields = ["id", *_FIELDS, "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two targets",
            value={
                "name": "Orders",
                "targets": [
                    {"url": "https://orders-1.example.com", "weight": 2},
                    {"url": "https://orders-2.example.com"},
                ],
            },
            request_only=True,
        )
    ]
)
class UpstreamInput(serializers.ModelSerializer):
    targets = TargetSerializer(
        many=True, required=False, help_text="All of them: what is not in the list is deleted."
    )

    class Meta:
        model = Upstream
        fields = _FIELDS


class StatesUnknown(APIException):
    status_code = 503
    default_code = "states_unknown"
    default_detail = "Valkey does not answer, so what gateways see is not known. Try again later."


class SeenSerializer(serializers.Serializer):
    worker = serializers.CharField()
    host = serializers.CharField(help_text="The machine that the worker runs on.")
    state = serializers.ChoiceField(target_states.WORST_FIRST)


class TargetHealth(serializers.Serializer):
    id = serializers.UUIDField()
    url = serializers.CharField()
    states = SeenSerializer(many=True)


class UpstreamViewSet(Resource):
    """Services that APIs forward to, each with one or more targets."""

    queryset = Upstream.objects.prefetch_related("targets")
    serializer_class = UpstreamSerializer
    input_class = UpstreamInput
    filterset_fields = {"name": ["exact", "icontains"]}
    search_fields = ["name", "description", "targets__url"]
    ordering_fields = ["name", "created_at", "updated_at"]

    @extend_schema(responses=TargetHealth(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def health(self, request: Request, pk: str) -> Response:
        """How gateway workers see each target. Of a target that works they tell nothing, unless
        it is probed; what they have told counts for a quarter of a minute."""
        found = target_states.seen(request.tenant.pk)
        if found is None:
            raise StatesUnknown
        rows = [
            {"id": target.pk, "url": target.url, "states": found.get(str(target.pk), [])}
            for target in self.get_object().targets.filter(enabled=True)
        ]
        return Response(TargetHealth(rows, many=True).data)

    def store(self, row: Upstream, data: dict[str, Any]) -> Upstream:
        targets = children(Target, data.pop("targets", None))
        return upstreams.save_upstream(upstream=assign(row, data), targets=targets)
