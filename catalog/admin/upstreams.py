"""Upstreams with their targets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from catalog import target_states
from catalog.admin.base import CatalogAdmin, CatalogForm, CatalogInline
from catalog.admin.cells import badge, section
from catalog.admin.widgets import Chips
from catalog.models import Target, Upstream
from catalog.models.upstreams import RETRY_STATUSES
from catalog.services import upstreams
from tenants.sites import tenant_site

STATES = {
    "down": ("Left out: probes fail", "danger"),
    "open": ("Left out: calls failed", "danger"),
    "half-open": ("Being tried again", "warning"),
    "resting": ("Used last for a while", "warning"),
    "failing": ("In use, some calls failed", "warning"),
    "healthy": ("In use, probes succeed", "success"),
}


def _health(request: HttpRequest, upstream: Upstream) -> dict[str, Any]:
    """What gateway workers hold against the targets, the worst opinion on each."""
    found = target_states.seen(request.tenant.pk)
    rows = []
    for target in upstream.targets.filter(enabled=True):
        opinions = (found or {}).get(str(target.pk), [])
        label = ("Not known: Valkey does not answer", "warning")
        if found is not None:
            label = STATES[opinions[0].state] if opinions else ("In use", "success")
        same = [one for one in opinions if one.state == opinions[0].state]
        hosts = ", ".join(sorted({one.host for one in same}))
        workers = f"{len(same)} of {len(opinions)} on {hosts}" if opinions else "–"
        rows.append([target.url, badge(*label), workers])
    return section(
        "Targets in the eyes of the gateways",
        ["Target", "State", "Told by workers"],
        rows,
        empty="No target is in use.",
    )


class UpstreamForm(CatalogForm):
    retry_statuses = forms.TypedMultipleChoiceField(
        choices=[(code, str(code)) for code in RETRY_STATUSES],
        coerce=int,
        required=False,
        widget=Chips,
        help_text=Upstream._meta.get_field("retry_statuses").help_text,
    )


class TargetForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if url := self.cleaned_data.get("url"):
            try:
                upstreams.check_target(Target(url=url))
            except ValidationError as error:
                self.add_error("url", error.message_dict["url"])
        return cleaned or self.cleaned_data


class TargetFormSet(CatalogInline.formset):
    def clean(self) -> None:
        super().clean()
        kept = [
            form.cleaned_data
            for form in self.forms
            if getattr(form, "cleaned_data", None) and not form.cleaned_data.get("DELETE")
        ]
        if not any(data.get("enabled") for data in kept) and not any(self.errors):
            raise ValidationError("Add at least one target that is enabled: calls need a place.")


class TargetInline(CatalogInline):
    model = Target
    form = TargetForm
    formset = TargetFormSet
    help = "Addresses that serve the same thing. Calls go to each in turn, by weight."

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else 1


@register(Upstream, site=tenant_site)
class UpstreamAdmin(CatalogAdmin):
    form = UpstreamForm
    list_display = ["name", "target_count", "api_count", "first_byte_timeout", "updated_at"]
    search_fields = ["name", "description", "targets__url"]
    inlines = [TargetInline]
    fieldsets = [
        (None, {"fields": ["name", "description"]}),
        (
            "Time-outs and connections",
            {
                "classes": ["collapse"],
                "fields": [
                    ("connect_timeout", "first_byte_timeout"),
                    ("idle_timeout", "total_timeout"),
                    ("max_connections", "max_waiting"),
                    "preserve_host",
                    "tls_verify",
                ],
            },
        ),
        (
            "Retries",
            {
                "classes": ["collapse"],
                "fields": [
                    "retries",
                    "retry_statuses",
                    "retry_timeouts",
                    ("retry_budget_percent", "retry_budget_per_second"),
                ],
            },
        ),
        (
            "When a target is left out",
            {
                "classes": ["collapse"],
                "fields": [
                    ("fail_threshold", "fail_seconds"),
                    ("fail_percent", "fail_least_calls"),
                    "fail_on_status",
                    "fail_on_timeout",
                ],
            },
        ),
        (
            "Probes",
            {
                "classes": ["collapse"],
                "fields": [
                    ("probe_path", "probe_status"),
                    ("probe_interval", "probe_timeout"),
                    ("probe_unhealthy_after", "probe_healthy_after"),
                ],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return (
            super()
            .get_queryset(request)
            .annotate(
                targets_enabled=Count("targets", filter=Q(targets__enabled=True), distinct=True),
                apis_served=Count("apis", distinct=True),
            )
        )

    @display(description="Targets", ordering="targets_enabled")
    def target_count(self, upstream: Upstream) -> str:
        return f"{upstream.targets_enabled} in use" if upstream.targets_enabled else "none in use"

    @display(description="APIs", ordering="apis_served")
    def api_count(self, upstream: Upstream) -> int:
        return upstream.apis_served

    def panel(self, request: HttpRequest, obj: Upstream) -> dict[str, Any]:
        return {**super().panel(request, obj), "sections": [_health(request, obj)]}

    def save_model(self, request: HttpRequest, obj: Upstream, form: Any, change: bool) -> None:
        upstreams.save_upstream(upstream=obj)
