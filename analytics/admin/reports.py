"""Trend reports: a list, a page for each, and the page as CSV."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import register
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from analytics import reports
from analytics.admin import text
from analytics.admin.charts import line
from analytics.admin.figures import calls_url
from analytics.admin.own import ReadOnlyAdmin
from analytics.admin.state import State
from analytics.models import TrendReport
from analytics.queries import Filters, Range
from tenants.sites import tenant_site

_TITLES = {"api": "API", "application": "Application", "model": "Model"}
_LOWER = _TITLES | {"application": "application", "model": "model"}
_AGAINST = {"daily": "the day before", "weekly": "the week before"}


@register(TrendReport, site=tenant_site)
class ReportAdmin(ReadOnlyAdmin):
    list_display = ["period", "kind_label", "calls", "errors", "p95", "cost", "created_at"]
    list_filter = [("kind", ChoicesDropdownFilter)]
    date_hierarchy = None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.csv)
        return [
            path("<uuid:object_id>/csv/", view, name="analytics_trendreport_csv"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        report = self._readable(request, object_id)
        request.current_app = self.admin_site.name
        context = {**self.admin_site.each_context(request), "opts": self.opts, **_page(report)}
        return TemplateResponse(request, "admin/analytics/report.html", context)

    def csv(self, request: HttpRequest, object_id: str) -> HttpResponse:
        report = self._readable(request, object_id)
        return csv_response(report)

    def _readable(self, request: HttpRequest, object_id: object) -> TrendReport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.object_or_404(request, object_id)

    @display(description="Period", ordering="period_start")
    def period(self, report: TrendReport) -> str:
        return str(report)

    @display(description="Kind", ordering="kind", label={"Daily": "info", "Weekly": "success"})
    def kind_label(self, report: TrendReport) -> str:
        return report.get_kind_display()

    @display(description="Calls")
    def calls(self, report: TrendReport) -> str:
        now, before = _sides(report)
        change = text.change(now["calls"], before["calls"])
        return f"{now['calls']:,} ({change})" if change else f"{now['calls']:,}"

    @display(description="Failed (5xx)")
    def errors(self, report: TrendReport) -> str:
        now, _ = _sides(report)
        return text.share(now["server_errors"], now["calls"])

    @display(description="95th percentile")
    def p95(self, report: TrendReport) -> str:
        return _duration(_sides(report)[0]["p95_ms"])

    @display(description="Cost")
    def cost(self, report: TrendReport) -> str:
        totals = _sides(report)[0]
        return text.costs(totals["cost"], totals.get("unpriced", 0))


def csv_response(report: TrendReport) -> HttpResponse:
    """A report as a file to keep."""
    name = f"{report.kind}-{report.period_start}.csv"
    return HttpResponse(
        reports.as_csv(report),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _sides(report: TrendReport) -> tuple[dict[str, Any], dict[str, Any]]:
    totals = report.body["totals"]
    return totals["this"], totals["before"]


def _page(report: TrendReport) -> dict[str, Any]:
    body = report.body
    return {
        "title": f"{report.get_kind_display()} report, {report}",
        "report": report,
        "against": _AGAINST[report.kind],
        "csv": reverse("admin:analytics_trendreport_csv", args=[report.pk]),
        "back": reverse("admin:analytics_trendreport_changelist"),
        "cards": _cards(body),
        "charts": _charts(report),
        "has_cost": bool(body["totals"]["this"]["cost"]),
        "movers": [_mover(by, row) for by in reports.BY for row in body["movers"][by]],
        "tables": [
            {"title": f"By {_LOWER[by]}", "column": _TITLES[by], "rows": rows}
            for by in reports.BY
            if (rows := [_row(row) for row in body["groups"][by]])
        ],
    }


def _cards(body: dict[str, Any]) -> list[dict[str, str]]:
    now, before = body["totals"]["this"], body["totals"]["before"]
    week_ago = body["totals"].get("week_ago")

    def card(label: str, value: str, name: str) -> dict[str, str]:
        then = week_ago[name] if week_ago else None
        note = text.change(now[name], then)
        return {
            "label": label,
            "value": value,
            "change": text.change(now[name], before[name]),
            "note": f"{note} against the week before" if note else "",
        }

    cards = [
        card("Calls", text.count(now["calls"]), "calls"),
        card("Failed (5xx)", text.share(now["server_errors"], now["calls"]), "server_errors"),
        card("Refused (4xx)", text.share(now["client_errors"], now["calls"]), "client_errors"),
        card("Median latency", _duration(now["p50_ms"]), "p50_ms"),
        card("95th percentile", _duration(now["p95_ms"]), "p95_ms"),
        card("99th percentile", _duration(now["p99_ms"]), "p99_ms"),
        card("Tokens in", text.short(now["input_tokens"]), "input_tokens"),
        card("Tokens out", text.short(now["output_tokens"]), "output_tokens"),
    ]
    for currency, micros in now["cost"].items():
        change = text.change(micros, before["cost"].get(currency))
        value = text.money(micros)
        cards.append({"label": f"Cost, {currency}", "value": value, "change": change, "note": ""})
    return cards


def _charts(report: TrendReport) -> dict[str, Any]:
    """As ``analytics.admin.charts`` tells the dashboard's."""
    points = report.body["series"]
    starts = [datetime.fromisoformat(point["start"]) for point in points]
    daily = report.kind == TrendReport.Kind.DAILY
    step = timedelta(hours=1) if daily else timedelta(days=1)
    currencies = sorted({name for point in points for name in point["cost"]})
    return {
        "labels": [f"{at:%H:%M}" if daily else f"{at:%a} {at.day}" for at in starts],
        "titles": [f"{at:%H:%M}" if daily else f"{at:%A}, {at.day} {at:%B}" for at in starts],
        "urls": [calls_url(State("custom", Range(at, at + step), Filters())) for at in starts],
        "charts": {
            "calls": [
                line("Answered", [point["calls"] - point["errors"] for point in points], "good"),
                line("4xx, 5xx", [point["errors"] for point in points], "bad"),
            ],
            "latency": [line("95 %", [point["p95_ms"] for point in points], "second")],
            "cost": [
                line(name, [point["cost"].get(name, 0) / 1_000_000 for point in points], colour)
                for name, colour in zip(currencies, ("first", "second", "third"), strict=False)
            ],
        },
    }


def _mover(by: str, row: dict[str, Any]) -> dict[str, str]:
    change = text.change(row["this"]["calls"], row["before"]["calls"])
    return {
        "by": _TITLES[by],
        "name": row["name"],
        "now": text.count(row["this"]["calls"]),
        "before": text.count(row["before"]["calls"]),
        "change": f"{row['change']:+,}",
        "percent": "new" if row["new"] else "gone" if row["gone"] else change,
        "up": row["change"] > 0,
    }


def _row(row: dict[str, Any]) -> dict[str, str]:
    now, before = row["this"], row["before"]
    return {
        "name": row["name"],
        "calls": text.count(now["calls"]),
        "change": text.change(now["calls"], before["calls"]),
        "errors": text.share(now["server_errors"], now["calls"]),
        "p95": _duration(now["p95_ms"]),
        "tokens": f"{text.short(now['input_tokens'])} / {text.short(now['output_tokens'])}",
        "cost": text.costs(now["cost"], now.get("unpriced", 0)),
    }


def _duration(milliseconds: float | None) -> str:
    return text.duration(None if milliseconds is None else round(milliseconds * 1000))
