"""The library of models: what genai-prices bundles, in the words of our contract.

It knows the models of some fifty providers with their prices, offline and as of its release; prices
are in US dollars. What it does not say is told from the model's name and from what is priced, and
is a guess: what the model does and what it can be told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from msgspec import Struct
from msgspec.structs import replace

from contract.presets import PRESETS
from contract.snapshot import Prices, PriceStep

UNITS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cached_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "requests_kcount": "request",
    "web_searches_kcount": "search",
    "rerank_searches_kcount": "search",
    "input_audio_hours": "heard_hour",
    "input_mchars": "characters",
}
"""Its units that the gateway counts, and what ``contract.snapshot.Prices`` calls them. Both are per
million tokens or characters, per thousand, or per hour."""

BEYOND = {
    "audio_hours": "sound by the hour",
    "output_audio_hours": "sound made by the hour",
    "cache_image_read_mtok": "pictures read from a cache",
    "input_annotated_document_kpages": "annotated pages",
    "input_document_kpages": "pages",
    "input_text_messages_kcount": "messages",
    "input_video_mtok": "film seen",
    "output_citation_mtok": "citations",
    "output_video_mtok": "film made",
    "storage_searches_kcount": "searches in files",
}
"""Those that it does not count: calls cost what the other units say."""

_HUGGING_FACE = "huggingface_"


class Vendor(Struct, frozen=True):
    """A provider of the library."""

    id: str
    name: str
    address: str
    """A regular expression for the beginning of its API's address."""
    presets: tuple[str, ...]
    """Kinds of our providers that it can be reached through, the likeliest first."""
    comments: str = ""


class Entry(Struct, frozen=True):
    """A model at a provider. ``key`` names it in the library: ``vendor/id``."""

    key: str
    vendor: Vendor
    id: str
    name: str
    prices: tuple[Prices, ...]
    """The first holds from ever on, each other from its ``since`` on. Never empty."""
    description: str = ""
    context_tokens: int | None = None
    abilities: tuple[str, ...] = ()
    """As ``contract.snapshot.AIModel`` has them."""
    traits: tuple[str, ...] = ()
    """As ``contract.snapshot.Deployment`` has them."""
    comments: str = ""
    """On its price."""
    beyond: tuple[str, ...] = ()
    """What is billed and not counted by the gateway."""
    by_hour: bool = False
    """Cheaper at some hours of the day: the dearest is meant."""
    deprecated: bool = False

    @property
    def provider_model(self) -> str:
        """What its provider is to be asked for. Hugging Face routes by what follows the colon."""
        if self.vendor.id.startswith(_HUGGING_FACE):
            return f"{self.id}:{self.vendor.id.removeprefix(_HUGGING_FACE)}"
        return self.id

    def prices_at(self, moment: float) -> Prices:
        """``moment``: Unix time."""
        return [each for each in self.prices if each.since <= moment][-1]


@cache
def entries() -> dict[str, Entry]:
    """By key, in the library's order: by provider, then by model. Reads once, in about 0.5 s."""
    found: dict[str, Entry] = {}
    for provider in get_snapshot().providers:
        vendor = _vendor(provider)
        for model in provider.models:
            entry = _entry(vendor, model)
            found[entry.key] = entry
    return found


@cache
def vendors() -> dict[str, Vendor]:
    return {entry.vendor.id: entry.vendor for entry in entries().values()}


def vendor_ids(preset: str, base_url: str) -> list[str]:
    """Of one of the tenant's providers, by its kind or else by its address; several where a kind
    stands for several, none where it is not in the library."""
    of_kind = [vendor.id for vendor in vendors().values() if preset in vendor.presets]
    if preset != "compatible":
        return of_kind
    return [vendor.id for vendor in vendors().values() if re.match(vendor.address, base_url)]


def prices_known(prices: Prices, abilities: Collection[str]) -> bool:
    """Whether a call has a price: its tokens, those of the answer too where it is a chat, or else
    what each of its abilities may be billed by."""
    if prices.input is not None and (prices.output is not None or "chat" not in abilities):
        return True
    return bool(abilities) and all(_known_apart(prices, ability) for ability in abilities)


def _known_apart(prices: Prices, ability: str) -> bool:
    units = {
        "images": (prices.picture, prices.pictures or None),
        "transcription": (prices.heard_hour,),
        "speech": (prices.characters,),
        "rerank": (prices.search,),
    }
    return any(price is not None for price in units.get(ability, ()))


