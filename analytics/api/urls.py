"""Below ``/api/usage/`` of a tenant's host."""

from __future__ import annotations

from django.urls import path

from analytics.api.alerts import EventViewSet, RuleViewSet
from analytics.api.models import ModelsView
from analytics.api.reports import ReportViewSet
from analytics.api.views import (
    ExportView,
    RecordsView,
    RecordView,
    SeriesView,
    TopView,
    TotalsView,
)

_READ = {"get": "retrieve"}
_CHANGE = {"put": "update", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("models/", ModelsView.as_view(), name="usage-models"),
    path("records/", RecordsView.as_view(), name="usage-records"),
    path("records/<uuid:id>/", RecordView.as_view(), name="usage-record"),
    path("records.csv", ExportView.as_view(), name="usage-export"),
    path("series/", SeriesView.as_view(), name="usage-series"),
    path("totals/", TotalsView.as_view(), name="usage-totals"),
    path("top/", TopView.as_view(), name="usage-top"),
    path("reports/", ReportViewSet.as_view({"get": "list"}), name="usage-reports"),
    path("reports/<uuid:pk>/", ReportViewSet.as_view(_READ), name="usage-report"),
    path("reports/<uuid:pk>.csv", ReportViewSet.as_view({"get": "csv"}), name="usage-report-csv"),
    path("alerts/", RuleViewSet.as_view({"get": "list", "post": "create"}), name="usage-alerts"),
    path("alerts/<uuid:pk>/", RuleViewSet.as_view(_READ | _CHANGE), name="usage-alert"),
    path("alerts/<uuid:pk>/test/", RuleViewSet.as_view({"post": "test"}), name="usage-alert-test"),
    path("alert-events/", EventViewSet.as_view({"get": "list"}), name="usage-alert-events"),
    path("alert-events/<uuid:pk>/", EventViewSet.as_view(_READ), name="usage-alert-event"),
]
