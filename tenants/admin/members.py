"""A tenant's own page for its members."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from tenants import selectors, services
from tenants.access import membership_of
from tenants.admin.base import Answers, ConsoleAdmin, posted
from tenants.forms import InviteForm, RoleForm
from tenants.models import Membership
from tenants.sites import tenant_site

Role = Membership.Role
LABELS = {
    Role.OWNER: "primary",
    Role.ADMIN: "info",
    Role.PUBLISHER: "success",
    Role.VIEWER: "default",
}


def actor_of(request: HttpRequest) -> Membership:
    """The membership of whoever asks; the site lets nobody in without one."""
    return membership_of(request.user, request.tenant)


@admin.register(Membership, site=tenant_site)
class MembershipAdmin(ConsoleAdmin):
    list_display = ["username", "email", "role_label", "created_at"]
    list_filter = ["role"]
    search_fields = ["user__username", "user__email"]
    fields = ["username", "email", "role", "created_at"]
    readonly_fields = fields
    actions = None
    actions_detail = ["change_role", "remove"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return selectors.members(request.tenant).order_by("user__username")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_remove_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return super().has_delete_permission(request)

    def has_role_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return super().has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @display(description="User name", ordering="user__username")
    def username(self, member: Membership) -> str:
        return member.user.username

    @display(description="E-mail", ordering="user__email")
    def email(self, member: Membership) -> str:
        return member.user.email

    @display(description="Role", ordering="role", label=LABELS)
    def role_label(self, member: Membership) -> tuple[str, str]:
        return member.role, member.get_role_display()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Answers | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied

        def run(answers: Answers) -> HttpResponse:
            member, password = services.invite_member(
                tenant=request.tenant, actor=actor_of(request), **answers
            )
            self.log_addition(request, member, f"Added as {member.get_role_display()}.")
            if password is None:
                text = f"{member.user} is a member now."
                return self.done(request, member, text, page="changelist")
            return self.show_once(
                request,
                title=f"{member.user} is a member now",
                text="Hand these over. A new password is asked for at the first sign-in. This "
                "one is not shown again.",
                secrets=[("User name", member.user.username), ("One-time password", password)],
                after=self.url("changelist"),
            )

        return self.ask(
            request,
            InviteForm(posted(request), actor=actor_of(request)),
            run,
            title="Add a member",
            submit="Add the member",
            text="Somebody new gets an account with a one-time password, shown on the next page.",
        )

    @action(description="Change role", icon="badge", permissions=["role"], url_path="role")
    def change_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        member = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            services.change_role(membership=member, actor=actor_of(request), **answers)
            text = f"{member.user} is {member.get_role_display().lower()} now."
            return self.done(request, member, text)

        return self.ask(
            request,
            RoleForm(posted(request), actor=actor_of(request), initial={"role": member.role}),
            run,
            title=f"Change the role of {member.user}",
            submit="Change the role",
            obj=member,
        )

    @action(
        description="Remove",
        icon="person_remove",
        permissions=["remove"],
        variant=ActionVariant.DANGER,
        url_path="remove",
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        member = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            self.log_deletions(request, [member])
            services.remove_member(membership=member, actor=actor_of(request))
            if member.user_id == request.user.pk:
                return HttpResponseRedirect("/admin/")
            text = f"{member.user} is no longer a member."
            return self.done(request, member, text, page="changelist")

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Remove {member.user}",
            submit="Remove the member",
            text="Access and management tokens end at once. The account itself stays.",
            danger=True,
            obj=member,
        )
