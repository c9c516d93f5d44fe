"""A model's rules: a list on the model's page, and a page for each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import display

from catalog import named_applications
from catalog.admin.base import CatalogForm, PartAdmin, in_words, unwrapped
from catalog.admin.cells import link, section
from catalog.admin.deeds import Deed, add_refusal
from catalog.admin.widgets import Chips, Column, RowsField
from catalog.models import AIModel, Deployment, RoutingRule
from catalog.routing_checks import OPERATORS, SUBJECTS, check_condition
from catalog.rule_words import place, sentence, words
from catalog.services import ai
from tenants.sites import tenant_site

_OPERATORS_OF = {
    operator: tuple(name for name, subject in SUBJECTS.items() if operator in subject.operators)
    for operator in OPERATORS
}
CONDITIONS = [
    Column(
        "subject",
        "What",
        "select",
        tuple((name, subject.label) for name, subject in SUBJECTS.items()),
        "prompt_tokens",
        steers=True,
    ),
    Column(
        "name",
        "Name",
        only=tuple(name for name, subject in SUBJECTS.items() if subject.name),
    ),
    Column(
        "operator",
        "How",
        "select",
        tuple(OPERATORS.items()),
        "at_least",
        choices_only=_OPERATORS_OF,
    ),
    Column("values", "Any of these, one on each line", "area", wide=True, lines=2),
    Column("least", "Alike, %", "number", empty=50, only=("similarity",)),
    Column("embedding_model", "In meaning, by", only=("similarity",)),
]
HELP = (
    "All must hold; without any, the rule always holds. Length is in tokens, complexity from 0 to "
    "100, a language two letters like de. Content is code, math, images, audio, files or tools. "
    "For a stream write true or false; for likeness give example prompts, which are compared in "
    "words or, where you name one of your models for embeddings, in meaning."
)


def _condition(row: dict[str, Any]) -> dict[str, Any]:
    try:
        return check_condition(row | {"values": row["values"].splitlines()})
    except ValidationError as error:
        raise forms.ValidationError(error.messages[0]) from None


class Places(forms.ModelMultipleChoiceField):
    def label_from_instance(self, deployment: Deployment) -> str:
        return place(deployment) if deployment.enabled else f"{place(deployment)} (off)"


class RuleForm(CatalogForm):
    conditions = RowsField(
        CONDITIONS, "Add a condition", _condition, required=False, help_text=HELP
    )
    deployments = Places(
        queryset=Deployment.objects.none(),
        required=False,
        widget=Chips,
        label="Ask only",
        help_text="Deployments of this model. The strategy chooses among them.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "target" not in self.fields:
            return  # a viewer's page has no inputs
        model = self._model()
        names = named_applications.names([self.instance])
        told = [named_applications.told(one, names) for one in self.instance.conditions]
        self.initial["conditions"] = [{**one, "values": "\n".join(one["values"])} for one in told]
        places = Deployment.objects.filter(model=model).select_related("provider")
        self.fields["deployments"].queryset = places
        others = AIModel.objects.exclude(pk=model.pk) if model else AIModel.objects.none()
        self.fields["target"].queryset = others
        self.fields["target"].label = "Or ask another model"
        self.fields["target"].empty_label = "No other model"
        if "model" in self.fields:
            self.fields["model"].widget = forms.HiddenInput()

    def _model(self) -> AIModel | None:
        if self.instance.model_id:
            return self.instance.model
        given = self.data.get("model") if self.is_bound else self.initial.get("model")
        try:
            return AIModel.objects.filter(pk=given).first() if given else None
        except ValidationError:
            return None

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                ai.check_rule_here(self.instance, list(self.cleaned_data["deployments"]))
            except ValidationError as error:
                add_refusal(self, error)


def _moved(by: int) -> Any:
    def run(admin: Any, request: HttpRequest, rule: RoutingRule, answers: dict) -> HttpResponse:
        ai.move_rule(rule=rule, by=by)
        return redirect(_rules_at(rule.model_id, rule))

    return run


SHOWN = 20
"""Rules on one page of a model's list."""


def _rules_at(model_id: Any, rule: RoutingRule | None = None) -> str:
    """The list, at the page that has the rule."""
    address = reverse("admin:catalog_aimodel_change", args=[model_id])
    order = RoutingRule.objects.filter(model=model_id).values_list("pk", flat=True)
    page = 1 if rule is None else list(order).index(rule.pk) // SHOWN + 1
    return f"{address}{f'?rules={page}' if page > 1 else ''}#rules"


UP = Deed("up", "Move up", "It is looked at one place sooner.", _moved(-1), icon="arrow_upward")
DOWN = Deed(
    "down", "Move down", "It is looked at one place later.", _moved(1), icon="arrow_downward"
)


