"""The usage part of the tenant's home: figures, charts, the largest, and the last minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils import timezone

from analytics import queries
from analytics.access import tenant_session
from analytics.admin import charts, text
from analytics.admin.choices import carried, choices
from analytics.admin.figures import calls_url, cards, table
from analytics.admin.records import brief
from analytics.admin.state import RANGES, State, read
from analytics.queries import Filters, QueryError, Range

BY_HOUR = timedelta(days=8)
"""Ranges up to this are drawn by hour, where ``best_interval`` would draw days."""
LIVE = timedelta(minutes=15)
LATEST = 5


def usage(request: HttpRequest) -> dict[str, Any] | None:
    """What ``admin/analytics/dashboard.html`` shows; None for those who may not see usage."""
    if not request.user.has_perm("analytics.view_usagerecord"):
        return None
    state, tenant = replace(read(request.GET), columns={}), request.tenant.pk
    with tenant_session(tenant):
        try:
            points, interval = _series(tenant, state)
        except QueryError as error:
            told = (*state.problems, str(error))
            state = replace(read({}), filters=state.filters, problems=told)
            points, interval = _series(tenant, state)
        now = queries.totals(tenant, state.rng, state.filters)
        before = queries.totals(tenant, state.before, state.filters)
        demo = demo_note(tenant, state, now.calls)
    drawn = charts.drawn(state, points, interval)
    return {
        "state": state,
        "interval": interval,
        "period": period(state),
        "compared": _compared(state, before.calls),
        "ranges": ranges(state),
        "choices": choices(state.filters),
        "carried": carried(state),
        "cards": cards(state, now, before),
        "calls": now.calls,
        "calls_url": calls_url(state),
        "longer": state.query(range="30d"),
        "reset": reverse("admin:index"),
        "demo": demo,
        "charts": charts.charts(drawn, interval),
        "has_tokens": bool(now.tokens or now.cost),
        "has_savings": bool(now.saved),
        "rows": charts.rows(drawn),
        "tables": [
            table(state, by, queries.grouped(tenant, state.rng, state.filters, by))
            for by in ("api", "application", "model")
        ]
        if now.calls
        else [],
        "live": last_minutes(request, state.filters),
        "live_url": reverse("usage:live") + state.query(range=None),
    }


def live(request: HttpRequest) -> JsonResponse:
    """The last minutes, for the page to draw again when the socket says that they changed."""
    answer = JsonResponse(last_minutes(request, read(request.GET).filters))
    answer["Cache-Control"] = "no-store"
    return answer


def last_minutes(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    """Calls by minute and the latest few of them; texts are ready to be shown."""
    tenant = request.tenant.pk
    this_minute = timezone.now().replace(second=0, microsecond=0)
    end = this_minute + timedelta(minutes=1)
    rng = Range(end - LIVE, end)
    state = State("custom", rng, filters)
    with tenant_session(tenant):
        points = queries.series(tenant, rng, filters, "minute")
        page = queries.records(tenant, rng, filters, limit=LATEST)
    drawn = charts.charts(charts.drawn(state, points, "minute"), "minute")
    calls = sum(point.totals.calls for point in points)
    return {
        "labels": drawn["labels"],
        "titles": drawn["titles"],
        "urls": drawn["urls"],
        "charts": {"live": drawn["charts"]["calls"]},
        "calls": calls,
        "text": f"{text.count(calls)} call{'' if calls == 1 else 's'} in the last 15 minutes",
        "latest": [brief(record) for record in page.rows],
    }


def ranges(state: State) -> list[dict[str, Any]]:
    """The links to the named ranges."""
    return [
        {"label": label, "url": state.query(range=name), "chosen": state.chosen == name}
        for name, (label, _, _) in RANGES.items()
    ]


def period(state: State) -> dict[str, str]:
    """The range in words, and its bounds for the form."""
    start, end = state.rng.start, state.rng.end
    until = text.moment(end) if state.chosen == "custom" else "now"
    return {
        "text": f"{text.moment(start)} to {until} (UTC)",
        "from": f"{start:%Y-%m-%dT%H:%M}" if state.chosen == "custom" else "",
        "to": f"{end:%Y-%m-%dT%H:%M}" if state.chosen == "custom" else "",
    }


def _compared(state: State, calls_before: int) -> str:
    """What the changes are against, in words."""
    if not calls_before:
        return "nothing before that to compare with"
    if state.chosen == "custom":
        return "compared with as much time before"
    return f"compared with the {RANGES[state.chosen][0]} before"


def _series(tenant: Any, state: State) -> tuple[list[queries.Point], str]:
    interval = queries.best_interval(state.rng)
    if interval == "day" and state.rng.length <= BY_HOUR:
        interval = "hour"
    return queries.series(tenant, state.rng, state.filters, interval), interval


def demo_note(
    tenant: Any, state: State, calls: int, filters: Filters | None = None
) -> dict[str, str] | None:
    """Says that some of the calls were never made, and leads to the others; or back. ``calls``
    are those of the range that ``filters`` let through, which are the state's if not given."""
    if not state.filters.include_demo:
        return {"text": "Demo data is left out.", "label": "Include", "url": state.query(demo=None)}
    filters = replace(filters or state.filters, include_demo=False)
    real = queries.estimate(tenant, state.rng, filters)
    if real == calls:
        return None
    return {
        "text": f"{text.count(calls - real)} of these calls are demo data.",
        "label": "Leave out",
        "url": state.query(demo="no"),
    }
