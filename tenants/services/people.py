"""People: accounts, one-time passwords, operators."""

from __future__ import annotations

import secrets

from django.core.exceptions import ValidationError
from django.db import transaction

from tenants.models import User
from tenants.selectors import operators


def new_password() -> str:
    """A password of 96 random bits."""
    return secrets.token_urlsafe(12)


def create_user(
    *, username: str, email: str = "", superuser: bool = False, one_time: bool = True
) -> tuple[User, str]:
    """A new account and its password, which is kept nowhere else.

    With ``one_time`` the console asks for a new password at the first sign-in.
    """
    password = new_password()
    user = User(
        username=User.normalize_username(username.strip()),
        email=User.objects.normalize_email(email.strip()),
        is_superuser=superuser,
        is_staff=superuser,
        must_change_password=one_time,
    )
    user.set_password(password)
    user.full_clean()
    user.save(force_insert=True)
    return user, password


def reset_password(*, user: User) -> str:
    """Replaces a password by a one-time one, which ends all sessions of the user."""
    password = new_password()
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password"])
    return password


def check_operator_stays(*, user: User, operator: bool, active: bool) -> None:
    """Raises if nobody would be left to run the platform."""
    if not (operator and active) and not operators().exclude(pk=user.pk).exists():
        raise ValidationError(
            "This is the last operator. Make somebody else one first.", code="last_operator"
        )


@transaction.atomic
def set_operator(*, user: User, operator: bool, active: bool) -> None:
    """Makes or unmakes an operator, or closes an account; one operator always stays."""
    list(operators().select_for_update())
    check_operator_stays(user=user, operator=operator, active=active)
    user.is_superuser = user.is_staff = operator
    user.is_active = active
    user.save(update_fields=["is_superuser", "is_staff", "is_active"])


@transaction.atomic
def ensure_operator(*, username: str = "operator") -> tuple[User, str | None]:
    """An operator; the password only if there was none before."""
    if found := operators().order_by("pk").first():
        return found, None
    return create_user(username=username, superuser=True, one_time=False)
