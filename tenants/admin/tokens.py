"""A tenant's own page for management tokens."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from tenants import selectors, services
from tenants.admin.base import Answers, ConsoleAdmin, posted
from tenants.admin.members import actor_of
from tenants.forms import TokenForm
from tenants.models import ManagementToken
from tenants.sites import tenant_site


@admin.register(ManagementToken, site=tenant_site)
class ManagementTokenAdmin(ConsoleAdmin):
    """One's own tokens; an owner or admin sees all of the tenant's."""

    list_display = ["name", "start", "member", "created_at", "expires_at", "last_used_at"]
    search_fields = ["name", "prefix", "membership__user__username"]
    fields = ["name", "start", "member", "created_at", "expires_at", "last_used_at"]
    readonly_fields = fields
    actions = None
    actions_detail = ["revoke"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ManagementToken]:
        return selectors.tokens_seen_by(actor_of(request))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return super().has_delete_permission(request)

    @display(description="Starts with", ordering="prefix")
    def start(self, token: ManagementToken) -> str:
        return f"{token.prefix}…"

    @display(description="Member", ordering="membership__user__username")
    def member(self, token: ManagementToken) -> str:
        return token.membership.user.username

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied

        def run(answers: Answers) -> HttpResponse:
            token, text = services.issue_token(membership=actor_of(request), **answers)
            self.log_addition(request, token, "Issued.")
            return self.show_once(
                request,
                title=f"The token {token.name}",
                text="Copy it now: only its digest is kept. Send it as the header "
                "Authorization: Token <token>.",
                secrets=[("Management token", text)],
                after=self.url("changelist"),
            )

        return self.ask(
            request,
            TokenForm(posted(request)),
            run,
            title="Issue a management token",
            submit="Issue the token",
            text="A program that sends it may do in this tenant what you may do.",
        )

    @action(
        description="Revoke",
        icon="block",
        permissions=["revoke"],
        variant=ActionVariant.DANGER,
        url_path="revoke",
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        token = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            self.log_deletions(request, [token])
            services.revoke_token(token=token)
            text = f"The token {token.name} is revoked."
            return self.done(request, token, text, page="changelist")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Revoke {token.name}",
            submit="Revoke",
            text="Whatever uses it is refused at once.",
            danger=True,
            obj=token,
        )
