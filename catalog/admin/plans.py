"""Plans with their limits."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import register
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from catalog.admin.base import CatalogAdmin
from catalog.admin.limit_forms import limits_inline
from catalog.models import Plan
from catalog.services import access
from tenants.sites import tenant_site


@register(Plan, site=tenant_site)
class PlanAdmin(CatalogAdmin):
    list_display = ["name", "limits_text", "approval", "state", "subscriber_count"]
    list_filter = ["enabled", "needs_approval"]
    search_fields = ["name", "description"]
    fields = ["name", "description", "needs_approval", "enabled"]
    inlines = [limits_inline("plan", "Without any, subscriptions may call as often as they like.")]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        approved = Count("subscriptions", filter=Q(subscriptions__status="approved"))
        query = super().get_queryset(request).prefetch_related("limits")
        return query.annotate(subscribers=approved)

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        access.save_plan(plan=obj)

    @display(description="Limits")
    def limits_text(self, plan: Plan) -> str:
        return ", ".join(str(limit) for limit in plan.limits.all()) or "none"

    @display(description="Approval", ordering="needs_approval")
    def approval(self, plan: Plan) -> str:
        return "by a person" if plan.needs_approval else "at once"

    @display(description="State", ordering="enabled", label={"On": "success", "Off": "warning"})
    def state(self, plan: Plan) -> str:
        return "On" if plan.enabled else "Off"

    @display(description="Subscribers", ordering="subscribers")
    def subscriber_count(self, plan: Plan) -> int:
        return plan.subscribers
