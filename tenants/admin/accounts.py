"""The operator's pages for account tiers, hosts and people."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from tenants import services
from tenants.admin.base import Answers, ConsoleAdmin, posted
from tenants.admin.organisations import LookOnlyInline
from tenants.forms import DomainForm, NewUserForm, UserForm
from tenants.models import AccountTier, Domain, Membership, User
from tenants.selectors import LIMITS
from tenants.sites import operator_site


@admin.register(AccountTier, site=operator_site)
class AccountTierAdmin(ConsoleAdmin):
    list_display = [
        "name",
        "max_apis",
        "max_applications",
        "max_members",
        "max_calls_per_minute",
        "ai_gateway",
        "used_by",
    ]
    search_fields = ["name", "description"]
    actions = None
    fieldsets = [
        (None, {"fields": ["name", "description"]}),
        (
            "Limits",
            {
                "fields": LIMITS,
                "description": "An empty limit means no limit.",
            },
        ),
        ("Features", {"fields": ["ai_gateway", "private_upstreams"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccountTier]:
        organisations = ~Q(tenants__schema_name="public")
        return super().get_queryset(request).annotate(users=Count("tenants", organisations))

    @display(description="Tenants", ordering="users")
    def used_by(self, tier: AccountTier) -> int:
        return tier.users

    def save_model(self, request: HttpRequest, obj: AccountTier, form: Any, change: bool) -> None:
        services.save_tier(tier=obj)


@admin.register(Domain, site=operator_site)
class DomainAdmin(ConsoleAdmin):
    list_display = ["domain", "tenant", "is_primary"]
    list_filter = ["is_primary"]
    search_fields = ["domain", "tenant__name", "tenant__slug"]
    actions = None
    actions_detail = ["remove"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Domain]:
        rows = super().get_queryset(request).select_related("tenant")
        return rows.exclude(tenant__schema_name="public")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_remove_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        domain = self.get_object(request, str(object_id)) if object_id else None
        return domain is not None and not domain.is_primary

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        def run(answers: Answers) -> HttpResponse:
            domain = services.add_domain(**answers)
            self.log_addition(request, domain, f"Leads to {domain.tenant}.")
            text = f"{domain.domain} leads to {domain.tenant}."
            return self.done(request, domain, text, page="changelist")

        return self.ask(
            request,
            DomainForm(posted(request)),
            run,
            title="Add a host",
            submit="Add the host",
            text="Its name must lead to this platform in your DNS.",
        )

    @action(description="Remove", icon="delete", permissions=["remove"], url_path="remove")
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        domain = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            self.log_deletions(request, [domain])
            services.remove_domain(domain=domain)
            return self.done(request, domain, f"{domain.domain} is removed.", page="changelist")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Remove {domain.domain}",
            submit="Remove",
            text="Calls to this host are refused at once.",
            danger=True,
            obj=domain,
        )


class MembershipsInline(LookOnlyInline):
    model = Membership
    verbose_name_plural = "memberships"
    fields = ["tenant", "role", "created_at"]
    readonly_fields = ["created_at"]


@admin.register(User, site=operator_site)
class UserAdmin(ConsoleAdmin):
    """Accounts are closed, never deleted: every tenant's log refers to them."""

    form = UserForm
    list_display = ["username", "email", "operator", "is_active", "tenants", "last_login"]
    list_filter = ["is_superuser", "is_active"]
    search_fields = ["username", "email", "first_name", "last_name"]
    ordering = ["username"]
    readonly_fields = ["username", "last_login", "date_joined"]
    fields = [
        "username",
        "email",
        "first_name",
        "last_name",
        "is_superuser",
        "is_active",
        "last_login",
        "date_joined",
    ]
    inlines = [MembershipsInline]
    actions = None
    actions_detail = ["reset_password"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).annotate(tenant_count=Count("memberships"))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @display(description="Operator", ordering="is_superuser", boolean=True)
    def operator(self, user: User) -> bool:
        return user.is_superuser

    @display(description="Tenants", ordering="tenant_count")
    def tenants(self, user: User) -> int:
        return user.tenant_count

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        services.set_operator(user=obj, operator=obj.is_superuser, active=obj.is_active)
        obj.save(update_fields=["email", "first_name", "last_name"])

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        def run(answers: Answers) -> HttpResponse:
            user, password = services.create_user(
                username=answers["username"],
                email=answers["email"],
                superuser=answers["operator"],
            )
            self.log_addition(request, user, "Created.")
            return self._show_password(request, user, password)

        return self.ask(
            request,
            NewUserForm(posted(request)),
            run,
            title="Add a user",
            submit="Create the account",
        )

    @action(
        description="Reset password",
        icon="key",
        url_path="reset-password",
        variant=ActionVariant.DEFAULT,
    )
    def reset_password(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            password = services.reset_password(user=user)
            self.log_change(request, user, "Password reset.")
            return self._show_password(request, user, password)

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Reset the password of {user}",
            submit="Reset the password",
            text="The old password stops working at once, and all sessions end.",
            danger=True,
            obj=user,
        )

    def _show_password(self, request: HttpRequest, user: User, password: str) -> HttpResponse:
        return self.show_once(
            request,
            title=f"A one-time password for {user}",
            text="A new password is asked for at the first sign-in. This one is not shown again.",
            secrets=[("User name", user.username), ("One-time password", password)],
            after=self.url("change", user),
        )
