"""What a role may do through the management API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from tenants.access import membership_of

if TYPE_CHECKING:  # rest_framework.views itself imports this module, by its settings
    from rest_framework.views import APIView

_STANDARD = {"create": "add", "update": "change", "partial_update": "change", "destroy": "delete"}
_METHODS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class RolePermission(BasePermission):
    """Allows what the member's role allows for the view's model.

    The model is that of the view's ``queryset``; a view without one is for any member to
    read and for nobody to write. An extra action of a viewset that is not a read counts as
    a change. Somebody who is no member gets the answer of somebody unknown.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if membership_of(request.user, request.tenant) is None:
            raise NotAuthenticated
        by_session = isinstance(request.successful_authenticator, SessionAuthentication)
        if by_session and request.user.must_change_password:
            raise PermissionDenied("Replace your one-time password in the console first.")
        queryset = getattr(view, "queryset", None)
        if queryset is None:
            return request.method in SAFE_METHODS
        options = queryset.model._meta
        return request.user.has_perm(
            f"{options.app_label}.{action_of(request, view)}_{options.model_name}"
        )


def action_of(request: Request, view: APIView) -> str:
    """``view``, ``add``, ``change`` or ``delete``."""
    if request.method in SAFE_METHODS:
        return "view"
    action = getattr(view, "action", None)
    if action is None:
        return _METHODS.get(request.method, "change")
    return _STANDARD.get(action, "change")
