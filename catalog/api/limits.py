"""/api/limits/"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django_filters.rest_framework import BooleanFilter, FilterSet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from catalog.api.base import ChildSerializer, Resource, assign
from catalog.models import Limit
from catalog.models.limits import PLACES
from catalog.services import limits

_FIELDS = ["measure", "amount", "currency", "window", "per", "mode", "then", "fallback"]


class AmountField(serializers.DecimalField):
    """``"60"`` or ``"12.5"``: a decimal text without needless zeros."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_digits=18,
            decimal_places=6,
            max_value=Decimal(9_000_000_000),
            help_text="A whole number, or for a cost an amount of money in its currency.",
            **options,
        )

    def to_representation(self, value: Decimal) -> str:
        return f"{Decimal(value).normalize():f}"


class LimitSerializer(serializers.ModelSerializer):
    amount = AmountField()

    class Meta:
        model = Limit
        fields = ["id", *PLACES, *_FIELDS, "created_at", "updated_at"]
        read_only_fields = fields


class PlanLimitSerializer(ChildSerializer):
    """A limit inside the plan that it is set on; for each subscription unless it says so."""

    amount = AmountField()

    class Meta:
        model = Limit
        fields = ["id", *_FIELDS]
        extra_kwargs: ClassVar = {"per": {"help_text": "`subscription` unless it says so."}}

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Not by ``default``, which DRF leaves out where a PATCH of the plan holds the list."""
        return {"per": Limit.Per.SUBSCRIPTION} | data


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A budget for one application",
            value={
                "application": "0b0e6f3e-4c4b-4f07-9a51-0f6f6f1f3b11",
                "measure": "cost",
                "amount": "250.00",
                "currency": "EUR",
                "window": "calendar_month",
            },
            request_only=True,
        ),
        OpenApiExample(
            "Calls at once, for the whole tenant",
            value={"measure": "concurrency", "amount": "50"},
            request_only=True,
        ),
    ]
)
class LimitInput(serializers.ModelSerializer):
    amount = AmountField()

    class Meta:
        model = Limit
        fields = [*PLACES, *_FIELDS]
        validators: ClassVar = []  # the model's own say which field is at fault


class LimitFilter(FilterSet):
    tenant = BooleanFilter(method="by_tenant", label="Set on the whole tenant.")

    class Meta:
        model = Limit
        fields = [*PLACES, "measure", "window", "per", "mode"]

    def by_tenant(self, queryset: Any, name: str, value: bool) -> Any:
        whole = dict.fromkeys(PLACES)
        return queryset.filter(**whole) if value else queryset.exclude(**whole)


class LimitViewSet(Resource):
    """How much may be used: of a plan, an application, an API key, an API, or by the tenant."""

    queryset = Limit.objects.all()
    serializer_class = LimitSerializer
    input_class = LimitInput
    filterset_class = LimitFilter
    search_fields = ["plan__name", "application__name", "key__name", "key__prefix", "api__name"]
    ordering_fields = ["measure", "window", "per", "amount", "created_at", "updated_at"]

    def store(self, row: Limit, data: dict[str, Any]) -> Limit:
        return limits.save_limit(limit=assign(row, data))
