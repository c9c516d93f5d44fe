"""Who may read usage: members, all of it; an application by its own key, its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from django.apps import apps
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics.queries import Filters
from contract.keys import API_KEY_PREFIX, digest
from tenants.permissions import RolePermission

KEYWORD = "Bearer"


@dataclass(frozen=True)
class Caller:
    """An application that is known by its key. It is nobody's account."""

    application_id: UUID
    key_id: UUID
    is_authenticated: bool = True
    is_active: bool = True


class KeyAuthentication(BaseAuthentication):
    """Knows an application by ``Authorization: Bearer hub_...``, as the gateway does.

    Keys that were revoked, have expired or never were, of disabled applications, of other
    tenants, and all keys while the tenant is suspended, get the same 401.
    """

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        scheme, _, text = get_authorization_header(request).partition(b" ")
        key = text.strip()
        if scheme.lower() != KEYWORD.lower().encode():
            return None
        row = None
        if key.startswith(API_KEY_PREFIX.encode()) and request.tenant.serves:
            now = timezone.now()
            row = (
                apps.get_model("catalog", "ApiKey")
                .objects.filter(digest=digest(key), revoked_at=None, application__enabled=True)
                .filter(Q(expires_at=None) | Q(expires_at__gt=now))
                .first()
            )
        if row is None:
            raise AuthenticationFailed(
                "This API key is not known here, or it has expired, or its application is disabled."
            )
        return Caller(application_id=row.application_id, key_id=row.pk), None

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class KeyScheme(OpenApiAuthenticationExtension):
    """``Authorization: Bearer hub_...``"""

    target_class = KeyAuthentication
    name = "API key"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "hub_…",
            "description": "An application's own API key. It reads its own usage only.",
        }


class MayReadUsage(RolePermission):
    """Any member reads, and an application that is known by its key."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.user, Caller):
            return request.method in SAFE_METHODS
        return super().has_permission(request, view)


def confine(request: Request, filters: Filters) -> Filters:
    """The filters, for an application with itself as the application asked for.

    Raises PermissionDenied where it asks for another.
    """
    if not isinstance(request.user, Caller):
        return filters
    own = request.user.application_id
    if filters.application not in (None, own):
        raise PermissionDenied("An API key may read the usage of its own application only.")
    return replace(filters, application=own)
