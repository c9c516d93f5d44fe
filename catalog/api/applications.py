"""/api/applications/ and /api/keys/"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters.rest_framework import BooleanFilter, FilterSet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ReadOnly, Resource, assign
from catalog.api.limit_use import ShowsUse
from catalog.limits import use as limit_use
from catalog.limits.counters import Counted
from catalog.models import ApiKey, Application
from catalog.services import access
from contract.snapshot import TenantSnapshot


class ApplicationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Application
        fields = ["id", "name", "description", "contact", "enabled", "created_at", "updated_at"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "An application",
            value={"name": "Shop", "contact": "shop@example.com"},
            request_only=True,
        )
    ]
)
class ApplicationInput(serializers.ModelSerializer):
    class Meta:
        model = Application
        fields = ["name", "description", "contact", "enabled"]


class ApplicationViewSet(ShowsUse, Resource):
    """Clients of the tenant's APIs."""

    queryset = Application.objects.all()
    serializer_class = ApplicationSerializer
    input_class = ApplicationInput
    filterset_fields = {
        "name": ["exact", "icontains"],
        "contact": ["exact"],
        "enabled": ["exact"],
    }
    search_fields = ["name", "description", "contact"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def counted(self, row: Application, snapshot: TenantSnapshot) -> list[Counted]:
        return limit_use.of_application(snapshot, str(row.pk))

    def store(self, row: Application, data: dict[str, Any]) -> Application:
        return access.save_application(application=assign(row, data))

    def remove(self, row: Application) -> None:
        access.delete_application(application=row)


class KeySerializer(serializers.ModelSerializer):
    active = serializers.BooleanField(help_text="Neither revoked nor expired.")

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "application",
            "name",
            "prefix",
            "active",
            "expires_at",
            "revoked_at",
            "created_at",
        ]
        read_only_fields = fields


class NewKeySerializer(KeySerializer):
    key = serializers.CharField(help_text="The key itself. It is told here and never again.")

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "key"]
        read_only_fields = fields


class KeyInput(serializers.ModelSerializer):
    class Meta:
        model = ApiKey
        fields = ["application", "name", "expires_at"]


class RotateInput(serializers.Serializer):
    grace_seconds = serializers.IntegerField(
        min_value=0,
        max_value=90 * 86400,
        default=0,
        help_text="How long the old key still works.",
    )


class KeyFilter(FilterSet):
    active = BooleanFilter(method="by_activity", label="Neither revoked nor expired.")

    class Meta:
        model = ApiKey
        fields = {"application": ["exact"], "prefix": ["exact"], "name": ["exact", "icontains"]}

    def by_activity(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        now = timezone.now()
        active = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))
        return queryset.filter(active) if value else queryset.exclude(active)


class KeyViewSet(ReadOnly):
    """API keys. Only a digest is kept, so a key is shown once: when it is created or rotated."""

    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    input_class = KeyInput
    filterset_class = KeyFilter
    search_fields = ["name", "prefix", "application__name"]
    ordering_fields = ["name", "created_at", "expires_at", "revoked_at"]
    ordering = ["-created_at"]

    @extend_schema(responses={201: NewKeySerializer})
    def create(self, request: Request) -> Response:
        """Issue a key for an application."""
        return self._tell_secret(*access.issue_key(**self.read()))

    @extend_schema(request=RotateInput, responses={201: NewKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Issue another key in its place."""
        given = RotateInput(data=request.data)
        given.is_valid(raise_exception=True)
        grace = timedelta(seconds=given.validated_data["grace_seconds"])
        return self._tell_secret(*access.rotate_key(key=self.get_object(), grace=grace))

    @extend_schema(request=None, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Refuse the key from now on."""
        return self.tell(access.revoke_key(key=self.get_object()))

    def _tell_secret(self, key: ApiKey, secret: str) -> Response:
        key.key = secret
        told = NewKeySerializer(key).data
        headers = {"Cache-Control": "no-store"}
        return Response(told, status=status.HTTP_201_CREATED, headers=headers)
