"""A model's deployments: rows on the model's page, a page for each, and prices by date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.admin.base import CatalogForm, CatalogInline, PartAdmin, in_words, unwrapped
from catalog.admin.cells import badge, link, moment, section
from catalog.admin.deeds import add_refusal
from catalog.admin.widgets import Column, JSONArea, RowsField, chips_field
from catalog.ai_routing import in_force
from catalog.models import Deployment, PriceChange
from catalog.models.ai import Trait
from catalog.models.prices import PRICE_FIELDS, PriceColumns
from catalog.price_checks import STEPPED, check_picture, check_prices, check_step
from catalog.rule_words import place, price_words
from catalog.services import ai, prices
from tenants.sites import tenant_site

COMMON = [("input_price", "output_price"), ("cached_price", "currency")]
FURTHER = [
    ("cache_write_price", "cache_write_1h_price"),
    ("reasoning_price", "request_price"),
    ("search_price", "input_image_price"),
    ("output_image_price", "input_audio_price"),
    ("output_audio_price", "cached_audio_price"),
    "batch_percent",
    "price_steps",
]
APART = [("heard_hour_price", "characters_price"), "picture_price", "picture_prices"]
PRICE_FIELDSETS = [
    (
        "Prices",
        {
            "fields": COMMON,
            "description": "For a million tokens. An empty one of tokens that are read from a "
            "cache means that they cost what all input does.",
        },
    ),
    (
        "Further prices",
        {
            "classes": ["collapse"],
            "fields": FURTHER,
            "description": "Where one is empty, those tokens cost what all input, or output, does.",
        },
    ),
    (
        "Prices of pictures, sound and speech",
        {
            "classes": ["collapse"],
            "fields": APART,
            "description": "For models that are billed by the picture, by the length of what they "
            "hear or by the characters they speak. Tokens are paid too, where they have a price.",
        },
    ),
]
_WORDS = {"abilities": "takes", "price_steps": "long_prompts", "picture_prices": "by_picture"}
_UNITS = {unit: unit.replace("_", " ").replace("1h", "for an hour") for unit in STEPPED}


def _step(row: dict[str, Any]) -> dict[str, Any] | None:
    return _checked(check_step, row, "above", "price")


def _picture(row: dict[str, Any]) -> dict[str, Any] | None:
    return _checked(check_picture, row, "size", "quality", "price")


def _checked(
    check: Callable[[Any], dict[str, Any]], row: dict[str, Any], *typed: str
) -> dict[str, Any] | None:
    """None for a row in which nothing was typed."""
    if not any(row[name].strip() for name in typed):
        return None
    try:
        return check(row)
    except ValidationError as error:
        raise forms.ValidationError(error.messages[0]) from None


class PricesForm(CatalogForm):
    """Prices without the zeros that the column adds, and steps as rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "currency" in self.fields:
            self.fields["currency"].widget = UnfoldAdminTextInputWidget({"size": 4, "maxlength": 3})
        for name in PRICE_FIELDS:
            if self.initial.get(name) is not None:
                self.initial[name] = _plain(self.initial[name])
            if name in self.fields:
                self.fields[name].widget.attrs |= {"step": "any", "min": "0"}

    def clean_currency(self) -> str:
        return self.cleaned_data["currency"].upper()


class PricesInWords:
    """What a price list has in rows, for who may not change it."""

    @display(description="Prices of long prompts")
    def long_prompts(self, row: PriceColumns) -> str:
        return _lines(
            f"{_UNITS[step['unit']]}: {step['price']} above {step['above']:,} input tokens"
            for step in row.price_steps
        )

    @display(description="Prices of pictures")
    def by_picture(self, row: PriceColumns) -> str:
        return _lines(
            f"{' '.join(filter(None, [one['size'], one.get('quality')]))}: {one['price']}"
            for one in row.picture_prices
        )


def _lines(told: Iterable[str]) -> str:
    return format_html_join(mark_safe("<br>"), "{}", ([one] for one in told)) or "–"


def _plain(price: Any) -> str:
    return f"{price.normalize():f}" if hasattr(price, "normalize") else str(price)


def steps_field() -> RowsField:
    return RowsField(
        [
            Column("unit", "Price of", "select", tuple(_UNITS.items()), "input"),
            Column("above", "With more input tokens than", "number"),
            Column("price", "For a million tokens"),
        ],
        "Add a price of long prompts",
        _step,
        required=False,
        label="Prices of long prompts",
        help_text="A call with more input tokens pays this for all its tokens of that kind.",
    )


