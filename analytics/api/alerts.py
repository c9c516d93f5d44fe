"""/api/usage/alerts/ and /api/usage/alert-events/"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.alerts import deliver, rules
from analytics.api.watch_schema import WatchSchema
from analytics.models import AlertDelivery, AlertEvent, AlertRule
from analytics.models.alerts import RULE_FIELDS
from analytics.own_rows import own_rows


class RuleOut(serializers.ModelSerializer):
    webhook_url = serializers.CharField(
        read_only=True, help_text="Empty for those who may not change rules: it may hold a secret."
    )
    signed = serializers.BooleanField(
        read_only=True, help_text="The webhook's requests carry a signature."
    )

    class Meta:
        model = AlertRule
        fields = [
            "id",
            *RULE_FIELDS,
            "signed",
            "state",
            "last_value",
            "evaluated_at",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def to_representation(self, rule: AlertRule) -> dict[str, Any]:
        told = super().to_representation(rule)
        if not self.context["request"].user.has_perm("analytics.change_alertrule"):
            told["webhook_url"] = ""
        return told


class RuleIn(serializers.ModelSerializer):
    emails = serializers.ListField(child=serializers.EmailField(), max_length=20, required=False)
    webhook_secret = serializers.CharField(
        write_only=True,
        required=False,
        allow_blank=True,
        help_text="Signs the webhook's requests. Never told again; empty takes it away, left out "
        "it stays.",
    )

    class Meta:
        model = AlertRule
        fields = [*RULE_FIELDS, "webhook_secret"]


class DeliveryOut(serializers.ModelSerializer):
    class Meta:
        model = AlertDelivery
        fields = ["channel", "status", "attempts", "outcome", "tried_at"]
        read_only_fields = fields


class EventOut(serializers.ModelSerializer):
    deliveries = DeliveryOut(many=True, read_only=True)
    rule = serializers.UUIDField(
        source="rule_id", read_only=True, allow_null=True, help_text="Null once it is deleted."
    )

    class Meta:
        model = AlertEvent
        fields = [
            "id",
            "rule",
            "rule_name",
            "metric",
            "state",
            "value",
            "threshold",
            "text",
            "at",
            "deliveries",
        ]
        read_only_fields = fields


class TestOut(serializers.Serializer):
    channel = serializers.ChoiceField(choices=AlertDelivery.Channel.choices)
    delivered = serializers.BooleanField()
    text = serializers.CharField(help_text="What became of it.")


@extend_schema_view(
    create=extend_schema(request=RuleIn, responses={201: RuleOut}),
    update=extend_schema(request=RuleIn),
    partial_update=extend_schema(request=RuleIn),
)
class RuleViewSet(viewsets.ModelViewSet):
    """Rules that watch the error rate, the latency, the cost or the silence of calls."""

    queryset = AlertRule.objects.none()
    serializer_class = RuleOut
    schema = WatchSchema()
    filterset_fields = {"metric": ["exact"], "state": ["exact"], "enabled": ["exact"]}
    search_fields = ["name"]
    ordering_fields = ["name", "created_at"]

    def get_queryset(self) -> QuerySet[AlertRule]:
        return own_rows(AlertRule, self.request.tenant.pk).order_by("name")

    def create(self, request: Request) -> Response:
        return self._save(AlertRule(), status.HTTP_201_CREATED)

    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        return self._save(self.get_object(), status.HTTP_200_OK, partial)

    def perform_destroy(self, rule: AlertRule) -> None:
        rules.delete_rule(rule=rule)

    @extend_schema(request=None, responses=TestOut(many=True))
    def test(self, request: Request, pk: str) -> Response:
        """Sends a test by each of the rule's ways, now, and tells how it went."""
        outcomes = deliver.test(self.get_object())
        return Response(TestOut(outcomes, many=True).data)

    def _save(self, rule: AlertRule, code: int, partial: bool = False) -> Response:
        given = RuleIn(data=self.request.data, partial=partial)
        given.is_valid(raise_exception=True)
        data = dict(given.validated_data)
        secret = data.pop("webhook_secret", None)
        for name, value in data.items():
            setattr(rule, name, value)
        rules.save_rule(rule=rule, tenant=self.request.tenant, secret=secret)
        fresh = self.get_queryset().get(pk=rule.pk)
        return Response(self.get_serializer(fresh).data, status=code)


class EventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """When rules fired and resolved, and whether those to be told were reached."""

    queryset = AlertEvent.objects.none()
    serializer_class = EventOut
    schema = WatchSchema()
    filterset_fields = {"rule_id": ["exact"], "state": ["exact"], "at": ["gte", "lt"]}
    ordering_fields = ["at"]

    def get_queryset(self) -> QuerySet[AlertEvent]:
        rows = own_rows(AlertEvent, self.request.tenant.pk)
        return rows.prefetch_related("deliveries").order_by("-at", "-id")
