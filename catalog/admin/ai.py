"""AI providers with their credentials, and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from catalog.admin import unpriced
from catalog.admin.addresses import KEY_PLACEHOLDER, curl_line, gateway_address
from catalog.admin.base import CatalogAdmin, CatalogForm, in_words, unwrapped
from catalog.admin.cells import link
from catalog.admin.deeds import Deed, add_refusal
from catalog.admin.deployments import DeploymentInline
from catalog.admin.rules import rules_section
from catalog.admin.widgets import Chips, Column, RowsField, chips_field
from catalog.model_uses import Use, uses
from catalog.models import AIModel, Api, Deployment, PriceChange, PromptVersion, Provider
from catalog.routing_checks import check_others
from catalog.rule_words import place
from catalog.services import ai, tiers
from contract.presets import PRESETS, Setting, preset_of
from tenants.sites import tenant_site

KEY_LABELS = {"Waiting for a key": "warning", "Key set": "success", "Switched off": ""}


def _remove_key(admin: Any, request: HttpRequest, provider: Provider, answers: dict) -> str:
    ai.clear_credential(provider=provider)
    return f"The key for {provider} is removed."


REMOVE_KEY = Deed(
    name="remove-key",
    label="Remove key",
    text="The stored key is deleted. Models at this provider answer with an error until "
    "another key is entered.",
    run=_remove_key,
    allowed=lambda provider: getattr(provider, "credential", None) is not None,
    icon="key_off",
    danger=True,
)


SETTINGS = {setting.name: setting for preset in PRESETS.values() for setting in preset.settings}
"""All that some kind of provider asks for besides."""


def _setting_field(setting: Setting) -> forms.CharField:
    kinds = [
        preset.title
        for preset in PRESETS.values()
        if setting.name in {one.name for one in preset.settings}
    ]
    return forms.CharField(
        label=setting.title,
        required=False,
        max_length=80,
        widget=UnfoldAdminTextInputWidget(),
        help_text=f"Of {' and '.join(kinds)} only. {setting.help}",
    )


class ProviderForm(CatalogForm):
    api_version = _setting_field(SETTINGS["api_version"])
    project = _setting_field(SETTINGS["project"])
    location = _setting_field(SETTINGS["location"])
    region = _setting_field(SETTINGS["region"])
    key = forms.CharField(
        label="Key",
        required=False,
        max_length=4096,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "key" not in self.fields:
            return  # a viewer's page has no inputs
        for name in SETTINGS:
            self.initial[name] = self.instance.settings.get(name, "")
        credential = getattr(self.instance, "credential", None)
        self.fields["key"].help_text = (
            f"Stored encrypted: {masked(credential.hint)} Leave it empty to keep it, or enter "
            "another one to replace it."
            if credential
            else "As the provider shows it. It is stored encrypted and never shown again."
        )

    def _post_clean(self) -> None:
        preset = preset_of(self.cleaned_data.get("preset", ""))
        wanted = {setting.name for setting in preset.settings}
        given = {name: self.cleaned_data.get(name, "") for name in SETTINGS}
        self.instance.settings = {n: v for n, v in given.items() if v and n in wanted}
        super()._post_clean()
        try:
            ai.check_settings(self.instance)
        except ValidationError as error:
            self.add_error(None, error.error_dict["settings"])
        if address := self.cleaned_data.get("base_url"):
            try:
                tiers.check_address(address, "base_url")
            except ValidationError as error:
                add_refusal(self, error)


def masked(hint: str) -> str:
    """What may be shown of a stored key."""
    return f"····{hint}."


@register(Provider, site=tenant_site)
class ProviderAdmin(CatalogAdmin):
    form = ProviderForm
    list_display = ["name", "preset", "base_url", "key_state", "key_hint", "model_count"]
    list_filter = ["preset", "enabled", "needs_credential"]
    list_select_related = ["credential"]
    search_fields = ["name", "base_url"]
    deeds = (REMOVE_KEY,)
    fieldsets = [
        (None, {"fields": ["name", "preset", "base_url", "needs_credential", "key"]}),
        (
            "Azure, Vertex AI and Amazon Bedrock",
            {"classes": ["collapse"], "fields": list(SETTINGS)},
        ),
        (
            "Time-outs and use",
            {
                "classes": ["collapse"],
                "fields": ["first_byte_timeout", "idle_timeout", "enabled"],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        models = Count("deployments__model", distinct=True)
        query = super().get_queryset(request).select_related("credential")
        return query.annotate(models_here=models)

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        """Who may not write has no use for an input."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        written = {"key", *SETTINGS}
        shown = [
            (title, {**options, "fields": [f for f in options["fields"] if f not in written]})
            for title, options in fieldsets
        ]
        return [(title, options) for title, options in shown if options["fields"]]

    def panel(self, request: HttpRequest, obj: Provider) -> dict[str, Any]:
        credential = getattr(obj, "credential", None)
        state = self.key_state(obj)
        return {
            **super().panel(request, obj),
            "state": (state, KEY_LABELS.get(state, "")),
            "facts": [
                {"label": "Key", "value": masked(credential.hint)[:-1] if credential else "none"}
            ],
        }

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        ai.save_provider(provider=obj)
        if secret := form.cleaned_data.get("key"):
            try:
                ai.set_credential(provider=obj, secret=secret)
            except ValidationError as error:
                raise ValidationError({"key": error.error_dict["secret"]}) from None

    @display(description="Key", label=KEY_LABELS)
    def key_state(self, provider: Provider) -> str:
        if not provider.enabled:
            return "Switched off"
        if getattr(provider, "credential", None):
            return "Key set"
        return "Waiting for a key" if provider.needs_credential else "No key needed"

    @display(description="Ends in")
    def key_hint(self, provider: Provider) -> str:
        credential = getattr(provider, "credential", None)
        return masked(credential.hint)[:-1] if credential else "–"

    @display(description="Models", ordering="models_here")
    def model_count(self, provider: Provider) -> int:
        return provider.models_here


