"""Members and tokens in the management API."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tenants import selectors, services
from tenants.access import membership_of
from tenants.api.serializers import (
    MemberAdded,
    MemberIn,
    MemberOut,
    RoleIn,
    TokenIn,
    TokenIssued,
    TokenOut,
)
from tenants.models import ManagementToken, Membership


class MemberViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet,
):
    """People who belong to this tenant, and their roles."""

    queryset = Membership.objects.none()
    serializer_class = MemberOut
    filterset_fields = ["role"]
    search_fields = ["user__username", "user__email"]
    ordering_fields = ["created_at", "role", "user__username"]

    def get_queryset(self) -> QuerySet[Membership]:
        return selectors.members(self.request.tenant).order_by("user__username")

    @extend_schema(request=MemberIn, responses={201: MemberAdded})
    def create(self, request: Request) -> Response:
        """Adds a person; a new account's one-time password is in the answer, and only there."""
        data = MemberIn(data=request.data)
        data.is_valid(raise_exception=True)
        membership, password = services.invite_member(
            tenant=request.tenant, actor=_actor(request), **data.validated_data
        )
        membership.one_time_password = password
        return Response(MemberAdded(membership).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RoleIn, responses=MemberOut)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Gives a member another role."""
        membership = self.get_object()
        data = RoleIn(data=request.data)
        data.is_valid(raise_exception=True)
        services.change_role(
            membership=membership, actor=_actor(request), role=data.validated_data["role"]
        )
        return Response(MemberOut(membership).data)

    def perform_destroy(self, instance: Membership) -> None:
        services.remove_member(membership=instance, actor=_actor(self.request))


class TokenViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet,
):
    """Management tokens: one's own, and for owners and admins all of the tenant's."""

    queryset = ManagementToken.objects.none()
    serializer_class = TokenOut
    search_fields = ["name", "prefix", "membership__user__username"]
    ordering_fields = ["created_at", "expires_at", "last_used_at", "name"]

    def get_queryset(self) -> QuerySet[ManagementToken]:
        return selectors.tokens_seen_by(_actor(self.request))

    @extend_schema(request=TokenIn, responses={201: TokenIssued})
    def create(self, request: Request) -> Response:
        """Issues a token to oneself; its text is in the answer, and only there."""
        data = TokenIn(data=request.data)
        data.is_valid(raise_exception=True)
        _check_outlives(request.auth, data.validated_data["expires_at"])
        token, text = services.issue_token(membership=_actor(request), **data.validated_data)
        token.token = text
        return Response(TokenIssued(token).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: ManagementToken) -> None:
        services.revoke_token(token=instance)


def _actor(request: Request) -> Membership:
    return membership_of(request.user, request.tenant)


def _check_outlives(used: ManagementToken | None, expires_at: datetime | None) -> None:
    """A token that ends cannot be used to get one that lasts longer."""
    if used is None or used.expires_at is None:
        return
    if expires_at is None or expires_at > used.expires_at:
        raise ValidationError(
            {
                "expires_at": ValidationError(
                    f"The token in use ends at {used.expires_at:%Y-%m-%d %H:%M} UTC, and so must "
                    "what it issues. Issue longer ones in the console.",
                    code="outlives",
                )
            }
        )
