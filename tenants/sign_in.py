"""The forms for signing in and for one's own password."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm

from tenants.models import User
from tenants.throttle import WINDOW


class SignInForm(AuthenticationForm):
    """For whoever the authentication backend lets in; no staff flag is asked for.

    One sentence for a wrong name, a wrong password, a closed account and an account that
    belongs elsewhere, so that nobody learns which accounts exist.
    """

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "The user name or the password is wrong, or this account has no "
        "access here.",
        "refused": f"Too many failed attempts. Try again in {WINDOW // 60} minutes.",
    }

    def confirm_login_allowed(self, user: User) -> None:
        """The backend has decided already."""

    def get_invalid_login_error(self) -> ValidationError:
        code = "refused" if getattr(self.request, "sign_in_refused", False) else "invalid_login"
        return ValidationError(self.error_messages[code], code=code)


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """A password of one's own in place of the old one, or of a one-time password."""

    def clean(self) -> dict[str, object]:
        cleaned = super().clean()
        if cleaned.get("old_password") and cleaned["old_password"] == cleaned.get("new_password1"):
            error = ValidationError("Choose a password that is not the old one.", code="same")
            self.add_error("new_password1", error)
        return cleaned

    def save(self, commit: bool = True) -> User:
        self.user.must_change_password = False
        return super().save(commit)
