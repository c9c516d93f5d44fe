"""Alert rules and what became of them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from analytics.admin import text
from analytics.admin.own import OwnAdmin, ReadOnlyAdmin
from analytics.alerts import deliver, rules
from analytics.alerts.evaluate import amount
from analytics.models import AlertEvent, AlertRule
from analytics.models.alerts import RULE_FIELDS
from analytics.own_rows import own_rows
from tenants.admin.base import Answers, posted
from tenants.sites import tenant_site

STATE_LABELS = {"OK": "success", "Pending": "warning", "Firing": "danger", "Resolved": "success"}
_RECENT = 10


class Emails(forms.CharField):
    """Addresses on lines or between commas."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        return re.split(r"[\s,;]+", (value or "").strip()) if (value or "").strip() else []

    def run_validators(self, value: list[str]) -> None:
        for address in value:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(f"“{address}” is no e-mail address.") from None


class RuleForm(forms.ModelForm):
    """Checks by the rule's service. The secret goes in and never comes out."""

    tenant: Any = None
    emails = Emails(required=False, label="E-mail addresses", help_text="One a line. At most 20.")
    api_id = forms.TypedChoiceField(
        required=False, label="API", empty_value=None, widget=UnfoldAdminSelectWidget
    )
    application_id = forms.TypedChoiceField(
        required=False, label="Application", empty_value=None, widget=UnfoldAdminSelectWidget
    )
    new_secret = forms.CharField(
        required=False,
        label="Webhook secret",
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Signs the requests. It is sealed and never shown again; left empty, the one "
        "there is stays.",
    )
    forget_secret = forms.BooleanField(
        required=False, label="Remove the secret", widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = AlertRule
        fields = RULE_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field, model in (("api_id", "Api"), ("application_id", "Application")):
            if field in self.fields:
                rows = apps.get_model("catalog", model).objects.values_list("pk", "name")
                self.fields[field].choices = [("", "All"), *rows.order_by("name")]

    @property
    def given_secret(self) -> str | None:
        """As ``save_rule`` takes it."""
        if self.cleaned_data.get("forget_secret"):
            return ""
        return self.cleaned_data.get("new_secret") or None

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        if self.instance.metric == rules.Metric.SILENCE:
            self.instance.threshold = None
        try:
            rules.check_rule(self.instance, self.tenant, self.given_secret)
        except ValidationError as error:
            for field, problems in error.error_dict.items():
                self.add_error("new_secret" if field == "webhook_secret" else field, problems)


@register(AlertRule, site=tenant_site)
class RuleAdmin(OwnAdmin):
    form = RuleForm
    list_display = ["name", "state_label", "condition", "last", "told", "enabled"]
    list_filter = [("metric", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter)]
    search_fields = ["name"]
    actions = None
    actions_detail = ["test"]
    change_form_outer_before_template = "admin/catalog/panel.html"
    warn_unsaved_form = True
    fieldsets = [
        (None, {"fields": ["name", "enabled"]}),
        (
            "When it fires",
            {
                "fields": [
                    "metric",
                    ("threshold", "currency"),
                    ("window_minutes", "for_minutes"),
                    "min_calls",
                    ("api_id", "application_id"),
                ]
            },
        ),
        (
            "Who is told",
            {"fields": ["emails", "webhook_url", "new_secret", "forget_secret"]},
        ),
    ]

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form)(form.__name__, (form,), {"tenant": request.tenant})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Those who only look see neither the fields of the secret nor the whole address."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        told = ("Who is told", {"fields": ["emails", "webhook_host"]})
        return [self.fieldsets[0], self.fieldsets[1], told]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if self.has_change_permission(request, obj) else ["webhook_host"]

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        rules.save_rule(rule=obj, tenant=request.tenant, secret=form.given_secret)

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        rules.delete_rule(rule=obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        rule = self.get_object(request, object_id) if object_id else None
        if rule is not None and self.has_view_permission(request):
            context["panel"] = _panel(rule)
        return super().changeform_view(request, object_id, form_url, context)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        """What a rule has told is kept, so nothing else goes with it."""
        names = [str(obj) for obj in objs]
        return names, {"alert rules": len(names)}, set(), []

    def has_test_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.has_change_permission(request)

    @action(description="Send a test", icon="send", permissions=["test"], url_path="test")
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        rule = self.object_or_404(request, object_id)

        def run(answers: Answers) -> HttpResponse:
            outcomes = deliver.test(rule)
            for outcome in outcomes:
                say = messages.success if outcome.delivered else messages.error
                way = {"email": "E-mail", "webhook": "Webhook"}[outcome.channel]
                say(request, f"{way}: {outcome.text}")
            if not outcomes:
                messages.warning(request, "The rule names no e-mail address and no webhook.")
            return HttpResponseRedirect(self.url("change", rule))

        return self.ask(
            request,
            forms.Form(posted(request)),
            run,
            title=f"Send a test of {rule}",
            submit="Send",
            text="A message that says it is a test goes to all whom the rule tells.",
            obj=rule,
        )

    @display(description="State", ordering="state", label=STATE_LABELS)
    def state_label(self, rule: AlertRule) -> str:
        return rule.get_state_display() if rule.enabled else "Off"

    @display(description="Fires")
    def condition(self, rule: AlertRule) -> str:
        return condition(rule)

    @display(description="Last")
    def last(self, rule: AlertRule) -> str:
        return text.NOTHING if rule.last_value is None else amount(rule, rule.last_value)

    @display(description="Tells")
    def told(self, rule: AlertRule) -> str:
        ways = [f"{len(rule.emails)} by e-mail"] if rule.emails else []
        return ", ".join(ways + (["webhook"] if rule.webhook_url else [])) or "nobody"

    @display(description="Webhook")
    def webhook_host(self, rule: AlertRule) -> str:
        return webhook_host(rule)


@register(AlertEvent, site=tenant_site)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "rule_name", "state_label", "text", "deliveries_text"]
    list_filter = [("state", ChoicesDropdownFilter), ("metric", ChoicesDropdownFilter)]
    search_fields = ["rule_name"]
    fields = ["rule_name", "state", "at", "text", "value", "threshold", "deliveries_text"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertEvent]:
        return super().get_queryset(request).prefetch_related("deliveries")

    @display(description="State", ordering="state", label=STATE_LABELS)
    def state_label(self, event: AlertEvent) -> str:
        return event.get_state_display()

    @display(description="Told")
    def deliveries_text(self, event: AlertEvent) -> str:
        return deliveries(event)


