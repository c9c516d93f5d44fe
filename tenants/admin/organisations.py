"""The operator's pages for tenants: create, watch, suspend, delete and bring back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from tenants import selectors, services
from tenants.admin.base import Answers, ConsoleAdmin, posted
from tenants.forms import NewTenantForm, SuspendForm, TenantForm, TypeSlugForm
from tenants.models import Domain, Membership, Tenant
from tenants.sites import operator_site

State = Tenant.State
LABELS = {
    State.ACTIVE: "success",
    State.CREATING: "info",
    State.SUSPENDED: "warning",
    State.DELETING: "danger",
    State.FAILED: "danger",
}


class LookOnlyInline(TabularInline):
    """Rows that belong to the tenant and are changed elsewhere."""

    extra = 0
    hide_title = True
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class DomainInline(LookOnlyInline):
    model = Domain
    fields = ["domain", "is_primary"]


class MemberInline(LookOnlyInline):
    model = Membership
    verbose_name_plural = "members"
    fields = ["user", "role", "created_at"]
    readonly_fields = ["created_at"]


@admin.register(Tenant, site=operator_site)
class TenantAdmin(ConsoleAdmin):
    """Tenants never go by Django's own delete: see ``close`` and ``services.life``."""

    form = TenantForm
    list_display = ["name", "state_label", "progress_bar", "tier", "host", "people", "created_at"]
    list_filter = ["state", "tier"]
    search_fields = ["name", "slug", "domains__domain"]
    inlines = [DomainInline, MemberInline]
    readonly_fields = ["slug", "state", "created_at"]
    fields = ["name", "slug", "state", "tier", "time_zone", "created_at"]
    change_form_outer_before_template = "admin/tenants/state.html"
    actions = None
    actions_detail = ["console", "suspend", "resume", "retry", "close", "undo_close"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        return (
            selectors.organisations()
            .prefetch_related("domains")
            .annotate(people_count=Count("memberships", distinct=True))
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress_view)
        name = "tenants_tenant_progress"
        return [path("<uuid:object_id>/progress/", view, name=name), *super().get_urls()]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # The list

    @display(description="State", ordering="state", label=LABELS)
    def state_label(self, tenant: Tenant) -> tuple[str, str]:
        return tenant.state, tenant.get_state_display()

    @display(description="Progress", ordering="progress")
    def progress_bar(self, tenant: Tenant) -> str:
        if tenant.state != State.CREATING:
            return selectors.progress_of(tenant) if tenant.state == State.FAILED else "—"
        return format_html(
            '<span data-progress-url="{}"><span data-progress-percent>{}</span> % · '
            "<span data-progress-text>{}</span></span>",
            reverse("operator:tenants_tenant_progress", args=[tenant.pk]),
            tenant.progress,
            selectors.progress_of(tenant),
        )

    @display(description="Host")
    def host(self, tenant: Tenant) -> str:
        first = next((row.domain for row in tenant.domains.all() if row.is_primary), None)
        return first or "—"

    @display(description="Members", ordering="people_count")
    def people(self, tenant: Tenant) -> int:
        return tenant.people_count

    # Creating

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        form = NewTenantForm(posted(request))
        return self.ask(
            request,
            form,
            lambda answers: self._create(request, answers),
            title="Add a tenant",
            submit="Create the tenant",
            text="Its schema is created in the background; the next page shows how far it is.",
        )

    def _create(self, request: HttpRequest, answers: Answers) -> HttpResponse:
        owner, password = answers["owner_user"], None
        if owner is None:
            try:
                owner, password = services.create_user(
                    username=answers["owner"], email=answers["owner_email"]
                )
            except forms.ValidationError as error:
                raise forms.ValidationError({"owner": error.messages}) from None
        tenant = services.create_tenant(
            name=answers["name"],
            slug=answers["slug"],
            tier=answers["tier"],
            time_zone=answers["time_zone"],
            owner=owner,
        )
        self.log_addition(request, tenant, f"Created with the owner {owner}.")
        if password is None:
            return HttpResponseRedirect(self.url("change", tenant))
        return self.show_once(
            request,
            title=f"The tenant {tenant}",
            text="Give these to the owner. The password works once: a new one is asked for at "
            "the first sign-in. It is not shown again.",
            secrets=[("User name", owner.username), ("One-time password", password)],
            after=self.url("change", tenant),
            tenant=tenant,
            progress=_progress(tenant),
        )

    def progress_view(self, request: HttpRequest, object_id: UUID) -> JsonResponse:
        """``{"state", "percent", "text", "moving"}``, asked every second while a page is open."""
        return JsonResponse(_progress(self.object_or_404(request, object_id)))

    # One tenant

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Answers | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "show_delete_link": False}
        if object_id and (tenant := self.get_object(request, object_id)):
            context |= {"tenant": tenant, "progress": _progress(tenant)}
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        services.update_tenant(tenant=obj, name=obj.name, tier=obj.tier, time_zone=obj.time_zone)

    def _state(self, request: HttpRequest, object_id: object) -> str:
        tenant = self.get_object(request, str(object_id)) if object_id else None
        return tenant.state if tenant else ""

    def has_suspend_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self._state(request, object_id) == State.ACTIVE

    def has_resume_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self._state(request, object_id) == State.SUSPENDED

    def has_retry_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self._state(request, object_id) in (State.FAILED, State.CREATING)

    def has_close_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self._state(request, object_id) not in (State.DELETING, "")

    def has_undo_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self._state(request, object_id) == State.DELETING

    @action(description="Open console", icon="open_in_new", permissions=["suspend"])
    def console(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)
        port = request.get_port()
        usual = "443" if request.is_secure() else "80"
        where = "" if port == usual else f":{port}"
        return HttpResponseRedirect(f"{request.scheme}://{self.host(tenant)}{where}/admin/")

    @action(description="Suspend", icon="pause", permissions=["suspend"])
    def suspend(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.suspend_tenant(tenant=tenant, reason=answers["reason"])
            return self.done(request, tenant, f"{tenant} is suspended.")

        return self.ask(
            request,
            SuspendForm(posted(request)),
            run,
            title=f"Suspend {tenant}",
            submit="Suspend",
            text="All calls to its APIs are refused at once, and its console becomes read-only.",
            danger=True,
            obj=tenant,
        )

    @action(
        description="Resume",
        icon="play_arrow",
        permissions=["resume"],
        variant=ActionVariant.PRIMARY,
    )
    def resume(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.resume_tenant(tenant=tenant)
            return self.done(request, tenant, f"{tenant} is active again.")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Resume {tenant}",
            submit="Resume",
            text=f"It was suspended for this reason: {tenant.suspended_reason}",
            obj=tenant,
        )

    @action(description="Try again", icon="refresh", permissions=["retry"])
    def retry(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.retry_provisioning(tenant=tenant)
            return self.done(request, tenant, f"The creation of {tenant} was started again.")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Create {tenant} again",
            submit="Try again",
            text="It goes on after the last step that was done.",
            obj=tenant,
        )

    @action(
        description="Delete",
        icon="delete",
        permissions=["close"],
        variant=ActionVariant.DANGER,
        url_path="close",
    )
    def close(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.request_deletion(tenant=tenant)
            return self.done(request, tenant, f"{tenant} is closed and will be deleted.")

        return self.ask(
            request,
            TypeSlugForm(posted(request), tenant=tenant),
            run,
            title=f"Delete {tenant}",
            submit="Delete the tenant",
            text="Its console and its APIs close at once. Everything it holds is dropped for good "
            f"after {settings.TENANT_DELETION_DAYS} days; until then this can be undone.",
            danger=True,
            obj=tenant,
        )

    @action(
        description="Undo the deletion",
        icon="undo",
        permissions=["undo"],
        variant=ActionVariant.PRIMARY,
        url_path="undo",
    )
    def undo_close(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        tenant = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.undo_deletion(tenant=tenant)
            return self.done(request, tenant, f"{tenant} is back.")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Bring {tenant} back",
            submit="Undo the deletion",
            text="It opens again as it was.",
            obj=tenant,
        )


def _progress(tenant: Tenant) -> dict[str, Any]:
    return {
        "state": tenant.state,
        "percent": tenant.progress,
        "text": selectors.progress_of(tenant),
        "moving": tenant.state == State.CREATING,
    }