def _fallback(row: dict[str, Any]) -> UUID | None:
    try:
        return UUID(row["model"]) if row["model"] else None
    except ValueError:
        raise forms.ValidationError("choose a model of the list.") from None


class AIModelForm(CatalogForm):
    abilities = chips_field(AIModel.Ability.choices, initial=[AIModel.Ability.CHAT])
    regions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Only deployments in these are asked, like EU, US. Empty: all.",
    )
    fallbacks = RowsField(
        [Column("model", "Model", "select", wide=True)],
        "Add a fallback",
        _fallback,
        ordered=True,
        required=False,
        help_text="Asked from above once all deployments of this model have failed.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "fallbacks" not in self.fields:
            return  # a viewer's page has no inputs
        others = AIModel.objects.exclude(pk=self.instance.pk).values_list("pk", "name")
        choices = (("", "Select a model"), *((str(pk), name) for pk, name in others))
        columns = self.fields["fallbacks"].widget.columns
        self.fields["fallbacks"].widget.columns = [replace(columns[0], choices=choices)]
        self.initial["fallbacks"] = [{"model": str(pk)} for pk in self.instance.fallbacks]
        self.initial["regions"] = ", ".join(self.instance.regions)

    def clean_regions(self) -> list[str]:
        return [one.strip() for one in self.cleaned_data["regions"].split(",") if one.strip()]

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                ai.check_model(self.instance, list(self.cleaned_data.get("apis") or []))
                check_others(self.instance)
            except ValidationError as error:
                add_refusal(self, error)


def _elsewhere(model: AIModel, out: Sequence[Deployment]) -> str:
    """Names the deployments that the model's regions leave out."""
    if not out:
        return ""
    told = [f"{place(one)} ({one.region or 'no region'})" for one in out[:5]]
    more = f" and {len(out) - 5} more" if len(out) > 5 else ""
    return f"Only {', '.join(model.regions)} is asked, so not {', '.join(told)}{more}."


def _use(use: Use) -> str:
    """With a link to where it can be changed. A prompt's versions have no page of their own."""
    row = use.row.prompt if isinstance(use.row, PromptVersion) else use.row
    return format_html("{} ({})", link(row, use.name[:1].upper() + use.name[1:]), use.how)


@register(AIModel, site=tenant_site)
class AIModelAdmin(CatalogAdmin):
    form = AIModelForm
    list_display = ["name", "can_do", "places", "price", "offered_through", "state"]
    list_filter = ["enabled", "strategy", "apis", "deployments__provider"]
    search_fields = ["name", "description", "deployments__provider_model"]
    fieldsets = [
        (None, {"fields": ["name", "description", "abilities", "apis", "enabled"]}),
        (
            "Which deployment is asked",
            {
                "classes": ["collapse"],
                "fields": [
                    "strategy",
                    ("within_percent", "explore"),
                    "regions",
                    "fallbacks",
                    "unsupported",
                    "on_break",
                    "compare_with",
                ],
            },
        ),
    ]
    readonly_fields = ["can_do", "falls_back_to"]
    inlines = [DeploymentInline]
    change_form_outer_after_template = "admin/catalog/after.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        enabled = Q(deployments__enabled=True, deployments__provider__enabled=True)
        query = super().get_queryset(request).prefetch_related("apis", *unpriced.PREFETCH)
        return query.annotate(in_use=Count("deployments", filter=enabled))

    def get_fieldsets(self, request: HttpRequest, obj: AIModel | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return in_words(fieldsets, {"abilities": "can_do", "fallbacks": "falls_back_to"})

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Checkboxes with every AI API ticked, which is what a first model wants."""
        kwargs["widget"] = Chips
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.initial = lambda: list(Api.objects.filter(kind=Api.Kind.AI))
        field.help_text = (
            "Applications subscribed to one of these may use the model."
            if Api.objects.filter(kind=Api.Kind.AI).exists()
            else "There is no API of the kind “AI models” yet: add one, then come back."
        )
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return unwrapped(super().formfield_for_dbfield(db_field, request, **kwargs))

    def panel(self, request: HttpRequest, obj: AIModel) -> dict[str, Any]:
        facts = [{"label": "Called as", "value": obj.name, "copyable": True}]
        if AIModel.Ability.CHAT in obj.abilities:
            facts.append({"label": "Try it", "value": self._curl(request, obj), "copyable": True})
        return {
            **super().panel(request, obj),
            "facts": facts,
            "note": self._note(obj),
            "after": [rules_section(request, obj)],
        }

    def _note(self, obj: AIModel) -> str:
        if not obj.in_use:
            return "No deployment is in use, so calls are answered with an error."
        here = obj.deployments.filter(enabled=True, provider__enabled=True)
        here = here.select_related("provider")
        regions = {one.lower() for one in obj.regions}
        out = [one for one in here if regions and one.region.lower() not in regions]
        if out and len(out) == len(here):
            return (
                f"No deployment in use is in {', '.join(obj.regions)}, so calls are answered with "
                "an error: set the regions of deployments on their pages."
            )
        return " ".join(filter(None, [_elsewhere(obj, out), unpriced.note(obj)]))

    def _curl(self, request: HttpRequest, obj: AIModel) -> str:
        return curl_line(
            f"{gateway_address(request)}/v1/chat/completions",
            headers={"Authorization": f"Bearer {KEY_PLACEHOLDER}"},
            body={"model": obj.name, "messages": [{"role": "user", "content": "Hello"}]},
        )

    def save_model(self, request: HttpRequest, obj: AIModel, form: Any, change: bool) -> None:
        ai.save_model(model=obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        ai.check_rules_name_something(form.instance)

    def delete_model(self, request: HttpRequest, obj: AIModel) -> None:
        ai.delete_model(model=obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Whatever names a model keeps it. Its deployments, with their prices, go with it, though
        they cannot be deleted on their own pages."""
        deleted, counts, needed, _ = super().get_deleted_objects(objs, request)
        needed -= {part._meta.verbose_name for part in (Deployment, PriceChange)}
        told = [_use(use) for one in objs for use in uses(one)]
        return deleted, counts, set() if told else needed, told

    @display(description="Can do")
    def can_do(self, model: AIModel) -> str:
        return ", ".join(AIModel.Ability(ability).label for ability in model.abilities)

    @display(description="Fallbacks")
    def falls_back_to(self, model: AIModel) -> str:
        names = AIModel.objects.in_bulk(model.fallbacks)
        return ", then ".join(str(names[pk]) for pk in model.fallbacks if pk in names) or "–"

    @display(description="Deployments", ordering="in_use")
    def places(self, model: AIModel) -> str:
        return f"{model.in_use} in use" if model.in_use else "none in use"

    @display(description="Price", label=unpriced.LABELS)
    def price(self, model: AIModel) -> str:
        return unpriced.label(model)

    @display(description="Offered through")
    def offered_through(self, model: AIModel) -> str:
        return ", ".join(api.name for api in model.apis.all()) or "no API"

    @display(description="State", ordering="enabled", label={"On": "success", "Off": "warning"})
    def state(self, model: AIModel) -> str:
        return "On" if model.enabled else "Off"