def condition(rule: AlertRule) -> str:
    """When a rule fires, in a few words."""
    window = f"in {rule.window_minutes} min"
    if rule.metric == rules.Metric.SILENCE:
        return f"no calls {window}"
    name = {"error_rate": "5xx", "latency_p95": "95 %", "cost": "cost"}[rule.metric]
    return f"{name} above {amount(rule, rule.threshold)} {window}"


def webhook_host(rule: AlertRule) -> str:
    """The host alone: the path of a webhook is often as good as a password."""
    return urlsplit(rule.webhook_url).hostname or text.NOTHING


def deliveries(event: AlertEvent) -> str:
    """By which ways it was told, and how that went."""
    return (
        "; ".join(
            f"{row.get_channel_display()} {row.get_status_display().lower()}"
            + (f" after {row.attempts} tries: {row.outcome}" if row.status == "failed" else "")
            for row in event.deliveries.all()
        )
        or text.NOTHING
    )


def _panel(rule: AlertRule) -> dict[str, Any]:
    """What stands above the form: the state, and the latest events."""
    events = own_rows(AlertEvent, rule.tenant_id).filter(rule=rule).prefetch_related("deliveries")
    headers = ["At", "State", "What", "Told"]
    rows = [
        [text.moment(event.at), event.get_state_display(), event.text, deliveries(event)]
        for event in events[:_RECENT]
    ]
    note = f"Last looked at {text.moment(rule.evaluated_at)}" if rule.evaluated_at else ""
    if rule.last_value is not None:
        note += f": {amount(rule, rule.last_value)}"
    label = rule.get_state_display() if rule.enabled else "Off"
    facts = []
    if rule.signed:
        facts.append({"label": "Webhook secret", "value": "set, sealed"})
    return {
        "state": (label, STATE_LABELS.get(label, "")),
        "note": note,
        "facts": facts,
        "sections": [
            {
                "title": "What it told",
                "headers": headers,
                "rows": [list(zip(headers, row, strict=True)) for row in rows],
                "empty": "It has not fired yet.",
                "more": ("All events", reverse("admin:analytics_alertevent_changelist")),
            }
        ],
    }
