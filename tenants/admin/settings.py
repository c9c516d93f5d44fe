"""A tenant's own page about itself."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from tenants import services
from tenants.admin.base import Answers, ConsoleAdmin
from tenants.forms import time_zones
from tenants.models import TenantSettings
from tenants.sites import tenant_site


class SettingsForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        choices=time_zones,
        widget=UnfoldAdminSelectWidget,
        help_text="Days and months of limits and reports begin at midnight there.",
    )

    class Meta:
        model = TenantSettings
        fields = ["time_zone"]


@admin.register(TenantSettings, site=tenant_site)
class SettingsAdmin(ConsoleAdmin):
    """One row, the tenant's own; its list leads there at once."""

    form = SettingsForm
    fields = ["name", "slug", "hosts", "tier", "time_zone"]
    readonly_fields = ["name", "slug", "hosts", "tier"]
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[TenantSettings]:
        return super().get_queryset(request).filter(pk=request.tenant.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: Answers | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", request.tenant))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Answers | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "show_save_and_continue": False}
        return super().change_view(request, object_id, form_url, context)

    @display(description="Hosts")
    def hosts(self, tenant: TenantSettings) -> str:
        return ", ".join(tenant.domains.order_by("domain").values_list("domain", flat=True))

    def save_model(
        self, request: HttpRequest, obj: TenantSettings, form: Any, change: bool
    ) -> None:
        services.update_tenant(tenant=obj, time_zone=obj.time_zone)
