"""The page of all models and their deployments: health now, figures over a range, a trend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from analytics.admin import text
from analytics.admin.calls import rendered
from analytics.admin.choices import carried, choices
from analytics.admin.dashboard import demo_note, period, ranges
from analytics.admin.figures import calls_url
from analytics.admin.sparkline import sparkline
from analytics.admin.state import State, read
from analytics.catalogue import Price
from analytics.model_health import (
    ATTENTION,
    HEALTH,
    SORTS,
    DeploymentLine,
    Line,
    ModelLine,
    Overview,
    Wanted,
    overview,
)
from analytics.queries import NOTHING

FILTERS = ("api", "application", "provider")
LABELS = {
    "down": ("Down", "danger"),
    "degraded": ("Degraded", "warning"),
    "unknown": ("Not known", "warning"),
    "healthy": ("Healthy", "success"),
    "off": ("Switched off", ""),
    "deleted": ("Deleted", ""),
}
_STATES = {
    "down": "Left out: probes fail",
    "open": "Left out: calls failed",
    "half-open": "Being tried again",
    "resting": "Used last for a while",
    "failing": "Some calls failed",
    "healthy": "In use",
}
_HEALTH = [
    ("", "All"),
    ("attention", "Down or degraded"),
    *((name, LABELS[name][0]) for name in HEALTH),
]
SHOWN = 20
"""Models on one page."""
_FEW = 3
"""So many models show their deployments unasked."""
_PRICES = [("", "All"), ("unknown", "Price or cost unknown")]
_COLUMNS = (
    ("Model", "name"),
    ("Health", "health"),
    ("Trend", ""),
    ("Calls", "calls"),
    ("5xx", "errors"),
    ("Median", "p50"),
    ("95 %", "p95"),
    ("First token", "first_token"),
    ("Tokens/s", "speed"),
    ("Cost", "cost"),
    ("Price now", ""),
)
_SORTS = [(sort, title) for title, sort in _COLUMNS if sort]
_HINTS = {
    "First token": "Of streamed answers: half of them began sooner; below, 95 % did",
    "Tokens/s": "Of streamed answers, from the first piece to the last",
    "Price now": "A million tokens in / out",
    "Cost": "Without the calls whose cost is unknown",
}


def models(request: HttpRequest) -> HttpResponse:
    state, wanted = _asked(request.GET)
    found = overview(request.tenant.pk, state.rng, state.filters, wanted)
    opened = _opened(state, found)
    here = replace(state, columns=state.columns | {"page": found.page if found.page > 1 else ""})
    context = {
        "title": "Model health",
        "state": state,
        "ranges": ranges(state),
        "period": period(state),
        "choices": choices(state.filters, FILTERS),
        "fields": [
            _select("health", "Health", wanted.health, _HEALTH),
            _select("price", "Price", "unknown" if wanted.unpriced else "", _PRICES),
            _select("sort", "Sort by", wanted.sort, _SORTS),
            {"name": "q", "label": "Name contains", "value": wanted.q, "placeholder": "gpt"},
        ],
        "all_shown": True,
        "carried": carried(state, "health", "price", "sort", "order", "q"),
        "reset": reverse("usage:models"),
        "told": _told(found),
        "demo": demo_note(
            request.tenant.pk, state, found.calls, replace(state.filters, any_model=True)
        ),
        "columns": [_column(title, sort, state, wanted) for title, sort in _COLUMNS],
        "models": [_model(line, here, opened) for line in found.lines],
        "all": _all(here, found, opened),
        "offered": found.offered,
        "add": reverse("admin:catalog_aimodel_add")
        if request.user.has_perm("catalog.add_aimodel")
        else "",
        "bar": _span(found.step),
        "previous": state.query(page=found.page - 1) if found.page > 1 else "",
        "next": state.query(page=found.page + 1) if found.page < found.pages else "",
        "page": found.page,
        "pages": found.pages,
    }
    return rendered(request, "admin/analytics/models.html", context)


def _asked(params: Mapping[str, str]) -> tuple[State, Wanted]:
    """``State.columns`` has this page's own parameters, so that its links keep them."""
    state, problems = read(params), []
    known = {
        "health": {value for value, _ in _HEALTH},
        "price": {"unknown"},
        "sort": set(SORTS),
        "order": {"asc", "desc"},
    }
    own = {name: params.get(name, "") for name in known}
    for name, values in known.items():
        if own[name] and own[name] not in values:
            problems.append(f"“{name}” was left out: “{own[name][:40]}” is nothing it knows.")
            own[name] = ""
    own["q"] = params.get("q", "").replace("\0", "").strip()[:120]
    own["open"] = params.get("open", "")[:36]
    page = params.get("page", "1")
    wanted = Wanted(
        q=own["q"],
        health=own["health"],
        unpriced=own["price"] == "unknown",
        sort=own["sort"] or "calls",
        ascending=own["order"] == "asc" if own["order"] else None,
        page=int(page) if page.isdecimal() and len(page) < 6 else 1,
        page_size=SHOWN,
    )
    state = replace(
        state,
        filters=replace(state.filters, status_class=None),
        columns={name: value for name, value in own.items() if value},
        problems=(*state.problems, *problems),
    )
    return state, wanted