def pictures_field() -> RowsField:
    return RowsField(
        [
            Column("size", "Size"),
            Column("quality", "Quality"),
            Column("price", "For one picture"),
        ],
        "Add a price of pictures",
        _picture,
        required=False,
        label="Pictures by size and quality",
        help_text="Like 1024x1536 and high, as the provider's answer says it, or else the request; "
        "auto where neither does. An empty quality is any. A picture that is not listed costs what "
        "a picture made does above; where that is empty its cost is unknown.",
    )


class DeploymentForm(PricesForm):
    """Where other prices hold by now, the deployment's own are shown no more: those are."""

    replaced = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            return
        current = in_force(self.instance)
        self.replaced = current is not self.instance
        if self.replaced:
            for name in {*prices.COLUMNS} & {*self.fields}:
                self.fields[name].disabled = True
                value = getattr(current, name)
                self.initial[name] = _plain(value) if name in PRICE_FIELDS and value else value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.replaced:
            own = {name: getattr(self.instance, name) for name in prices.COLUMNS}
            cleaned |= {name: value for name, value in own.items() if name in self.fields}
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                ai.check_deployment(self.instance)
            except ValidationError as error:
                add_refusal(self, error)


class DeploymentInline(CatalogInline):
    model = Deployment
    form = DeploymentForm
    fields = [
        "provider",
        "provider_model",
        "weight",
        "input_price",
        "output_price",
        "currency",
        "enabled",
        "more",
    ]
    readonly_fields = ["more"]
    help = (
        "Where the model is served, and what a million tokens cost there. A deployment's own page "
        "has its further prices, its region, priority and limits, and prices from a day on."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request).select_related("provider")
        return rows.prefetch_related("price_changes")

    @display(description="More")
    def more(self, deployment: Deployment) -> str:
        return "" if deployment._state.adding else link(deployment, "Open")


class DeploymentPageForm(DeploymentForm):
    price_steps = steps_field()
    picture_prices = pictures_field()
    abilities = chips_field(
        Trait.choices,
        required=False,
        label="Takes",
        help_text="None chosen: not known, and nothing is kept from it.",
    )
    quirks = forms.JSONField(
        label="Parameters",
        required=False,
        initial=dict,
        widget=JSONArea,
        help_text=Deployment._meta.get_field("quirks").help_text,
    )

    def clean_quirks(self) -> dict[str, str]:
        return self.cleaned_data["quirks"] or {}


