"""``/api/applications/<id>/limits/`` and ``/api/subscriptions/<id>/limits/``"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.limits import use as limit_use
from catalog.limits.counters import Counted, named
from catalog.limits.policies import limit_policy
from catalog.limits.use import Use
from catalog.models import Limit
from catalog.store import StoreError
from contract.policies import Limit as Policy
from contract.snapshot import TenantSnapshot

_WINDOWS = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}


class CountersUnavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "counters_unavailable"
    default_detail = "The counters cannot be read now. Try again in a few seconds."


class UseSerializer(serializers.Serializer):
    """Amounts are decimal texts: whole numbers, or money in ``currency``."""

    limit = serializers.UUIDField(
        allow_null=True, help_text="Its id here; null for one of the account tier."
    )
    set_on = serializers.ChoiceField(
        ["account_tier", "tenant", "plan", "application", "key", "api"],
        help_text="What the limit is set on.",
    )
    counted_for = serializers.ChoiceField(
        ["tenant", "api", "plan", "subscription", "application", "key"],
        help_text="Whose calls share this counter.",
    )
    counted_id = serializers.CharField(help_text="The id of that; empty for the tenant.")
    counted_name = serializers.CharField(help_text="And what it is called.")
    measure = serializers.ChoiceField(Limit.Measure.choices)
    currency = serializers.CharField(help_text="Of a cost; otherwise empty.")
    window = serializers.ChoiceField(
        Limit.Window.choices, allow_blank=True, help_text="Empty for calls at once."
    )
    amount = serializers.CharField(help_text="At most so much.")
    used = serializers.CharField()
    reserved = serializers.CharField(help_text="Held for calls under way.")
    remaining = serializers.CharField()
    resets_at = serializers.DateTimeField(
        allow_null=True,
        help_text="The end of the calendar period, or when all is free again of what was used in "
        "a sliding window; null where nothing is.",
    )


class ShowsUse:
    """For resources whose calls are limited: adds ``<id>/limits/``."""

    @extend_schema(responses=UseSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def limits(self, request: Request, pk: str) -> Response:
        """Every limit on its calls, and how much of it is used now.

        These are the numbers that the gateways go by, as `/v1/limits` tells them to the
        application itself. End users are not among them: each is counted as it calls.
        """
        row = self.get_object()
        try:
            snapshot = limit_use.in_force(request.tenant)
            uses = limit_use.read_all(snapshot, self.counted(row, snapshot))
        except StoreError as error:
            raise CountersUnavailable from error
        ids, names = _ids(), named(snapshot)
        return Response(UseSerializer([_row(use, ids, names) for use in uses], many=True).data)

    def counted(self, row: Any, snapshot: TenantSnapshot) -> list[Counted]:
        raise NotImplementedError


def _ids() -> dict[tuple[str, str, Policy], UUID]:
    """The tenant's limits by what gateways know of them."""
    return {
        (row.place, str(getattr(row, f"{row.place}_id", None) or ""), limit_policy(row)): row.pk
        for row in Limit.objects.all()
    }


def _row(use: Use, ids: dict, names: dict[str, str]) -> dict[str, Any]:
    one = use.counted
    limit_id = ids.get((one.place, one.place_id, one.limit))

    def told(units: int) -> str:
        amount = Decimal(units).scaleb(-6) if one.limit.measure == "cost" else Decimal(units)
        return f"{amount.normalize():f}" if amount else "0"

    return {
        "limit": limit_id,
        "set_on": one.place or ("tenant" if limit_id else "account_tier"),
        "counted_for": one.scope,
        "counted_id": one.identifier,
        "counted_name": names.get(one.identifier, ""),
        "measure": one.limit.measure,
        "currency": one.limit.currency if one.limit.measure == "cost" else "",
        "window": f"calendar_{one.limit.period}"
        if one.limit.period
        else _WINDOWS.get(one.limit.window, ""),
        "amount": told(one.limit.amount),
        "used": told(use.used),
        "reserved": told(use.reserved),
        "remaining": told(use.remaining),
        "resets_at": use.resets_at,
    }