def _select(name: str, label: str, value: str, options: list[tuple[str, str]]) -> dict[str, Any]:
    return {"name": name, "label": label, "value": value, "options": options}


def _told(found: Overview) -> str:
    models = f"{text.count(found.count)} model{'' if found.count == 1 else 's'}"
    if found.count == found.offered:
        return models
    return f"{models} of {text.count(found.offered)}" if found.count < found.offered else models


def _column(title: str, sort: str, state: State, wanted: Wanted) -> dict[str, Any]:
    """A heading; its link sorts by it, and the other way round where it is sorted by already."""
    if not sort:
        return {"title": title, "hint": _HINTS.get(title, "")}
    ascending = SORTS[sort][1]
    chosen = wanted.sort == sort
    if chosen:
        ascending = ascending if wanted.ascending is None else wanted.ascending
        order = "desc" if ascending else "asc"
    return {
        "title": title,
        "hint": _HINTS.get(title, ""),
        "url": state.query(sort=sort, order=order if chosen else None, page=None),
        "sorted": ("ascending" if ascending else "descending") if chosen else "",
    }


def _opened(state: State, found: Overview) -> set[UUID]:
    """The models whose deployments are shown."""
    asked = state.columns.get("open") or ("all" if len(found.lines) <= _FEW else "none")
    return {line.id for line in found.lines if asked in ("all", str(line.id))}


def _all(state: State, found: Overview, opened: set[UUID]) -> dict[str, str] | None:
    """The link that shows the deployments of all models, or those of none."""
    if not any(line.deployments for line in found.lines):
        return None
    if len(opened) == len(found.lines):
        return {"text": "Fold all", "url": state.query(open="none")}
    return {"text": "Show all deployments", "url": state.query(open="all")}


def _model(line: ModelLine, state: State, opened: set[UUID]) -> dict[str, Any]:
    """``state`` has the page, which links to the models' calls do not."""
    url = (
        "" if line.health == "deleted" else reverse("admin:catalog_aimodel_change", args=[line.id])
    )
    calls, is_open = replace(state, columns={}), line.id in opened
    return {
        **_figures(line, calls, model=line.id),
        "id": line.id,
        "url": url,
        "unpriced_now": line.unpriced_now,
        "places": [_place(one, line, calls) for one in line.deployments] if is_open else [],
        "fold": {
            "open": is_open,
            "text": _deployments(line),
            "url": f"{state.query(open='none' if is_open else line.id)}#model-{line.id}",
        }
        if line.deployments
        else None,
    }


