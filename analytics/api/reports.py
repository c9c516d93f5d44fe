"""/api/usage/reports/"""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request

from analytics import reports
from analytics.api.watch_schema import WatchSchema
from analytics.models import TrendReport
from analytics.own_rows import own_rows


class ReportBrief(serializers.ModelSerializer):
    class Meta:
        model = TrendReport
        fields = ["id", "kind", "period_start", "time_zone", "demo", "created_at"]
        read_only_fields = fields


class ReportOut(ReportBrief):
    body = serializers.DictField(
        help_text="`periods`, `totals`, `series`, `groups` and `movers`. Latencies are in "
        "milliseconds, cost is in millionths by currency, `error_rate` goes from 0 to 1."
    )

    class Meta(ReportBrief.Meta):
        fields = [*ReportBrief.Meta.fields, "body"]
        read_only_fields = fields


class ReportViewSet(viewsets.ReadOnlyModelViewSet):
    """Trend reports of finished days and weeks, in the tenant's time zone."""

    queryset = TrendReport.objects.none()
    schema = WatchSchema()
    filterset_fields = {"kind": ["exact"], "period_start": ["exact", "gte", "lte"]}
    ordering_fields = ["period_start"]

    def get_queryset(self) -> QuerySet[TrendReport]:
        return own_rows(TrendReport, self.request.tenant.pk).order_by("-period_start", "kind")

    def get_serializer_class(self) -> type[serializers.ModelSerializer]:
        return ReportBrief if self.action == "list" else ReportOut

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def csv(self, request: Request, pk: str) -> HttpResponse:
        """The totals and the largest groups, a line each, with the period before beside it."""
        report = self.get_object()
        name = f"{report.kind}-{report.period_start}.csv"
        return HttpResponse(
            reports.as_csv(report),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