def _vendor(provider: Provider) -> Vendor:
    own = [p.name for p in PRESETS.values() if p.library == provider.id]
    if provider.id.startswith(_HUGGING_FACE):
        own = ["huggingface"]
    return Vendor(
        id=provider.id,
        name=provider.name,
        address=provider.api_pattern,
        presets=tuple(own or ["compatible"]),
        comments=provider.price_comments or "",
    )


def _entry(vendor: Vendor, model: ModelInfo) -> Entry:
    prices = dated(model)
    units = {name for each in _lists(model) for name in vars(each) if vars(each)[name] is not None}
    abilities = _abilities(model.id, vendor.id, prices[-1])
    return Entry(
        key=f"{vendor.id}/{model.id}",
        vendor=vendor,
        id=model.id,
        name=model.name or model.id,
        prices=prices,
        description=model.description or "",
        context_tokens=model.context_window,
        abilities=abilities,
        traits=_traits(prices[-1]),
        comments=model.price_comments or "",
        beyond=_beyond(units),
        by_hour=bool(_hours(model)),
        deprecated=bool(model.deprecated),
    )


def _beyond(units: set[str]) -> tuple[str, ...]:
    if "input_audio_hours" in units:
        units = units - {"audio_hours"}  # the same, for want of a direction
    return tuple(sorted(BEYOND.get(unit, unit) for unit in units - UNITS.keys()))


def _abilities(id_: str, vendor: str, prices: Prices) -> tuple[str, ...]:
    name = id_.lower()
    for word, ability in _WORDS:
        if re.search(word, name):
            return (ability,)
    if vendor == "voyageai":
        return ("embeddings",)
    if prices.heard_hour is not None or prices.characters is not None:
        return ("transcription",) if prices.characters is None else ("speech",)
    if prices.input is None and prices.output is None and prices.request is None:
        return ()
    if prices.output_image is not None:
        return ("chat", "images")
    return ("chat",) if prices.output is not None else ()


_WORDS = (
    (r"rerank", "rerank"),
    (r"embed|\bbge-|\be5-|\bgte-", "embeddings"),
    (r"moderation", "moderation"),
    (r"whisper|transcri", "transcription"),
    (r"\btts\b|-tts|orpheus", "speech"),
    (r"dall-e|gpt-image|imagen|flux|stable-diffusion", "images"),
)


def _traits(prices: Prices) -> tuple[str, ...]:
    found = {
        "audio": prices.input_audio is not None,
        "vision": prices.input_image is not None,
        "reasoning": prices.reasoning is not None,
    }
    return tuple(sorted(trait for trait, known in found.items() if known))


def dated(model: ModelInfo) -> tuple[Prices, ...]:
    """Its price lists, one after the other. Where the price depends on the hour, the dearest."""
    starts = sorted({start.start_date for start in _constraints(model, StartDateConstraint)})
    found: list[Prices] = []
    for day in (datetime(2000, 1, 1).date(), *starts):
        at = [datetime.combine(day, hour, UTC) for hour in (time(), *_hours(model))]
        prices = max((_prices(model.get_prices(moment)) for moment in at), key=_dear)
        since = int(at[0].timestamp()) if found else 0
        if not found or replace(found[-1], since=since) != replace(prices, since=since):
            found.append(replace(prices, since=since))
    return tuple(found)


def _hours(model: ModelInfo) -> list[time]:
    """Times of the day, in UTC, from which on another price may hold."""
    found = []
    for part in _constraints(model, TimeOfDateConstraint):
        found += [part.start_time.replace(tzinfo=None), part.end_time.replace(tzinfo=None)]
    return found


def _constraints(model: ModelInfo, kind: type) -> Iterator:
    if isinstance(model.prices, list):
        yield from (one.constraint for one in model.prices if isinstance(one.constraint, kind))


def _lists(model: ModelInfo) -> list[ModelPrice]:
    if isinstance(model.prices, list):
        return [one.prices for one in model.prices]
    return [model.prices]


def _dear(prices: Prices) -> tuple[int, int]:
    return prices.input or 0, prices.output or 0


def _prices(given: ModelPrice) -> Prices:
    units: dict[str, int] = {}
    steps: list[PriceStep] = []
    for theirs, ours in UNITS.items():
        price = getattr(given, theirs)
        if isinstance(price, TieredPrices):
            units[ours] = _micros(price.base)
            steps += [PriceStep(ours, tier.start, _micros(tier.price)) for tier in price.tiers]
        elif price is not None:
            units[ours] = _micros(price)
    return Prices(**units, steps=tuple(steps))


def _micros(price: Decimal) -> int:
    """To a millionth of a dollar: what the library has beyond that is rounding of its own."""
    return int(price.scaleb(6).to_integral_value())
