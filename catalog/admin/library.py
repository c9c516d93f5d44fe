"""The library of models: searched, added from, and its new prices agreed to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from catalog import library, library_search
from catalog.admin.base import tell
from catalog.admin.cells import link
from catalog.admin.deeds import add_refusal, safe_next
from catalog.admin.library_rows import details, row, update_row
from catalog.ai_routing import price_known
from catalog.library import Entry
from catalog.library_search import SORTS, Search
from catalog.models import AIModel, Provider
from catalog.models.ai import Trait
from catalog.services import library as service
from contract.presets import PRESETS
from tenants.sites import tenant_site

View = Callable[..., HttpResponse]
PER_PAGE = 50
COLUMNS = (
    ("name", "Model"),
    ("", "Provider"),
    ("", "Can do"),
    ("context", "Context"),
    ("input", "Input"),
    ("output", "Output"),
)
"""What it is sorted by, and the heading."""
ABILITIES = {**dict(AIModel.Ability.choices), **dict(Trait.choices)}


def page(view: View) -> View:
    """A page of the tenant's console for those who may see models."""

    def checked(request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("catalog.view_aimodel"):
            raise PermissionDenied
        request.current_app = tenant_site.name
        return view(request)

    checked.__name__ = view.__name__
    return tenant_site.admin_view(checked)


def index(request: HttpRequest) -> HttpResponse:
    search, problems = _search(request)
    pages = Paginator(library_search.find(search), PER_PAGE)
    shown = pages.get_page(request.GET.get("page"))
    placed, providers = library_search.placed(), list(Provider.objects.filter(enabled=True))
    query = {"q": search.text, "vendor": search.vendor, "ability": search.ability}
    context = {
        "title": "Model library",
        "search": search,
        "problems": problems,
        "vendors": sorted(library.vendors().values(), key=lambda one: one.name.lower()),
        "abilities": ABILITIES.items(),
        "sorts": _sorts(),
        "headings": _headings(search, query),
        "rows": [row(entry, placed.get(entry.key, []), providers) for entry in shown],
        "page": shown,
        "count": pages.count,
        "older": _query(query, search.sort, shown.number + 1) if shown.has_next() else "",
        "newer": _query(query, search.sort, shown.number - 1) if shown.has_previous() else "",
        "may_add": request.user.has_perm("catalog.add_aimodel"),
        "may_connect": request.user.has_perm("catalog.add_provider"),
        "updates": len(service.updates()),
    }
    return _rendered(request, "admin/library/index.html", context)


def _search(request: HttpRequest) -> tuple[Search, list[str]]:
    """As the address says, and what of it means nothing."""
    given = {name: request.GET.get(name, "").strip() for name in ("q", "vendor", "ability", "sort")}
    problems = []
    for name, known, what in (
        ("vendor", library.vendors(), "The library has no such provider"),
        ("ability", ABILITIES, "There is no such ability"),
    ):
        if given[name] and given[name] not in known:
            problems.append(f"{what}: all are shown.")
            given[name] = ""
    if given["sort"].removeprefix("-") not in SORTS:
        given["sort"] = ""
    return Search(given["q"][:200], given["vendor"], given["ability"], given["sort"]), problems


def _query(query: dict[str, str], sort: str, number: int = 1) -> str:
    said = {**query, "sort": sort, "page": "" if number == 1 else str(number)}
    return "?" + urlencode({name: value for name, value in said.items() if value})


def _sorts() -> list[tuple[str, str]]:
    """For narrow screens, which have no headings."""
    return [
        ("", "As in the library"),
        ("name", "Name"),
        ("-context", "Largest context"),
        ("input", "Cheapest input"),
        ("output", "Cheapest output"),
    ]


def _headings(search: Search, query: dict[str, str]) -> list[dict[str, str]]:
    found = []
    for sort, label in COLUMNS:
        way = {sort: "ascending", f"-{sort}": "descending"}.get(search.sort, "") if sort else ""
        first = "-context" if sort == "context" else sort
        other = sort if first.startswith("-") else f"-{sort}"
        turned = other if search.sort == first else first
        found.append({"label": label, "way": way, "url": _query(query, turned) if sort else ""})
    return found


class AddForm(forms.Form):
    provider = forms.ModelChoiceField(
        queryset=Provider.objects.all(), empty_label=None, widget=UnfoldAdminSelectWidget()
    )
    name = forms.CharField(
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What applications call it.",
    )
    join = forms.BooleanField(
        label="Add to the model of this name, if there is one",
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text="It then takes its share of that model's calls.",
    )

    def __init__(self, entry: Entry, providers: list[Provider], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ids = [provider.pk for provider in providers]
        self.fields["provider"].queryset = Provider.objects.filter(pk__in=ids)
        self.initial = {"name": service.name_for(entry), "provider": ids[0] if ids else None}


def add(request: HttpRequest) -> HttpResponse:
    """Adds at once what leaves nothing to choose; otherwise asks."""
    if not request.user.has_perm("catalog.add_aimodel"):
        raise PermissionDenied
    given = request.POST if request.method == "POST" else request.GET
    after = safe_next(request) or reverse("library:index")
    try:
        entry = service.entry_of(given.get("key", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return HttpResponseRedirect(after)
    providers = library_search.providers_for(entry, Provider.objects.filter(enabled=True))
    if not providers:
        return HttpResponseRedirect(provider_form(entry))
    form = AddForm(entry, providers)
    if request.method == "POST":
        said = request.POST
        if "name" not in said and len(providers) == 1:
            said = {"provider": providers[0].pk, "name": service.name_for(entry)}
        if "name" in said:
            form = AddForm(entry, providers, said)
            if form.is_valid() and _added(request, entry, form):
                return HttpResponseRedirect(after)
    context = {
        "title": f"Add {entry.name}",
        "entry": entry,
        "details": details(entry),
        "form": form,
        "after": after,
    }
    return _rendered(request, "admin/library/add.html", context)


def _added(request: HttpRequest, entry: Entry, form: AddForm) -> bool:
    said = form.cleaned_data
    try:
        with tell(request):
            made = service.add(
                entry=entry, provider=said["provider"], name=said["name"], join=said["join"]
            )
    except ValidationError as error:
        add_refusal(form, error)
        return False
    hints = []
    if made.provider.needs_credential and not hasattr(made.provider, "credential"):
        hints.append(f"It can be called once {made.provider} has its key.")
    if not price_known(made):
        hints.append("Its price is not known: enter it there.")
    messages.success(request, format_html("{} is added. {}", link(made.model), " ".join(hints)))
    return True


def provider_form(entry: Entry) -> str:
    """Where a provider that serves it is added, with what is known filled in."""
    preset = entry.vendor.presets[0]
    title = PRESETS[preset].title if preset != "compatible" else entry.vendor.name
    said = {"preset": preset, "name": title}
    return f"{reverse('admin:catalog_provider_add')}?{urlencode(said)}"


def updates(request: HttpRequest) -> HttpResponse:
    """What would change in the prices of what came from the library; on POST what was chosen
    does."""
    may_change = request.user.has_perm("catalog.change_aimodel")
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        return _update(request)
    context = {
        "title": "Prices in the library",
        "rows": [update_row(one) for one in service.updates()],
        "may_change": may_change,
    }
    return _rendered(request, "admin/library/updates.html", context)


def _update(request: HttpRequest) -> HttpResponse:
    try:
        agreed = {UUID(pk): digest for pk, _, digest in map(_split, request.POST.getlist("agreed"))}
        with tell(request):
            changed = service.update_prices(agreed=agreed)
    except ValueError:
        messages.error(request, "This is not what the page offers: choose again.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        number = len(changed)
        if number:
            text = f"{number} deployment{'' if number == 1 else 's'} got new prices."
            messages.success(request, f"{text} Calls until now keep theirs.")
        else:
            messages.warning(request, "Nothing was chosen, so nothing has changed.")
    return HttpResponseRedirect(reverse("library:updates"))


def _split(said: str) -> tuple[str, str, str]:
    return said.partition(":")


def _rendered(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**tenant_site.each_context(request), **context})
