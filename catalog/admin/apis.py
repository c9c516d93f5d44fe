"""APIs with their routes."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import register
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from catalog.admin.addresses import api_address, api_curl_line
from catalog.admin.base import CatalogAdmin, CatalogForm, CatalogInline
from catalog.admin.cells import link
from catalog.admin.deeds import Deed, add_refusal
from catalog.admin.widgets import chips_field
from catalog.models import Api, Route
from catalog.selectors import overlapping_routes, own_hosts
from catalog.services import apis
from catalog.validators import METHODS
from tenants.sites import tenant_site

State = Api.State

STATE_LABELS = {State.DRAFT.label: "info", State.PUBLISHED.label: "success"}


def _publish(admin: Any, request: HttpRequest, api: Api, answers: dict) -> str:
    apis.publish_api(api=api)
    return f"{api} is published at {api_address(request, api)}."


def _retire(admin: Any, request: HttpRequest, api: Api, answers: dict) -> str:
    apis.retire_api(api=api)
    return f"{api} is retired: calls to it are answered with 404."


PUBLISH = Deed(
    name="publish",
    label="Publish",
    text="From now on the gateway answers calls to this API.",
    run=_publish,
    allowed=lambda api: api.state != State.PUBLISHED,
    icon="rocket_launch",
    direct=True,
)
RETIRE = Deed(
    name="retire",
    label="Retire",
    text="Calls to this API will be answered with 404 at once. Subscriptions are kept, "
    "and you can publish it again.",
    run=_retire,
    allowed=lambda api: api.state == State.PUBLISHED,
    icon="archive",
    danger=True,
)


class RouteForm(CatalogForm):
    methods = chips_field([(m, m) for m in METHODS], required=False)

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                apis.check_route(self.instance)
            except ValidationError as error:
                add_refusal(self, error)


class RouteFormSet(CatalogInline.formset):
    """Two routes that would answer the same calls are refused, at the later one."""

    def clean(self) -> None:
        super().clean()
        earlier: list[Route] = []
        for form in self.forms:
            if form.errors or not form.cleaned_data or form.cleaned_data.get("DELETE"):
                continue
            for route in earlier:
                for problem in overlapping_routes([route, form.instance]):
                    form.add_error("path", problem)
            earlier.append(form.instance)


class RouteInline(CatalogInline):
    model = Route
    form = RouteForm
    formset = RouteFormSet
    fields = ["path", "methods", "rewrite", "enabled", "more"]
    readonly_fields = ["more"]
    help = (
        "Which calls are forwarded. Without any route, every path below the listen path is. "
        "A name in braces stands for one segment of the path, and may be used in the rewrite. "
        "A route's own page has its time-outs."
    )

    @display(description="More")
    def more(self, route: Route) -> str:
        return "" if route._state.adding else link(route, "Time-outs")


@register(Route, site=tenant_site)
class RouteAdmin(CatalogAdmin):
    """Reached from its API's page, where routes are added and deleted too."""

    form = RouteForm
    fieldsets = [
        (None, {"fields": ["path", "methods", "rewrite", "enabled"]}),
        (
            "In place of the upstream's",
            {
                "fields": [
                    ("connect_timeout", "first_byte_timeout"),
                    ("idle_timeout", "total_timeout"),
                    "retries",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("api")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Route | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:
        apis.save_route(route=obj)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return redirect("admin:catalog_api_changelist")

    def panel(self, request: HttpRequest, obj: Route) -> dict[str, Any]:
        address = reverse("admin:catalog_api_change", args=[obj.api_id])
        return {"links": [{"label": f"A route of {obj.api}", "url": address}]}


class ApiForm(CatalogForm):
    hosts = chips_field([], required=False, help_text=Api._meta.get_field("hosts").help_text)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hosts" in self.fields:
            # A host that was taken from the tenant stays visible until it is unchosen.
            names = sorted({*own_hosts(), *self.instance.hosts})
            self.fields["hosts"].choices = [(name, name) for name in names]

    def clean(self) -> dict[str, Any]:
        """Fields that do not belong to the kind are out of sight, so they must not matter."""
        cleaned = super().clean()
        kind = cleaned.get("kind", self.instance.kind)
        if kind == Api.Kind.AI and "listen_path" in self.fields:
            cleaned["listen_path"] = apis.AI_LISTEN_PATH
            self.errors.pop("listen_path", None)
        if kind != Api.Kind.HTTP:
            cleaned["upstream"] = None
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()
        if not self.errors:
            try:
                apis.check_api(self.instance)
            except ValidationError as error:
                add_refusal(self, error)


@register(Api, site=tenant_site)
class ApiAdmin(CatalogAdmin):
    form = ApiForm
    list_display = [
        "name",
        "kind_name",
        "state_label",
        "listen_path",
        "upstream",
        "subscribers",
        "updated_at",
    ]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("upstream", RelatedDropdownFilter),
    ]
    list_select_related = ["upstream"]
    search_fields = ["name", "listen_path", "description"]
    autocomplete_fields = ["upstream"]
    inlines = [RouteInline]
    deeds = (PUBLISH, RETIRE)
    fieldsets = [
        (None, {"fields": ["name", "kind", "listen_path", "upstream", "version", "description"]}),
        (
            "Access and limits",
            {
                "classes": ["collapse"],
                "fields": [
                    "hosts",
                    "key_required",
                    "key_header",
                    "key_query",
                    "user_from",
                    "max_body_bytes",
                ],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        approved = Count("subscriptions", filter=Q(subscriptions__status="approved"))
        return super().get_queryset(request).annotate(subscribers_approved=approved)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Prompts make their own APIs, so that kind is not on offer."""
        if db_field.name == "kind":
            kwargs["choices"] = [c for c in Api.Kind.choices if c[0] != Api.Kind.PROMPT]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Api | None = None) -> list[str]:
        return ["kind"] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: Api | None = None) -> Any:
        """A prompt's API has no upstream to choose, and an AI API no path."""
        hidden = {
            Api.Kind.PROMPT: {"upstream"},
            Api.Kind.AI: {"upstream", "listen_path", "hosts"},
        }.get(obj.kind if obj else "", set())
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_inlines(self, request: HttpRequest, obj: Api | None) -> list:
        return [] if obj and obj.kind != Api.Kind.HTTP else self.inlines

    def panel(self, request: HttpRequest, obj: Api) -> dict[str, Any]:
        published = obj.state == State.PUBLISHED
        facts = [{"label": "Called at", "value": api_address(request, obj), "copyable": True}]
        if published:
            facts.append(
                {"label": "Try it", "value": api_curl_line(request, obj), "copyable": True}
            )
        subscriptions = reverse("admin:catalog_subscription_changelist")
        return {
            **super().panel(request, obj),
            "state": (obj.get_state_display(), STATE_LABELS.get(obj.get_state_display(), "")),
            "note": "" if published else "Calls are answered with 404 until it is published.",
            "facts": facts,
            "links": [
                {
                    "label": f"Approved subscriptions: {obj.subscribers_approved}",
                    "url": f"{subscriptions}?api__id__exact={obj.pk}",
                },
                {
                    "label": f"Limits: {obj.limits.count()}",
                    "url": f"{reverse('admin:catalog_limit_changelist')}?api__id__exact={obj.pk}",
                },
            ],
        }

    def save_model(self, request: HttpRequest, obj: Api, form: Any, change: bool) -> None:
        apis.save_api(api=obj)

    def delete_model(self, request: HttpRequest, obj: Api) -> None:
        apis.delete_api(api=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Api | None = None) -> bool:
        """A prompt's API goes with the prompt."""
        kept = isinstance(obj, Api) and obj.kind == Api.Kind.PROMPT
        return not kept and super().has_delete_permission(request, obj)

    @display(description="State", ordering="state", label=STATE_LABELS)
    def state_label(self, api: Api) -> str:
        return api.get_state_display()

    @display(description="Kind", ordering="kind")
    def kind_name(self, api: Api) -> str:
        return api.get_kind_display()

    @display(description="Subscribers", ordering="subscribers_approved")
    def subscribers(self, api: Api) -> int:
        return api.subscribers_approved
