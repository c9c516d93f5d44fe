"""/api/plans/ and /api/subscriptions/"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ReadOnly, Resource, assign, children
from catalog.api.limit_use import ShowsUse
from catalog.api.limits import PlanLimitSerializer
from catalog.limits import use as limit_use
from catalog.limits.counters import Counted
from catalog.models import Limit, Plan, Subscription, SubscriptionEvent
from catalog.services import access
from contract.snapshot import TenantSnapshot


class PlanSerializer(serializers.ModelSerializer):
    limits = PlanLimitSerializer(many=True)

    class Meta:
        model = Plan
        fields = [
            "id",
            "name",
            "description",
            "needs_approval",
            "enabled",
            "limits",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two limits",
            value={
                "name": "Free",
                "needs_approval": False,
                "limits": [
                    {"measure": "calls", "amount": "60", "window": "minute"},
                    {"measure": "calls", "amount": "10000", "window": "calendar_month"},
                ],
            },
            request_only=True,
        )
    ]
)
class PlanInput(serializers.ModelSerializer):
    limits = PlanLimitSerializer(
        many=True, required=False, help_text="All of them: what is not in the list is deleted."
    )

    class Meta:
        model = Plan
        fields = ["name", "description", "needs_approval", "enabled", "limits"]


class PlanViewSet(Resource):
    """The terms on which applications use APIs."""

    queryset = Plan.objects.prefetch_related("limits")
    serializer_class = PlanSerializer
    input_class = PlanInput
    filterset_fields = {
        "name": ["exact", "icontains"],
        "enabled": ["exact"],
        "needs_approval": ["exact"],
    }
    search_fields = ["name", "description"]
    ordering_fields = ["name", "created_at", "updated_at"]

    def store(self, row: Plan, data: dict[str, Any]) -> Plan:
        limits = children(Limit, data.pop("limits", None))
        return access.save_plan(plan=assign(row, data), limits=limits)


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = SubscriptionEvent
        fields = ["action", "actor_name", "reason", "created_at"]
        read_only_fields = fields


class SubscriptionSerializer(serializers.ModelSerializer):
    events = EventSerializer(many=True, help_text="Who did what, when and why; oldest first.")

    class Meta:
        model = Subscription
        fields = [
            "id",
            "application",
            "api",
            "plan",
            "status",
            "events",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class ReasonInput(serializers.Serializer):
    reason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, default="", help_text="Kept with it."
    )


class SubscriptionInput(serializers.ModelSerializer):
    reason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="What it is wanted for."
    )

    class Meta:
        model = Subscription
        fields = ["application", "api", "plan", "reason"]


class SubscriptionViewSet(ShowsUse, ReadOnly):
    """Applications' use of APIs: requested, then approved or rejected, perhaps revoked."""

    queryset = Subscription.objects.prefetch_related("events")
    serializer_class = SubscriptionSerializer
    input_class = SubscriptionInput
    filterset_fields = {
        "application": ["exact"],
        "api": ["exact"],
        "plan": ["exact"],
        "status": ["exact", "in"],
    }
    search_fields = ["application__name", "api__name", "plan__name"]
    ordering_fields = ["created_at", "updated_at", "status"]
    ordering = ["-created_at"]

    def counted(self, row: Subscription, snapshot: TenantSnapshot) -> list[Counted]:
        return limit_use.of_subscription(snapshot, str(row.pk))

    @extend_schema(responses={201: SubscriptionSerializer})
    def create(self, request: Request) -> Response:
        """Request the use of an API; approved at once where the plan needs no approval."""
        row = access.request_subscription(actor=request.user, **self.read())
        return self.tell(row, status.HTTP_201_CREATED)

    @extend_schema(request=ReasonInput, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Pending to approved."""
        return self._decide(access.approve_subscription)

    @extend_schema(request=ReasonInput, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Pending to rejected."""
        return self._decide(access.reject_subscription)

    @extend_schema(request=ReasonInput, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Approved to revoked."""
        return self._decide(access.revoke_subscription)

    def _decide(self, service: Callable[..., Subscription]) -> Response:
        given = ReasonInput(data=self.request.data)
        given.is_valid(raise_exception=True)
        row = self.get_object()
        actor = self.request.user
        return self.tell(service(subscription=row, actor=actor, **given.validated_data))