@register(Deployment, site=tenant_site)
class DeploymentAdmin(PricesInWords, PartAdmin):
    """Reached from its model's page, where deployments are added and deleted too."""

    form = DeploymentPageForm
    parent = "model"
    readonly_fields = list(_WORDS.values())
    change_form_outer_after_template = "admin/catalog/after.html"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "provider",
                    "provider_model",
                    ("weight", "priority"),
                    ("region", "context_tokens"),
                    "enabled",
                ]
            },
        ),
        *PRICE_FIELDSETS,
        (
            "Further bounds",
            {
                "classes": ["collapse"],
                "fields": [
                    "abilities",
                    "max_output_tokens",
                    ("requests_per_minute", "tokens_per_minute"),
                ],
            },
        ),
        (
            "What it cannot be told",
            {"classes": ["collapse"], "fields": ["based_on", "quirks"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request).select_related("model", "provider")
        return rows.prefetch_related("price_changes")

    def get_fieldsets(self, request: HttpRequest, obj: Deployment | None = None) -> Any:
        """Prices that other ones have replaced are in the list of those by date only."""
        found = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            found = in_words(found, _WORDS)
        if obj is None or in_force(obj) is obj:
            return found
        dropped = {title for title, _ in PRICE_FIELDSETS}
        return [(title, options) for title, options in found if title not in dropped]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return unwrapped(super().formfield_for_dbfield(db_field, request, **kwargs))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Deployment | None = None) -> bool:
        return False

    @display(description="Takes")
    def takes(self, deployment: Deployment) -> str:
        return ", ".join(Trait(one).label for one in deployment.abilities) or "not known"

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        ai.save_deployment(deployment=obj)

    def panel(self, request: HttpRequest, obj: Deployment) -> dict[str, Any]:
        address = reverse("admin:catalog_aimodel_change", args=[obj.model_id])
        return {
            "links": [{"label": f"A deployment of {obj.model}", "url": address}],
            "note": _region_note(obj),
            "after": [_prices_section(request, obj)],
        }


def _region_note(deployment: Deployment) -> str:
    regions = deployment.model.regions
    if not regions or deployment.region.lower() in map(str.lower, regions):
        return ""
    return (
        f"Not asked: {deployment.model} asks only {', '.join(regions)}, and this is in "
        f"{deployment.region or 'no region'}."
    )


def _prices_section(request: HttpRequest, deployment: Deployment) -> dict[str, Any]:
    changes = sorted(deployment.price_changes.all(), key=lambda change: change.since)
    current = in_force(deployment)
    rows = []
    for row in [deployment, *changes] if changes else []:
        change = row if isinstance(row, PriceChange) else None
        to_come = change is not None and not prices.begun(change)
        state = badge("To come", "info") if to_come else badge("Past")
        rows.append(
            [
                moment(change.since) if change else "the beginning",
                price_words(row),
                badge("Now", "success") if row is current else state,
                link(change, "Change" if to_come else "Look") if change else "",
            ]
        )
    address = f"{reverse('admin:catalog_pricechange_add')}?deployment={deployment.pk}"
    admin = tenant_site.get_model_admin(PriceChange)
    return section(
        "Prices by date",
        ["From", "Prices", "State", ""],
        rows,
        empty="The prices above hold from the beginning on.",
        add=("Add prices from a day on", address) if admin.has_add_permission(request) else None,
    ) | {"help": "Each call costs what holds when it is made, and keeps that."}


class PriceChangeForm(PricesForm):
    price_steps = steps_field()
    picture_prices = pictures_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "since" in self.fields:
            self.fields["since"].required = False
            self.fields["since"].label = "From"
            self.fields["since"].help_text = "Not in the past. Empty: from now on."
        if "deployment" in self.fields:
            self.fields["deployment"].widget = forms.HiddenInput()

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            if self.instance.since is None:
                check_prices(self.instance)  # saving sets the moment
            else:
                prices.check_price_change(self.instance)
                self.instance.validate_constraints()
        except ValidationError as error:
            add_refusal(self, error)


@register(PriceChange, site=tenant_site)
class PriceChangeAdmin(PricesInWords, PartAdmin):
    """Reached from its deployment's page. What has begun can only be looked at."""

    form = PriceChangeForm
    parent = "deployment"
    one_at_a_time = True
    readonly_fields = ("long_prompts", "by_picture")
    fieldsets = [(None, {"fields": ["since"]}), *PRICE_FIELDSETS]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return (
            super()
            .get_queryset(request)
            .select_related("deployment__model", "deployment__provider")
        )

    def get_fieldsets(self, request: HttpRequest, obj: PriceChange | None = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            found = in_words(found, _WORDS)
        (title, options), *rest = found
        hidden = [] if obj else ["deployment"]
        return [(title, {**options, "fields": [*options["fields"], *hidden]}), *rest]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The prices of now: most of them stay."""
        given = super().get_changeform_initial_data(request)
        try:
            deployment = Deployment.objects.filter(pk=given.get("deployment")).first()
        except ValidationError:
            deployment = None
        if deployment is None:
            return given
        current = in_force(deployment)
        return given | {name: getattr(current, name) for name in prices.COLUMNS}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return unwrapped(super().formfield_for_dbfield(db_field, request, **kwargs))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _begun(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _begun(obj) and super().has_delete_permission(request, obj)

    def panel(self, request: HttpRequest, obj: PriceChange) -> dict[str, Any]:
        label = f"Prices of {place(obj.deployment)}"
        note = "They hold, or have held, and calls were paid by them." if _begun(obj) else ""
        return {"links": [{"label": label, "url": _deployment_at(obj)}], "note": note}

    def save_model(self, request: HttpRequest, obj: PriceChange, form: Any, change: bool) -> None:
        prices.save_price_change(change=obj)

    def delete_model(self, request: HttpRequest, obj: PriceChange) -> None:
        request.after_delete = _deployment_at(obj)
        prices.delete_price_change(change=obj)

    def response_post_save_add(self, request: HttpRequest, obj: PriceChange) -> HttpResponse:
        return redirect(_deployment_at(obj))

    response_post_save_change = response_post_save_add

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        super().response_delete(request, obj_display, obj_id)  # says that it is deleted
        return redirect(request.after_delete)


def _begun(obj: Any) -> bool:
    return isinstance(obj, PriceChange) and prices.begun(obj)


def _deployment_at(change: PriceChange) -> str:
    return reverse("admin:catalog_deployment_change", args=[change.deployment_id])
