"""Management tokens."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils import timezone

from contract.keys import digest
from tenants.models import ManagementToken, Membership

PREFIX = "hubt_"


def issue_token(
    *, membership: Membership, name: str, expires_at: datetime | None = None
) -> tuple[ManagementToken, str]:
    """A new token and its text, of 192 random bits, which is kept nowhere."""
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError(
            {"expires_at": ValidationError("Choose a time to come.", code="past")}
        )
    text = PREFIX + secrets.token_urlsafe(24)
    token = ManagementToken(
        membership=membership,
        name=name.strip(),
        prefix=text[:10],
        digest=digest(text),
        expires_at=expires_at,
    )
    token.full_clean(exclude=["digest", "prefix"])
    token.save(force_insert=True)
    return token, text


def revoke_token(*, token: ManagementToken) -> None:
    """Ends a token at once."""
    token.delete()
