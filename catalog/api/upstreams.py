"""/api/upstreams/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

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


class UpstreamViewSet(Resource):
    """Services that APIs forward to, each with one or more targets."""

    queryset = Upstream.objects.prefetch_related("targets")
    serializer_class = UpstreamSerializer
    input_class = UpstreamInput
    filterset_fields = {"name": ["exact", "icontains"]}
    search_fields = ["name", "description", "targets__url"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: Upstream, data: dict[str, Any]) -> Upstream:
        targets = children(Target, data.pop("targets", None))
        return upstreams.save_upstream(upstream=assign(row, data), targets=targets)
