"""The two consoles: the platform operator's and each tenant's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from tenants.access import membership_of
from tenants.selectors import organisations, tenants_by_state
from tenants.sign_in import OwnPasswordForm, SignInForm

View = Callable[..., HttpResponse]

# What somebody with a one-time password can reach.
_OPEN = {"password_change", "password_change_done", "logout", "jsi18n"}


class ConsoleSite(UnfoldAdminSite):
    """What both have in common: how one signs in, and one-time passwords."""

    login_form = SignInForm
    enable_nav_sidebar = True

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """As in Django; first of all a one-time password must be replaced."""
        checked = super().admin_view(view, cacheable)

        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            closed = request.resolver_match.url_name not in _OPEN and self.has_permission(request)
            if closed and request.user.must_change_password:
                messages.info(request, "First choose a password of your own.")
                return redirect(f"{self.name}:password_change")
            return checked(request, *args, **kwargs)

        return update_wrapper(inner, view)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        request.current_app = self.name
        return PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse(f"{self.name}:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )(request)


class OperatorSite(ConsoleSite):
    """On the platform's own host, for superusers."""

    settings_name = "UNFOLD_OPERATOR"
    site_title = site_header = "Hubpo platform"
    index_title = "Overview"
    index_template = "admin/tenants/overview.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        figures = {
            "states": tenants_by_state(),
            "recent": organisations().order_by("-created_at")[:8],
        }
        return super().index(request, {**figures, **(extra_context or {})})


class TenantSite(ConsoleSite):
    """On a tenant's host, for its members and nobody else."""

    site_title = site_header = "Hubpo"
    index_title = "Overview"

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and membership_of(request.user, request.tenant) is not None


operator_site = OperatorSite(name="operator")
tenant_site = TenantSite(name="admin")
