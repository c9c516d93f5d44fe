"""Subscriptions and their approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import action, register
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.admin.base import CatalogAdmin, CatalogForm, become
from catalog.admin.cells import buttons, moment, section
from catalog.admin.deeds import Deed
from catalog.admin.paging import CappedPaginator
from catalog.models import Api, Plan, Subscription
from catalog.services import access
from tenants.sites import tenant_site

Status = Subscription.Status

STATUS_LABELS = {
    Status.PENDING.label: "warning",
    Status.APPROVED.label: "success",
    Status.REJECTED.label: "danger",
}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300,
        required=False,
        widget=UnfoldAdminTextInputWidget({"autofocus": True}),
        help_text="Kept in the history. May be left empty.",
    )


class GivenReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300,
        widget=UnfoldAdminTextInputWidget({"autofocus": True}),
        help_text="Kept in the history, so that others can see why.",
    )


def _decision(service: Callable[..., Subscription], done: str) -> Callable[..., str]:
    def run(admin: Any, request: HttpRequest, subscription: Subscription, answers: dict) -> str:
        service(subscription=subscription, actor=request.user, reason=answers["reason"])
        return f"{subscription} is {done}."

    return run


APPROVE = Deed(
    name="approve",
    label="Approve",
    text="The application may call the API under this plan from now on.",
    run=_decision(access.approve_subscription, "approved"),
    allowed=lambda subscription: subscription.status == Status.PENDING,
    form=ReasonForm,
    icon="check",
)
REJECT = Deed(
    name="reject",
    label="Reject",
    text="The application cannot call the API. It may ask again.",
    run=_decision(access.reject_subscription, "rejected"),
    allowed=lambda subscription: subscription.status == Status.PENDING,
    form=GivenReasonForm,
    icon="close",
    danger=True,
)
REVOKE = Deed(
    name="revoke",
    label="Revoke",
    text="The application's calls will be refused at once. It may ask again.",
    run=_decision(access.revoke_subscription, "revoked"),
    allowed=lambda subscription: subscription.status == Status.APPROVED,
    form=GivenReasonForm,
    icon="block",
    danger=True,
)


class SubscriptionForm(CatalogForm):
    class Meta:
        labels = {"api": "API"}


class NewSubscriptionForm(SubscriptionForm):
    reason = forms.CharField(
        label="Why",
        max_length=300,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What it is for; whoever decides will see it.",
    )


class ApiFilter(RelatedDropdownFilter):
    """Called by its proper name, which the column's own would spell “api”."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "API"


@register(Subscription, site=tenant_site)
class SubscriptionAdmin(CatalogAdmin):
    form = SubscriptionForm
    list_display = ["application", "api_name", "plan", "status_label", "last_step", "steps"]
    list_display_links = ["application"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("api", ApiFilter),
        ("plan", RelatedDropdownFilter),
    ]
    list_select_related = ["application", "api", "plan"]
    search_fields = ["application__name", "api__name"]
    autocomplete_fields = ["application"]
    ordering = [
        Case(When(status=Status.PENDING, then=Value(0)), default=Value(1)).asc(),
        "-created_at",
    ]
    paginator = CappedPaginator
    actions = ["approve_selected", "reject_selected", "revoke_selected"]
    deeds = (APPROVE, REJECT, REVOKE)
    one_at_a_time = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("events")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = super().get_list_display(request)
        return columns if self.has_change_permission(request) else columns[:-1]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "application__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        if obj is None:
            kw["form"] = NewSubscriptionForm
        return super().get_form(request, obj, change, **kw)

    def get_fields(self, request: HttpRequest, obj: Subscription | None = None) -> list[str]:
        return ["application", "api", "plan"] if obj else ["application", "api", "plan", "reason"]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Subscription | None = None
    ) -> list[str]:
        """What was agreed does not change; another plan is another subscription."""
        return ["application", "api", "plan"] if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "api":
            kwargs["queryset"] = Api.objects.filter(state=Api.State.PUBLISHED)
        if db_field.name == "plan":
            kwargs["queryset"] = Plan.objects.filter(enabled=True)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        buttons_shown = ["show_save", "show_save_and_continue", "show_save_and_add_another"]
        hidden = dict.fromkeys(buttons_shown, False) if object_id else {}
        context = {**(extra_context or {}), **hidden}
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        subscription = access.request_subscription(
            application=obj.application,
            api=obj.api,
            plan=obj.plan,
            actor=request.user,
            reason=form.cleaned_data["reason"],
        )
        become(obj, subscription)

    def panel(self, request: HttpRequest, obj: Subscription) -> dict[str, Any]:
        status = obj.get_status_display()
        return {
            **super().panel(request, obj),
            "state": (status, STATUS_LABELS.get(status, "")),
            "sections": [
                section(
                    "History",
                    ["When", "What", "Who", "Why"],
                    [
                        [
                            moment(event.created_at),
                            event.get_action_display(),
                            event.actor_name or "the system",
                            event.reason or "–",
                        ]
                        for event in obj.events.all()
                    ],
                    empty="Nothing is recorded.",
                )
            ],
        }

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def status_label(self, subscription: Subscription) -> str:
        return subscription.get_status_display()

    @display(description="API", ordering="api__name")
    def api_name(self, subscription: Subscription) -> str:
        return subscription.api.name

    @display(description="Last step", ordering="created_at")
    def last_step(self, subscription: Subscription) -> str:
        event = next(reversed(subscription.events.all()), None)
        if event is None:
            return moment(subscription.created_at)
        why = f": {event.reason}" if event.reason else ""
        return f"{event}, {moment(event.created_at)}{why}"

    @display(description="")
    def steps(self, subscription: Subscription) -> str:
        return buttons(
            [
                {"deed": deed, "url": self.deed_url(deed, subscription)}
                for deed in self.deeds
                if deed.allowed(subscription)
            ]
        )

    @action(description="Approve", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._decide_many(request, queryset, APPROVE)

    @action(description="Reject", permissions=["change"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._decide_many(request, queryset, REJECT)

    @action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        return self._decide_many(request, queryset, REVOKE)

    def _decide_many(
        self, request: HttpRequest, queryset: QuerySet, deed: Deed
    ) -> HttpResponse | None:
        """Asks for the reason once, then decides each one that can be so decided."""
        form = deed.form(request.POST if "decided" in request.POST else None)
        if not (form.is_bound and form.is_valid()):
            return self._ask_many(request, queryset, deed, form)
        done, refused = 0, 0
        with transaction.atomic():
            for subscription in queryset:
                try:
                    deed.run(self, request, subscription, form.cleaned_data)
                    self.log_change(request, subscription, f"{deed.label}.")
                    done += 1
                except ValidationError:
                    refused += 1
        if done:
            messages.success(request, f"{deed.label}: {done} done.")
        if refused:
            text = (
                f"{deed.label}: {refused} left as they were, since their status does not allow it."
            )
            messages.warning(request, text)
        return None

    def _ask_many(
        self, request: HttpRequest, queryset: QuerySet, deed: Deed, form: forms.Form
    ) -> HttpResponse:
        across = request.POST.get("select_across") == "1"
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{deed.label}: {queryset.count()} subscriptions",
            "deed": deed,
            "form": form,
            "action": request.POST.get("action"),
            "across": across,
            "chosen": chosen[:1] if across else chosen,
            "field": ACTION_CHECKBOX_NAME,
            "names": [str(s) for s in queryset.select_related("application", "api")[:10]],
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/catalog/decide_many.html", context)