@register(RoutingRule, site=tenant_site)
class RoutingRuleAdmin(PartAdmin):
    """Reached from its model's page."""

    form = RuleForm
    parent = "model"
    deeds = (UP, DOWN)
    one_at_a_time = True
    fieldsets = [(None, {"fields": ["name", "conditions", "deployments", "target"]})]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("model", "target")

    def get_fieldsets(self, request: HttpRequest, obj: RoutingRule | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            ((title, options),) = fieldsets
            return [(title, {**options, "fields": [*options["fields"], "model"]})]
        if self.has_change_permission(request, obj):
            return fieldsets
        words = {"conditions": "when", "deployments": "ask_only", "target": "or_ask"}
        return in_words(fieldsets, words)

    def get_readonly_fields(self, request: HttpRequest, obj: RoutingRule | None = None) -> Any:
        return ["when", "ask_only", "or_ask"]

    @display(description="Conditions")
    def when(self, rule: RoutingRule) -> str:
        told = words(rule, named_applications.names([rule]))
        if not told:
            return "none: it always holds"
        return format_html(
            '<ul class="console-list">{}</ul>',
            format_html_join("", "<li>{}</li>", ([one] for one in told)),
        )

    @display(description="Ask only")
    def ask_only(self, rule: RoutingRule) -> str:
        places = rule.deployments.select_related("provider")
        return format_html_join(mark_safe("<br>"), "{}", ([place(one)] for one in places)) or "–"

    @display(description="Or ask another model")
    def or_ask(self, rule: RoutingRule) -> str:
        return str(rule.target or "–")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return unwrapped(super().formfield_for_dbfield(db_field, request, **kwargs))

    def panel(self, request: HttpRequest, obj: RoutingRule) -> dict[str, Any]:
        back = {"label": f"A rule of {obj.model}", "url": _rules_at(obj.model_id)}
        return {"links": [back], "note": sentence(obj, named_applications.names([obj]))}

    def save_model(self, request: HttpRequest, obj: RoutingRule, form: Any, change: bool) -> None:
        ai.save_rule(rule=obj, deployments=list(form.cleaned_data["deployments"]))

    def response_post_save_add(self, request: HttpRequest, obj: RoutingRule) -> HttpResponse:
        return redirect(_rules_at(obj.model_id))

    response_post_save_change = response_post_save_add

    def delete_model(self, request: HttpRequest, obj: RoutingRule) -> None:
        request.model_of_rule = obj.model_id
        super().delete_model(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        super().response_delete(request, obj_display, obj_id)  # says that it is deleted
        return redirect(_rules_at(request.model_of_rule))


def rules_section(request: HttpRequest, model: AIModel) -> dict[str, Any]:
    """The model's rules in order, each with what it does and what can be done with it."""
    rules = list(
        RoutingRule.objects.filter(model=model)
        .select_related("target")
        .prefetch_related("deployments__provider")
    )
    admin = tenant_site.get_model_admin(RoutingRule)
    may = admin.has_change_permission(request)
    rows, names = [], named_applications.names(rules)
    words = request.GET.get("rule", "").strip()[:80]
    told = [(number, rule, sentence(rule, names)) for number, rule in enumerate(rules, start=1)]
    found = [one for one in told if words.lower() in f"{one[1].name} {one[2]}".lower()]
    page = Paginator(found, SHOWN).get_page(request.GET.get("rules"))
    for number, rule, does in page:
        row = [number, link(rule), does]
        rows.append(
            [*row, _buttons(admin, rule, number == 1, number == len(rules))] if may else row
        )
    address = f"{reverse('admin:catalog_routingrule_add')}?model={model.pk}"
    return section(
        "Rules",
        ["", "Rule", "What it does", *(["Order"] if may else [])],
        rows,
        empty=f"None of the {len(rules)} rules has these words."
        if rules
        else "No rules: every call is spread over the deployments by the strategy.",
        add=("Add a rule", address) if admin.has_add_permission(request) else None,
    ) | {
        "id": "rules",
        "help": "They are looked at from above; the first that holds decides.",
        "find": {"name": "rule", "label": "Find a rule", "value": words}
        if len(rules) > SHOWN
        else None,
        "pages": _pages(page, words) if page.has_other_pages() else None,
    }


def _pages(page: Page, words: str) -> dict[str, Any]:
    def at(number: int) -> str:
        return f"?{urlencode({'rule': words, 'rules': number})}#rules"

    return {
        "previous": at(page.previous_page_number()) if page.has_previous() else "",
        "next": at(page.next_page_number()) if page.has_next() else "",
        "told": f"Page {page.number} of {page.paginator.num_pages}",
    }


def _buttons(admin: Any, rule: RoutingRule, first: bool, last: bool) -> SafeString:
    moves = format_html_join(
        "",
        '<button form="direct-deed" formaction="{}" class="console-button" aria-label="{}: {}"{}>'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span></button>',
        (
            (
                admin.deed_url(deed, rule),
                deed.label,
                rule.name,
                " disabled" if end else "",
                deed.icon,
            )
            for deed, end in ((UP, first), (DOWN, last))
        ),
    )
    return format_html(
        '<span class="console-row-deeds">{}<a href="{}" class="console-button console-danger" '
        'aria-label="Delete: {}"><span class="material-symbols-outlined" aria-hidden="true">delete'
        "</span></a></span>",
        moves,
        reverse("admin:catalog_routingrule_delete", args=[rule.pk]),
        rule.name,
    )
