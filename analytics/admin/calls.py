"""The call log and the page of a call. Read only; paged by key, so any page costs the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics import queries
from analytics.admin import text
from analytics.admin.choices import carried, choices
from analytics.admin.dashboard import period, ranges
from analytics.admin.figures import calls_url
from analytics.admin.records import lines, whole
from analytics.admin.state import EPOCH, MICROSECOND, State, read
from analytics.queries import NOTHING, Filters, QueryError, Range
from tenants.sites import tenant_site

View = Callable[..., HttpResponse]

CLASSES = [("", "All"), ("2", "2xx"), ("3", "3xx"), ("4", "4xx"), ("5", "5xx")]
_RECORD_FIELDS = (
    ("status", "Status code", "429"),
    ("error_code", "Error code", "rate_limit_exceeded"),
    ("method", "Method", "GET"),
    ("path", "Path begins with", "/weather"),
    ("slower_ms", "Slower than, ms", "500"),
    ("min_attempts", "Attempts, at least", "2"),
    ("request_id", "Request id", ""),
)


def page(view: View) -> View:
    """A page of the tenant's console for those who may see usage."""

    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm("analytics.view_usagerecord"):
            raise PermissionDenied
        request.current_app = tenant_site.name
        return view(request, *args, **kwargs)

    checked.__name__ = view.__name__
    return tenant_site.admin_view(checked)


def log(request: HttpRequest) -> HttpResponse:
    """The records of the range, newest first."""
    state, tenant = read(request.GET), request.tenant.pk
    before, after = request.GET.get("before") or None, request.GET.get("after") or None
    try:
        found = queries.records(
            tenant, state.rng, state.filters, before, after, **state.record_filters
        )
    except QueryError as error:
        state = replace(state, problems=(*state.problems, f"{error} Shown are the newest."))
        found = queries.records(tenant, state.rng, state.filters, **state.record_filters)
    context = {
        "title": "Calls",
        "state": state,
        "ranges": ranges(state),
        "period": period(state),
        "choices": choices(state.filters),
        "fields": _fields(state),
        "detailed": bool(state.columns),
        "carried": carried(state, "class", *(name for name, _, _ in _RECORD_FIELDS)),
        "reset": reverse("usage:calls"),
        "calls": lines(found.rows),
        "csv": _csv(state) if found.rows else "",
        "told": _told(tenant, state),
        "newest": state.query() if before or after else "",
        "newer": state.query(after=found.previous) if found.previous else "",
        "older": state.query(before=found.next) if found.next else "",
        "searched_to": text.moment(found.searched_to, seconds=True) if found.searched_to else "",
        "dashboard": reverse("admin:index") + _without_columns(state).query(),
    }
    return rendered(request, "admin/analytics/calls.html", context)


def call(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """All of one call; 404 for those of other tenants as for those that never were."""
    record = queries.record(request.tenant.pk, request_id, _at(request.GET.get("at", "")))
    if record is None:
        raise Http404
    around = Range(record.at - timedelta(minutes=1), record.at + timedelta(minutes=1))
    context = {
        "title": f"{record.method} {record.path}",
        "record": record,
        "back": reverse("usage:calls"),
        "around": calls_url(State("custom", around, Filters())),
        **whole(record),
    }
    return rendered(request, "admin/analytics/call.html", context)


def rendered(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """With what every page of the console has."""
    return TemplateResponse(request, template, {**tenant_site.each_context(request), **context})


def _fields(state: State) -> list[dict[str, Any]]:
    kinds = {
        "name": "class",
        "label": "Status",
        "value": str(state.filters.status_class or ""),
        "options": CLASSES,
    }
    return [
        kinds,
        *(
            {
                "name": name,
                "label": label,
                "value": str(state.columns.get(name, "")),
                "placeholder": placeholder,
            }
            for name, label, placeholder in _RECORD_FIELDS
        ),
    ]


def _told(tenant: Any, state: State) -> str:
    """How many there are, as far as roll-ups know: they know no paths and no codes."""
    number = queries.estimate(tenant, state.rng, state.filters)
    calls = f"{text.about(number)} call{'' if number == 1 else 's'}"
    return f"Some of {calls}" if state.columns else calls[0].upper() + calls[1:]


def _csv(state: State) -> str:
    """The management API's export of the same calls."""
    filters = state.filters
    asked = {
        "start": state.rng.start.isoformat(),
        "end": state.rng.end.isoformat(),
        **{column.removesuffix("_id"): id_ for column, id_ in filters.ids()},
        "status_class": filters.status_class,
        "demo": None if filters.include_demo else "false",
        **state.record_filters,
    }
    given = {
        name: "none" if value == NOTHING else value
        for name, value in asked.items()
        if value is not None
    }
    return f"{reverse('usage-export')}?{urlencode(given)}"


def _without_columns(state: State) -> State:
    return replace(state, columns={}, filters=replace(state.filters, status_class=None))


def _at(microseconds: str) -> datetime | None:
    """The moment in the address; None without one, and then the record is looked for."""
    try:
        return EPOCH + int(microseconds) * MICROSECOND
    except (ValueError, OverflowError):
        return None
