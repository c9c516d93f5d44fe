"""Management tokens in requests: ``Authorization: Token hubt_...``."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from contract.keys import digest
from tenants.models import ManagementToken, User

KEYWORD = "Token"

USED_EVERY = timedelta(minutes=1)
"""``last_used_at`` is written no more often than this."""


class TokenAuthentication(BaseAuthentication):
    """Knows a member by a token of this tenant.

    Another tenant's token, an expired one and one that never was get the same 401.
    ``request.auth`` is the ManagementToken.
    """

    def authenticate(self, request: Request) -> tuple[User, ManagementToken] | None:
        scheme, _, text = get_authorization_header(request).partition(b" ")
        if scheme.lower() != KEYWORD.lower().encode():
            return None
        now = timezone.now()
        token = (
            ManagementToken.objects.select_related("membership__user")
            .filter(digest=digest(text.strip()), membership__tenant_id=request.tenant.pk)
            .filter(Q(expires_at=None) | Q(expires_at__gt=now), membership__user__is_active=True)
            .first()
        )
        if token is None:
            raise AuthenticationFailed(
                "This management token is not known here, or it has expired. Issue a new one in "
                "the console under Management tokens."
            )
        if token.last_used_at is None or now - token.last_used_at >= USED_EVERY:
            ManagementToken.objects.filter(pk=token.pk).update(last_used_at=now)
        user = token.membership.user
        token.membership.tenant = request.tenant
        user.__dict__["_memberships"] = {request.tenant.pk: token.membership}
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD
