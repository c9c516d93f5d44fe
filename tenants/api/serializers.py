"""What members and tokens look like in the management API."""

from __future__ import annotations

from rest_framework import serializers

from tenants.models import ManagementToken, Membership


class MemberOut(serializers.ModelSerializer):
    """A member of the tenant."""

    username = serializers.CharField(source="user.username", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "username", "email", "role", "created_at"]
        read_only_fields = fields


class MemberIn(serializers.Serializer):
    """A person to add. An account that exists is added if name and e-mail agree."""

    username = serializers.CharField(max_length=150)
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class MemberAdded(MemberOut):
    """A member, with the one-time password of a new account (else null), told only now."""

    one_time_password = serializers.CharField(read_only=True, allow_null=True)

    class Meta(MemberOut.Meta):
        fields = [*MemberOut.Meta.fields, "one_time_password"]
        read_only_fields = fields


class RoleIn(serializers.Serializer):
    """Another role for a member."""

    role = serializers.ChoiceField(choices=Membership.Role.choices)


class TokenOut(serializers.ModelSerializer):
    """A management token, known by its first characters."""

    username = serializers.CharField(source="membership.user.username", read_only=True)

    class Meta:
        model = ManagementToken
        fields = ["id", "name", "prefix", "username", "created_at", "expires_at", "last_used_at"]
        read_only_fields = fields


class TokenIn(serializers.Serializer):
    """A token to issue to oneself."""

    name = serializers.CharField(max_length=80)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class TokenIssued(TokenOut):
    """A new token with its text, which is told only now."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenOut.Meta):
        fields = [*TokenOut.Meta.fields, "token"]
        read_only_fields = fields