def _deployments(line: ModelLine) -> str:
    """Like “3 deployments, 1 down”, so that it can be told whether to look at them."""
    count = sum(one.id != NOTHING for one in line.deployments)
    told = [f"{count} deployment{'' if count == 1 else 's'}" if count else "No deployment asked"]
    for health in HEALTH:
        same = sum(one.health == health for one in line.deployments)
        if same and health in ATTENTION:
            told.append(f"{same} {LABELS[health][0].lower()}")
    return ", ".join(told)


def _place(line: DeploymentLine, model: ModelLine, state: State) -> dict[str, Any]:
    place = line.place
    return {
        **_figures(line, state, model=model.id, deployment=line.id),
        "nothing": line.id == NOTHING,
        "provider": place.provider if place else line.name,
        "deployed": place.name if place else "",
        "region": place.region if place else "",
        "workers": _workers(line),
        "price": _price(place.price) if place else None,
    }


def _figures(line: Line, state: State, **only: Any) -> dict[str, Any]:
    totals, url = line.totals, calls_url(state, **only)
    health, colour = LABELS.get(line.health, ("", ""))
    first = totals.p50_first_token_us, totals.p95_first_token_us
    return {
        "name": line.name,
        "health": health,
        "colour": colour,
        "trend": sparkline(line.trend),
        "calls": text.short(totals.calls),
        "calls_url": url if totals.calls else "",
        "limited": text.short(totals.limited) if totals.limited else "",
        "errors": text.share(totals.server_errors, totals.calls),
        "errors_url": calls_url(state, **only, **{"class": 5}) if totals.server_errors else "",
        "client_errors": text.share(totals.client_errors, totals.calls)
        if totals.client_errors
        else "",
        "client_errors_url": calls_url(state, **only, **{"class": 4}),
        "p50": text.duration(totals.p50_us),
        "p95": text.duration(totals.p95_us),
        "first_token": text.duration(first[0]),
        "first_token_95": text.duration(first[1]) if first[1] is not None else "",
        "speed": text.NOTHING
        if totals.tokens_per_second is None
        else f"{totals.tokens_per_second:,.1f}",
        "cost": "Unknown" if line.cost is None else text.costs(line.cost),
        "unpriced": _unpriced(line),
    }


def _unpriced(line: Line) -> str:
    """Flags a cost that is not all of it."""
    count = line.totals.unpriced
    return f"{text.short(count)} unpriced" if count else ""


def _workers(line: DeploymentLine) -> dict[str, str]:
    """What is held against it, and by how many of the workers that have something to tell."""
    if not line.seen:
        return {}
    same = [one for one in line.seen if one.state == line.seen[0].state]
    hosts = ", ".join(sorted({one.host for one in same}))
    return {
        "text": _STATES[line.seen[0].state],
        "count": f"{len(same)} of {len(line.seen)} workers",
        "hosts": f"On {hosts}",
    }


def _price(price: Price) -> dict[str, Any]:
    said = [_in_and_out(price)] if price.input is not None else []
    said += [f"{price.besides} {price.currency}"] if price.besides else []
    return {"known": price.known, "text": "; ".join(said)}


def _in_and_out(price: Price) -> str:
    parts = [price.input, price.output]
    if price.known and price.output is None:
        parts.pop()
    return f"{' / '.join(map(_amount, parts))} {price.currency}"


def _amount(amount: Decimal | None) -> str:
    """With two decimals, or as many as it has."""
    if amount is None:
        return "?"
    plain = f"{amount.normalize():f}"
    return plain if len(plain.partition(".")[2]) > 2 else f"{amount:,.2f}"


def _span(step: timedelta) -> str:
    """``2 minutes``, ``6 hours``, ``1 day``."""
    for unit, name in (
        (timedelta(days=1), "day"),
        (timedelta(hours=1), "hour"),
        (timedelta(minutes=1), "minute"),
    ):
        if step >= unit:
            count = step // unit
            return f"{count} {name}s" if count > 1 else f"1 {name}"
    raise AssertionError("never reached")
