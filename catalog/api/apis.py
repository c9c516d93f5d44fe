"""/api/apis/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ChildSerializer, Resource, assign, children
from catalog.models import Api, Route
from catalog.services import apis

_FIELDS = [
    "name",
    "kind",
    "description",
    "version",
    "listen_path",
    "hosts",
    "upstream",
    "key_required",
    "key_header",
    "key_query",
    "user_from",
    "max_body_bytes",
    "routes",
]


class RouteSerializer(ChildSerializer):
    class Meta:
        model = Route
        fields = [
            "id",
            "path",
            "methods",
            "rewrite",
            "enabled",
            "connect_timeout",
            "first_byte_timeout",
            "idle_timeout",
            "total_timeout",
            "retries",
        ]


class ApiSerializer(serializers.ModelSerializer):
    routes = RouteSerializer(many=True)

    class Meta:
        model = Api
        fields = ["id", "state", *_FIELDS, "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A REST API",
            value={
                "name": "Orders",
                "kind": "http",
                "listen_path": "/orders",
                "upstream": "0b0e6f3e-4c4b-4f07-9a51-0f6f6f1f3b11",
                "routes": [
                    {"path": "/items/{id}", "methods": ["GET"]},
                    {"path": "/old/{rest*}", "rewrite": "/new/{rest*}"},
                ],
            },
            request_only=True,
        ),
        OpenApiExample("AI models", value={"name": "Models", "kind": "ai"}, request_only=True),
    ]
)
class ApiInput(serializers.ModelSerializer):
    kind = serializers.ChoiceField(
        [Api.Kind.HTTP, Api.Kind.AI], default=Api.Kind.HTTP, help_text="Fixed once created."
    )
    listen_path = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=200,
        validators=Api._meta.get_field("listen_path").validators[:1],
        help_text="Like `/orders`; AI models are always below `/v1`.",
    )
    routes = RouteSerializer(
        many=True,
        required=False,
        help_text="All of them: what is not in the list is deleted. Empty: every path.",
    )

    class Meta:
        model = Api
        fields = _FIELDS

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.instance is None and data["kind"] == Api.Kind.HTTP and "listen_path" not in data:
            raise serializers.ValidationError({"listen_path": "Say where it is to be called."})
        return data


class ApiViewSet(Resource):
    """What the tenant publishes. Prompts have APIs too: these are changed with the prompt."""

    queryset = Api.objects.prefetch_related("routes")
    serializer_class = ApiSerializer
    input_class = ApiInput
    filterset_fields = {
        "name": ["exact", "icontains"],
        "kind": ["exact"],
        "state": ["exact"],
        "listen_path": ["exact", "startswith"],
        "upstream": ["exact"],
        "key_required": ["exact"],
    }
    search_fields = ["name", "description", "listen_path"]
    ordering_fields = ["name", "kind", "state", "listen_path", "created_at", "updated_at"]

    def store(self, row: Api, data: dict[str, Any]) -> Api:
        routes = children(Route, data.pop("routes", None))
        return apis.save_api(api=assign(row, data), routes=routes)

    def remove(self, row: Api) -> None:
        apis.delete_api(api=row)

    @extend_schema(request=None, responses=ApiSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str) -> Response:
        """Serve it from now on."""
        return self.tell(apis.publish_api(api=self.get_object()))

    @extend_schema(request=None, responses=ApiSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Stop serving it. Its routes and subscriptions are kept."""
        return self.tell(apis.retire_api(api=self.get_object()))
