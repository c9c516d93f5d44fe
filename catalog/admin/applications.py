"""Applications and their keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter, register
from django.db.models import Count, F, IntegerField, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from catalog import named_applications
from catalog.admin.base import CatalogAdmin, become
from catalog.admin.cells import badge, buttons, link, moment, section
from catalog.admin.deeds import Deed
from catalog.admin.limit_cells import application_section
from catalog.admin.limit_forms import limits_inline
from catalog.admin.paging import CappedPaginator
from catalog.admin.subscriptions import STATUS_LABELS
from catalog.models import ApiKey, Application, Subscription
from catalog.services import access, rows
from tenants.sites import tenant_site

SHOWN = 20
"""Rows of a table inside an application's page; the rest is one click away."""

KEY_LABELS = {"Active": "success", "Expired": "warning", "Revoked": "danger"}


def key_state(key: ApiKey) -> str:
    if key.revoked_at:
        return "Revoked"
    return "Active" if key.active else "Expired"


def usable(prefix: str = "") -> Q:
    """Keys that the gateway accepts now."""
    return Q(**{f"{prefix}revoked_at": None}) & (
        Q(**{f"{prefix}expires_at": None}) | Q(**{f"{prefix}expires_at__gt": timezone.now()})
    )


def _count(query: QuerySet) -> Coalesce:
    """Counted per row shown, not by grouping the whole table."""
    counted = (
        query.filter(application=OuterRef("pk"))
        .order_by()
        .values("application")
        .annotate(n=Count("pk"))
        .values("n")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def show_secret(
    admin: CatalogAdmin, request: HttpRequest, key: ApiKey, secret: str, note: str = ""
) -> HttpResponse:
    """The one page that ever shows a key. It is not stored, cached or left in the history."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": f"New API key for {key.application}",
        "key": key,
        "secret": secret,
        "note": note,
        "after": reverse("admin:catalog_application_change", args=[key.application_id]),
    }
    request.current_app = admin.admin_site.name
    response = TemplateResponse(request, "admin/catalog/secret.html", context)
    response["Cache-Control"] = "no-store"
    return response


class RotateForm(forms.Form):
    GRACE = [
        ("0", "at once"),
        ("3600", "in an hour"),
        ("86400", "in a day"),
        ("604800", "in a week"),
    ]

    grace = forms.TypedChoiceField(
        label="The old key stops working",
        choices=GRACE,
        coerce=lambda text: timedelta(seconds=int(text)),
        widget=UnfoldAdminSelectWidget,
        help_text="Leave time to put the new key in place where it is used.",
    )


def _rotate(admin: Any, request: HttpRequest, key: ApiKey, answers: dict) -> HttpResponse:
    new, secret = access.rotate_key(key=key, grace=answers["grace"])
    end = dict(RotateForm.GRACE)[str(int(answers["grace"].total_seconds()))]
    note = f"It takes the place of {key}, which stops working {end}."
    return show_secret(admin, request, new, secret, note)


def _revoke(admin: Any, request: HttpRequest, key: ApiKey, answers: dict) -> str:
    access.revoke_key(key=key)
    return f"{key} is revoked: calls with it are refused."


ROTATE = Deed(
    name="rotate",
    label="Rotate",
    text="Makes a new key of the same name, which is shown once. The old one ends when you say.",
    run=_rotate,
    allowed=lambda key: key.active,
    form=RotateForm,
    icon="autorenew",
)
REVOKE = Deed(
    name="revoke",
    label="Revoke",
    text="Calls with this key will be refused at once. This cannot be undone.",
    run=_revoke,
    allowed=lambda key: key.revoked_at is None,
    icon="block",
    danger=True,
)


@register(Application, site=tenant_site)
class ApplicationAdmin(CatalogAdmin):
    list_display = ["name", "contact", "state", "key_count", "subscription_count", "created_at"]
    list_filter = ["enabled"]
    search_fields = ["name", "contact"]
    paginator = CappedPaginator
    fields = ["name", "description", "contact", "enabled"]
    inlines = [limits_inline("application", "They hold beside those of its plans.")]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        approved = Subscription.objects.filter(status=Subscription.Status.APPROVED)
        return (
            super()
            .get_queryset(request)
            .annotate(
                keys_active=_count(ApiKey.objects.filter(usable())),
                subscriptions_approved=_count(approved),
            )
        )

    def save_model(self, request: HttpRequest, obj: Application, form: Any, change: bool) -> None:
        access.save_application(application=obj)

    def delete_model(self, request: HttpRequest, obj: Application) -> None:
        access.delete_application(application=obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """A rule that names an application keeps it."""
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        rules = [rule for one in objs for rule in named_applications.naming(one)]
        told = [f"Rule “{rule}” of {rule.model}, which names it" for rule in rules]
        return deleted, counts, set() if told else needed, [*protected, *told]

    def panel(self, request: HttpRequest, obj: Application) -> dict[str, Any]:
        return {
            **super().panel(request, obj),
            "note": "" if obj.enabled else "Switched off: all its keys are refused.",
            "sections": [
                self._keys(request, obj),
                self._subscriptions(request, obj),
                application_section(request.tenant, obj),
            ],
        }

    def _keys(self, request: HttpRequest, obj: Application) -> dict[str, Any]:
        admin = self.admin_site.get_model_admin(ApiKey)
        keys = obj.keys.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")
        return section(
            "API keys",
            ["Key", "Name", "State", "Created", "Expires", ""],
            [
                [
                    link(key),
                    key.name or "–",
                    badge(key_state(key), KEY_LABELS[key_state(key)]),
                    moment(key.created_at),
                    moment(key.expires_at, "never"),
                    buttons(admin.deed_buttons(request, key)),
                ]
                for key in keys[:SHOWN]
            ],
            empty="No key yet. Without one, the application cannot call anything.",
            add=self._add(request, ApiKey, obj, "New API key"),
            more=("All keys", _list_of(ApiKey, obj)),
        )

    def _subscriptions(self, request: HttpRequest, obj: Application) -> dict[str, Any]:
        admin = self.admin_site.get_model_admin(Subscription)
        subscriptions = obj.subscriptions.select_related("api", "plan", "application")
        return section(
            "Subscriptions",
            ["API", "Plan", "Status", "Requested", ""],
            [
                [
                    link(subscription, str(subscription.api)),
                    subscription.plan,
                    badge(
                        subscription.get_status_display(),
                        STATUS_LABELS.get(subscription.get_status_display(), ""),
                    ),
                    moment(subscription.created_at),
                    buttons(admin.deed_buttons(request, subscription)),
                ]
                for subscription in subscriptions[:SHOWN]
            ],
            empty="Not subscribed to any API yet.",
            add=self._add(request, Subscription, obj, "New subscription"),
            more=("All subscriptions", _list_of(Subscription, obj)),
        )

    def _add(
        self, request: HttpRequest, model: type[Model], obj: Application, label: str
    ) -> tuple[str, str] | None:
        if not self.admin_site.get_model_admin(model).has_add_permission(request):
            return None
        return (
            label,
            f"{reverse(f'admin:catalog_{model._meta.model_name}_add')}?application={obj.pk}",
        )

    @display(description="State", ordering="enabled", label={"On": "success", "Off": "warning"})
    def state(self, application: Application) -> str:
        return "On" if application.enabled else "Off"

    @display(description="Active keys")
    def key_count(self, application: Application) -> int:
        return application.keys_active

    @display(description="Subscriptions")
    def subscription_count(self, application: Application) -> int:
        return application.subscriptions_approved


def _list_of(model: type[Model], application: Application) -> str:
    url = reverse(f"admin:catalog_{model._meta.model_name}_changelist")
    return f"{url}?application__id__exact={application.pk}"


class KeyStateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "active":
            return queryset.filter(usable())
        if self.value() == "revoked":
            return queryset.filter(revoked_at__isnull=False)
        if self.value() == "expired":
            return queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
        return queryset


@register(ApiKey, site=tenant_site)
class ApiKeyAdmin(CatalogAdmin):
    list_display = ["__str__", "name", "application", "state", "created_at", "expires_at", "steps"]
    list_filter = [KeyStateFilter]
    list_select_related = ["application"]
    search_fields = ["prefix", "name", "application__name"]
    autocomplete_fields = ["application"]
    paginator = CappedPaginator
    fields = ["application", "name", "expires_at"]
    deeds = (ROTATE, REVOKE)
    one_at_a_time = True
    inlines = [limits_inline("key", "They hold beside those of its application and plans.")]

    def get_inlines(self, request: HttpRequest, obj: ApiKey | None) -> list:
        """A new key is shown once; what it may use is set afterwards."""
        return self.inlines if obj else []

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return ["application"] if obj else []

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = super().get_list_display(request)
        return columns if self.has_change_permission(request) else columns[:-1]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "application__id__exact" or super().lookup_allowed(lookup, value, request)

    def panel(self, request: HttpRequest, obj: ApiKey) -> dict[str, Any]:
        state = key_state(obj)
        note = "The key itself was shown once, when it was made. Only its digest is kept."
        return {
            **super().panel(request, obj),
            "state": (state, KEY_LABELS[state]),
            "note": note,
            "facts": [
                {"label": "Begins with", "value": obj.prefix, "code": True},
                {"label": "Created", "value": moment(obj.created_at)},
                {"label": "Revoked", "value": moment(obj.revoked_at, "no")},
            ],
        }

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            rows.save(row=obj)
            return
        key, obj.secret = access.issue_key(
            application=obj.application, name=obj.name, expires_at=obj.expires_at
        )
        become(obj, key)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        return show_secret(self, request, obj, obj.secret)

    @display(description="State", label=KEY_LABELS)
    def state(self, key: ApiKey) -> str:
        return key_state(key)

    @display(description="")
    def steps(self, key: ApiKey) -> str:
        return buttons(
            {"deed": deed, "url": self.deed_url(deed, key)}
            for deed in self.deeds
            if deed.allowed(key)
        )
