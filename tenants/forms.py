"""What the pages ask for."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from tenants.models import AccountTier, Membership, Tenant, User, slug_validator
from tenants.services import check_operator_stays

Role = Membership.Role


def text(label: str, *, length: int, help_text: str = "", **more: Any) -> forms.CharField:
    """A line of text in the console's look."""
    return forms.CharField(
        label=label,
        max_length=length,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        **more,
    )


def email(label: str, *, required: bool = True, help_text: str = "") -> forms.EmailField:
    widget = UnfoldAdminEmailInputWidget(attrs={"autocomplete": "off"})
    return forms.EmailField(label=label, required=required, help_text=help_text, widget=widget)


def time_zones() -> list[tuple[str, str]]:
    """Of places, by name, with UTC first."""
    places = sorted(zone for zone in available_timezones() if "/" in zone and "Etc/" not in zone)
    return [(zone, zone) for zone in ["UTC", *places]]


class TenantForm(forms.ModelForm):
    """A tenant that exists."""

    time_zone = forms.ChoiceField(choices=time_zones, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Tenant
        fields = ["name", "tier", "time_zone"]


class NewTenantForm(forms.Form):
    """A tenant to create, and its first owner."""

    name = text("Name", length=80)
    slug = text(
        "Slug",
        length=30,
        help_text="Names the tenant's host and its schema. It cannot be changed later.",
        validators=[slug_validator],
    )
    tier = forms.ModelChoiceField(AccountTier.objects.all(), widget=UnfoldAdminSelectWidget)
    time_zone = forms.ChoiceField(choices=time_zones, initial="UTC", widget=UnfoldAdminSelectWidget)
    owner = text(
        "Owner's user name",
        length=150,
        help_text="Somebody who has an account, or a name for a new one.",
    )
    owner_email = email(
        "Owner's e-mail", required=False, help_text="For a new account; its password comes next."
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        username = cleaned.get("owner", "").strip()
        cleaned["owner_user"] = User.objects.filter(username=username).first()
        if username and cleaned["owner_user"] is None and not cleaned.get("owner_email"):
            self.add_error(
                "owner_email", f"There is no account {username} yet. A new one needs an e-mail."
            )
        return cleaned


class SuspendForm(forms.Form):
    reason = text("Reason", length=200, help_text="The tenant's people and applications read it.")


class TypeSlugForm(forms.Form):
    """A deletion, meant in earnest: the slug must be typed."""

    slug = text("Type the tenant's slug to delete it", length=30)

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slug = tenant.slug
        self.fields["slug"].widget.attrs["placeholder"] = tenant.slug

    def clean_slug(self) -> str:
        if self.cleaned_data["slug"].strip() != self._slug:
            raise forms.ValidationError("This is not the tenant's slug.", code="slug")
        return self._slug


class DomainForm(forms.Form):
    tenant = forms.ModelChoiceField(
        Tenant.objects.exclude(schema_name="public"), widget=UnfoldAdminSelectWidget
    )
    domain = text("Host name", length=253, help_text="Such as api.example.org. No port, no path.")


class NewUserForm(forms.Form):
    username = text("User name", length=150)
    email = email("E-mail")
    operator = forms.BooleanField(
        label="Operator of the platform", required=False, widget=UnfoldBooleanSwitchWidget
    )


class UserForm(forms.ModelForm):
    """An account that exists. Operators are made and unmade through a service."""

    class Meta:
        model = User
        fields = ["email", "first_name", "last_name", "is_superuser", "is_active"]
        labels = {"is_superuser": "Operator of the platform"}
        help_texts = {
            "is_superuser": "May do everything on this host. On a tenant's host the role counts.",
            "is_active": "Take it away in place of deleting the account: no sign-in, no tokens.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        check_operator_stays(
            user=self.instance,
            operator=cleaned.get("is_superuser", False),
            active=cleaned.get("is_active", False),
        )
        return cleaned


def role_field(actor: Membership) -> forms.ChoiceField:
    """The roles that this member may give."""
    roles = [choice for choice in Role.choices if choice[0] != Role.OWNER]
    return forms.ChoiceField(
        label="Role",
        choices=Role.choices if actor.role == Role.OWNER else roles,
        help_text="Viewer: looks only. Publisher: the whole catalogue. Admin: members too. "
        "Owner: admin, and makes owners.",
        widget=UnfoldAdminSelectWidget,
    )


class InviteForm(forms.Form):
    username = text("User name", length=150)
    email = email(
        "E-mail", help_text="For somebody who has an account already, the one it was made with."
    )

    def __init__(self, *args: Any, actor: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field(actor)
        self.fields["role"].initial = Role.VIEWER


class RoleForm(forms.Form):
    def __init__(self, *args: Any, actor: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field(actor)


class TokenForm(forms.Form):
    name = text("Name", length=80, help_text="What will use it, such as the deployment pipeline.")
    expires_at = forms.SplitDateTimeField(
        label="Expires",
        required=False,
        help_text="Leave it empty for a token that lasts until it is revoked.",
        widget=UnfoldAdminSplitDateTimeWidget,
    )
