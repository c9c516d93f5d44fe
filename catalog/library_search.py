"""The library of models as a tenant sees it: searched, and with what of it is in use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from time import time

from msgspec import Struct

from catalog import library
from catalog.library import Entry
from catalog.models import Deployment, Provider

SORTS: dict[str, Callable[[Entry], float | str | None]] = {
    "name": lambda entry: entry.name.lower(),
    "context": lambda entry: entry.context_tokens,
    "input": lambda entry: entry.prices_at(time()).input,
    "output": lambda entry: entry.prices_at(time()).output,
}
"""By what it can be sorted; a minus before it turns the order round."""


class Search(Struct, frozen=True):
    """``text``: words that all are in a model's name, id or provider. ``sort``: of ``SORTS``, with
    a minus or not; empty leaves the library's order."""

    text: str = ""
    vendor: str = ""
    ability: str = ""
    sort: str = ""


def find(search: Search) -> list[Entry]:
    words = search.text.lower().split()
    found = [
        entry
        for entry in library.entries().values()
        if (not search.vendor or entry.vendor.id == search.vendor)
        and (not search.ability or search.ability in (*entry.abilities, *entry.traits))
        and all(word in _text(entry) for word in words)
    ]
    return _sorted(found, search.sort)


def _text(entry: Entry) -> str:
    return f"{entry.id} {entry.name} {entry.vendor.name}".lower()


def _sorted(found: list[Entry], sort: str) -> list[Entry]:
    """What is not known comes last, whichever way round."""
    by = SORTS.get(sort.removeprefix("-"))
    if by is None:
        return found
    keyed = [(by(entry), entry) for entry in found]
    known = [(key, entry) for key, entry in keyed if key is not None]
    known.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    return [entry for _, entry in known] + [entry for key, entry in keyed if key is None]


class Placed(Struct, frozen=True):
    """A deployment of the tenant that is the entry's."""

    model_id: str
    model: str
    provider_id: str
    provider: str


def placed() -> dict[str, list[Placed]]:
    """By key, the entries that the tenant has, however they were added."""
    found: dict[str, list[Placed]] = defaultdict(list)
    rows = Deployment.objects.select_related("model", "provider").order_by("model__name")
    vendors = {one.pk: vendor_ids(one) for one in Provider.objects.all()}
    entries = library.entries()
    for row in rows:
        keys = {row.library} if row.library in entries else set()
        for vendor in vendors[row.provider_id]:
            key = f"{vendor}/{_plain(vendor, row.provider_model)}"
            if key in entries and entries[key].provider_model == row.provider_model:
                keys.add(key)
        for key in keys:
            found[key].append(
                Placed(str(row.model_id), row.model.name, str(row.provider_id), row.provider.name)
            )
    return found


def _plain(vendor: str, provider_model: str) -> str:
    routed = vendor.startswith("huggingface_")
    return provider_model.rpartition(":")[0] if routed else provider_model


def vendor_ids(provider: Provider) -> list[str]:
    return library.vendor_ids(provider.preset, provider.base_url)


def providers_for(entry: Entry, providers: Iterable[Provider]) -> list[Provider]:
    """Those of the tenant's that serve it."""
    return [one for one in providers if entry.vendor.id in vendor_ids(one)]
