"""What the library's pages show of a model, and of a change of its prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import now

from catalog import library, library_search
from catalog.library import Entry
from catalog.library_search import Placed
from catalog.models import AIModel, Provider
from catalog.models.ai import Trait
from catalog.models.prices import UNITS
from catalog.services import library as service
from catalog.services.library import Update
from contract.snapshot import Prices

UNKNOWN = "unknown"
LABELS = {
    "input": "Input",
    "output": "Output",
    "cached": "Read from a cache",
    "cache_write": "Written to a cache",
    "cache_write_1h": "Written to a cache for an hour",
    "reasoning": "Thinking",
    "input_audio": "Sound heard",
    "cached_audio": "Sound read from a cache",
    "output_audio": "Sound made",
    "input_image": "Pictures seen",
    "output_image": "Pictures made",
    "request": "A thousand calls",
    "search": "A thousand searches",
    "picture": "A picture made",
    "heard_hour": "An hour of sound transcribed",
    "characters": "A million characters spoken",
}
_ABILITIES = {**dict(AIModel.Ability.choices), **dict(Trait.choices)}


def money(micros: int | None, currency: str = "USD") -> str:
    """A price as people write it; never 0 for one that is not known."""
    if micros is None:
        return UNKNOWN
    amount = f"{Decimal(micros).scaleb(-6).normalize():f}"
    if "." in amount and len(amount.partition(".")[2]) == 1:
        amount += "0"
    return f"${amount}" if currency == "USD" else f"{amount} {currency}"


def row(entry: Entry, placed: list[Placed], providers: list[Provider]) -> dict[str, Any]:
    prices = entry.prices_at(now().timestamp())
    used = {one.provider_id for one in placed}
    own = library_search.providers_for(entry, providers)
    free = [provider for provider in own if str(provider.pk) not in used]
    return {
        "entry": entry,
        "can_do": ", ".join(_ABILITIES[one] for one in (*entry.abilities, *entry.traits)),
        "context": f"{entry.context_tokens:,}" if entry.context_tokens else "",
        "input": _of_tokens(entry, prices, prices.input),
        "output": _of_tokens(entry, prices, prices.output),
        "known": library.prices_known(prices, entry.abilities),
        "placed": [
            {
                "name": one.model,
                "provider": one.provider,
                "url": reverse("admin:catalog_aimodel_change", args=[one.model_id]),
            }
            for one in placed
        ],
        "at_once": len(own) == 1 and bool(free),
        "choose": f"{reverse('library:add')}?{urlencode({'key': entry.key})}"
        if len(own) > 1 and free
        else "",
        "connect": "" if own else f"{reverse('library:add')}?{urlencode({'key': entry.key})}",
        "details": details(entry),
    }


def _of_tokens(entry: Entry, prices: Prices, price: int | None) -> str:
    """What answers with no tokens has no price for them, or is not billed by the token at all."""
    if price is None and library.prices_known(prices, entry.abilities):
        return "–"
    return money(price)


def details(entry: Entry) -> list[tuple[str, str]]:
    """All that is known of its prices, as terms and what they say."""
    said: list[tuple[str, str]] = []
    for number, prices in enumerate(entry.prices):
        told = _list(prices) or UNKNOWN
        if len(entry.prices) == 1:
            said.append(("Price", told))
        else:
            said.append((f"From {_day(prices.since)}" if number else "At first", told))
    if entry.by_hour:
        said.append(("By the hour", "Cheaper at some hours of the day: the dearest is told."))
    if entry.beyond:
        said.append(("Billed besides, and not counted here", ", ".join(entry.beyond)))
    if entry.comments:
        said.append(("On its price", entry.comments))
    if entry.description:
        said.append(("About it", entry.description))
    return said


def _list(prices: Prices) -> str:
    return "; ".join(
        f"{LABELS[unit].lower()} {_with_steps(prices, unit)}"
        for unit in UNITS
        if getattr(prices, unit) is not None
    )


def _with_steps(prices: Prices, unit: str) -> str:
    told = money(getattr(prices, unit), prices.currency)
    for step in prices.steps:
        if step.unit == unit:
            told += f" ({money(step.price, prices.currency)} above {step.above:,} tokens)"
    return told


def _day(since: int) -> str:
    return date_format(service.moment(since), "j F Y")


def update_row(update: Update) -> dict[str, Any]:
    """Old and new, for what differs; and what is to come."""
    changes = []
    for unit in UNITS:
        old, new = _with_steps(update.old, unit), _with_steps(update.new, unit)
        if old != new:
            changes.append({"label": LABELS[unit], "old": _own(unit, old), "new": _own(unit, new)})
    return {
        "value": f"{update.deployment.pk}:{update.digest}",
        "deployment": update.deployment,
        "url": reverse("admin:catalog_aimodel_change", args=[update.deployment.model_id]),
        "changes": changes,
        "later": [(_day(prices.since), _list(prices)) for prices in update.later],
    }


def _own(unit: str, told: str) -> str:
    """Only input and output can be unknown: others have no price of their own."""
    return "none of its own" if told == UNKNOWN and unit not in ("input", "output") else told
