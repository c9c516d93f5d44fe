"""All limits on one page, wherever they are set."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import SimpleListFilter, register
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.views import ChangeList

from catalog.admin.base import CatalogAdmin
from catalog.admin.cells import link
from catalog.admin.limit_cells import Uses, limit_section, tier_section
from catalog.admin.limit_forms import LimitForm
from catalog.models import Limit
from catalog.models.limits import PLACES
from catalog.selectors import apis_without_users, unpriced_models
from catalog.services import limits
from tenants.sites import tenant_site

_OPEN = "While Valkey cannot be reached, calls pass uncounted."
_CLOSED = "While Valkey cannot be reached, calls under it are refused: nothing is overspent."
FAILS = {"calls": _OPEN, "concurrency": _OPEN, "tokens": _CLOSED, "cost": _CLOSED}


def warnings(limit: Limit) -> list[str]:
    """A sentence for each kind of call that the limit refuses, since it cannot be counted."""
    found = []
    if limit.measure == Limit.Measure.COST and (names := unpriced_models(limit.currency)):
        why = f"they have no complete price in {limit.currency}"
        found.append(f"Calls to these models are refused under it, since {why}: {_few(names)}.")
    if limit.per == Limit.Per.USER and (names := apis_without_users(limit)):
        why = "they do not say what names an end user"
        found.append(f"Calls to these APIs are refused under it, since {why}: {_few(names)}.")
    return found


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class PlaceFilter(SimpleListFilter):
    title = "set on"
    parameter_name = "on"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("tenant", "The whole tenant"),
            ("plan", "A plan"),
            ("application", "An application"),
            ("key", "An API key"),
            ("api", "An API"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "tenant":
            return queryset.filter(**dict.fromkeys(PLACES))
        if self.value() in PLACES:
            return queryset.filter(**{f"{self.value()}__isnull": False})
        return queryset


@register(Limit, site=tenant_site)
class LimitAdmin(CatalogAdmin):
    form = LimitForm
    list_display = ["limit_text", "set_on", "per_text", "use_now", "mode_text"]
    list_filter = [
        PlaceFilter,
        ("measure", ChoicesDropdownFilter),
        ("window", ChoicesDropdownFilter),
        ("per", ChoicesDropdownFilter),
    ]
    list_select_related = PLACES
    list_before_template = "admin/catalog/tier_limits.html"
    search_fields = ["plan__name", "application__name", "key__name", "key__prefix", "api__name"]
    autocomplete_fields = ["plan", "application", "key", "api", "fallback"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "measure",
                    "amount",
                    "currency",
                    "window",
                    "per",
                    "mode",
                    "then",
                    "fallback",
                ]
            },
        ),
        (
            "Set on",
            {
                "fields": ["plan", "application", "key", "api"],
                "description": "One of these, or none for the whole tenant.",
            },
        ),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Limit | None = None) -> list[str]:
        """A limit on something else is another limit."""
        return list(PLACES) if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: Limit | None = None) -> Any:
        if obj is None:
            return super().get_fieldsets(request, obj)
        (title, options), _ = super().get_fieldsets(request, obj)
        places = [obj.place] if obj.place else []
        return [(title, {**options, "fields": [*places, *options["fields"]]})]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        found = tier_section(request.tenant)
        context = {**(extra_context or {}), "section": found if found["rows"] else None}
        return super().changelist_view(request, context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        places = {f"{name}__id__exact" for name in PLACES}
        return lookup in places or super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The use of the page's limits is read in one go, beside the rows."""
        page = super().get_changelist_instance(request)
        uses = Uses(request.tenant, page.result_list)
        if uses.problem:
            messages.warning(request, uses.problem)
        for limit in page.result_list:
            limit.uses = uses
        return page

    def panel(self, request: HttpRequest, obj: Limit) -> dict[str, Any]:
        return {
            **super().panel(request, obj),
            "note": " ".join([FAILS[obj.measure], *warnings(obj)]),
            "sections": [limit_section(Uses(request.tenant, [obj]), obj)],
        }

    def save_model(self, request: HttpRequest, obj: Limit, form: Any, change: bool) -> None:
        limits.save_limit(limit=obj)
        for sentence in warnings(obj):
            messages.warning(request, sentence)

    @display(description="At most", ordering="amount")
    def limit_text(self, limit: Limit) -> str:
        return str(limit)

    @display(description="Set on")
    def set_on(self, limit: Limit) -> str:
        if not limit.place:
            return "The whole tenant"
        of = getattr(limit, limit.place)
        kind = of._meta.verbose_name
        return link(of, f"{kind[:1].upper()}{kind[1:]}: {of}")

    @display(description="Counted for", ordering="per")
    def per_text(self, limit: Limit) -> str:
        return limit.get_per_display()

    @display(description="Use now")
    def use_now(self, limit: Limit) -> str:
        return limit.uses.cell(limit)

    @display(description="Mode", ordering="mode")
    def mode_text(self, limit: Limit) -> str:
        return limit.get_mode_display()
