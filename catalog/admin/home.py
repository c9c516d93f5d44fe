"""The tenant's first page: what is live, what waits for somebody, and what to do next."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest
from django.urls import reverse

from catalog.admin.addresses import gateway_address
from catalog.admin.applications import usable
from catalog.admin.cells import badge, buttons, link, moment, section
from catalog.admin.publications import STATUS_LABELS
from catalog.models import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Plan,
    Prompt,
    Provider,
    Subscription,
    Upstream,
)
from catalog.selectors import latest_publication
from tenants.sites import tenant_site

SHOWN = 8


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What ``admin/home.html`` shows on top of the site's usual context."""
    steps, cards = _steps(), _cards()
    return {
        **context,
        "gateway": gateway_address(request),
        "cards": cards,
        "waiting": cards[-1] if cards[-1]["count"] else None,
        "sections": [_pending(request), _providers(), _published(request)],
        "publication": _publication(),
        "steps": [] if all(step["done"] for step in steps) else steps,
    }


def _url(model: type, page: str = "changelist", query: str = "") -> str:
    return reverse(f"admin:catalog_{model._meta.model_name}_{page}") + query


def _cards() -> list[dict[str, Any]]:
    apis = Api.objects.aggregate(
        published=Count("pk", filter=Q(state="published")),
        drafts=Count("pk", filter=Q(state="draft")),
    )
    models = AIModel.objects.filter(enabled=True).count()
    prompts = Prompt.objects.filter(api__state="published").count()
    pending = Subscription.objects.filter(status="pending").count()
    return [
        {
            "count": apis["published"],
            "label": "published APIs",
            "note": f"drafts: {apis['drafts']}",
            "url": _url(Api, query="?state__exact=published"),
        },
        {"count": models, "label": "AI models", "note": "in use", "url": _url(AIModel)},
        {"count": prompts, "label": "published prompts", "note": "as APIs", "url": _url(Prompt)},
        {
            "count": pending,
            "label": "subscriptions to decide",
            "note": "pending",
            "url": _url(Subscription, query="?status__exact=pending"),
        },
    ]


def _pending(request: HttpRequest) -> dict[str, Any]:
    admin = tenant_site.get_model_admin(Subscription)
    pending = Subscription.objects.filter(status="pending").order_by("created_at")
    rows = pending.select_related("application", "api", "plan")
    decides = admin.has_change_permission(request)
    return section(
        "Subscriptions to decide",
        ["Application", "API", "Plan", "Asked", ""],
        [
            [
                link(row, str(row.application)),
                row.api,
                row.plan,
                moment(row.created_at),
                buttons(admin.deed_buttons(request, row)) if decides else "",
            ]
            for row in rows[:SHOWN]
        ],
        empty="Nobody is waiting.",
        more=("All pending", _url(Subscription, query="?status__exact=pending")),
    )


def _providers() -> dict[str, Any]:
    waiting = Provider.objects.filter(enabled=True, needs_credential=True, credential=None)
    return section(
        "AI providers waiting for a key",
        ["Provider", "Address"],
        [[link(provider), provider.base_url] for provider in waiting[:SHOWN]],
        empty="Every provider in use has what it needs.",
    )


def _published(request: HttpRequest) -> dict[str, Any]:
    rows = Api.objects.filter(state="published").order_by("-updated_at")
    return section(
        "Published APIs",
        ["API", "Kind", "Listens at"],
        [[link(api), api.get_kind_display(), api.listen_path or "/"] for api in rows[:SHOWN]],
        empty="Nothing is published yet.",
        more=("All APIs", _url(Api)),
    )


def _publication() -> dict[str, Any] | None:
    last = latest_publication()
    if last is None:
        return None
    status = last.get_status_display()
    return {
        "label": badge(status, STATUS_LABELS.get(status, "")),
        "link": link(last),
        "moment": moment(last.updated_at),
        "problem": last.problem,
    }


def _steps() -> list[dict[str, Any]]:
    """From nothing to a first answered call."""
    published = Api.objects.filter(state="published")
    keys = ApiKey.objects.filter(usable())
    ready = Subscription.objects.filter(
        Exists(ApiKey.objects.filter(application=OuterRef("application"))), status="approved"
    )
    steps = [
        ("Add an upstream: the service that answers", Upstream, Upstream.objects),
        ("Publish an API in front of it, or a prompt", Api, published),
        ("Make a plan: how much an application may call", Plan, Plan.objects),
        ("Add an application: a client of your APIs", Application, Application.objects),
        ("Issue its key", ApiKey, keys),
        ("Subscribe it to an API and approve that", Subscription, ready),
    ]
    return [
        {"text": text, "url": _url(model, "add"), "done": rows.exists()}
        for text, model, rows in steps
    ]


tenant_site.index_template = "admin/home.html"
