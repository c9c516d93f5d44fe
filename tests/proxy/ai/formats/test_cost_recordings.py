"""What every recorded exchange costs: by genai-prices, and by the gateway at the same prices.

genai-prices reads the recorded answer by its own rules and counts in Decimals; where it has no
rules for an answer it is given the tokens that we read. The gateway reads the answer as it does
when it passes one on, and counts in integers. Both must come to the same, to the last digit, at two
moments, between which many prices changed. What is not so has one of the reasons in ``REASONS``.

How many were compared, and how many agree, is written to ``costs.txt`` in HUBPO_VAR.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from recordings import CHAT, RESPONSES, Exchange, exchanges, needed

from catalog import library
from contract.snapshot import Prices
from proxy.ai import usages
from proxy.ai.cost import exact
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Usage
from proxy.ai.middle.events import Fold

pytestmark = needed

MOMENTS = (datetime(2025, 6, 1, 2, tzinfo=UTC), datetime(2026, 11, 20, 2, tzinfo=UTC))
"""At an hour at which those that are cheaper at some are dear (``library.Entry.by_hour``)."""

ENDPOINTS = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": r".*/v1/messages",
    "gemini": r".*:(g|streamG)enerateContent",
    "converse": r".*/converse(-stream)?",
    "cohere": r"/v2/chat",
    "completions": r".*/v1/completions",
    "embeddings": r".*/(embeddings|embed|rerank)",
}
"""By the format that usage is read in; the last two are passed on unread otherwise."""

FLAVOURS = {
    "chat": ("chat", "default"),
    "responses": ("responses",),
    "messages": ("default", "anthropic"),
    "gemini": ("default",),
    "converse": ("default",),
    "cohere": ("default",),
    "completions": ("chat", "default"),
    "embeddings": ("embeddings", "chat", "default"),
}
"""What genai-prices calls them."""

PROVIDERS = {
    "azure-openai": "azure",
    "bedrock": "aws",
    "gemini": "google",
    "vertex": "google",
}
"""Where it calls a provider otherwise than the recordings do."""


def vendor(exchange: Exchange):
    name = PROVIDERS.get(exchange.provider, exchange.provider)
    if name == "huggingface":
        name = f"huggingface_{exchange.endpoint.split('/')[1]}"
    return next((one for one in get_snapshot().providers if one.id == name), None)


def told(exchange: Exchange) -> list[dict[str, Any]]:
    """The answer's JSON: one object, or the events of a stream."""
    if not exchange.stream:
        return [json.loads(exchange.response)]
    if exchange.stream == "sse":
        lines = exchange.response.decode().splitlines()
        data = [line[5:] for line in lines if line.startswith("data:") and "[DONE]" not in line]
        return [one for line in data if isinstance(one := json.loads(line), dict)]
    return []


def whole(events: list[dict[str, Any]]) -> dict[str, Any]:
    """A stream's events as the answer that says the same: Gemini's last count is complete, those of
    others add to what came before."""
    answer: dict[str, Any] = {}
    for event in events:
        inner = event.get("response") or event.get("message") or event.get("delta") or {}
        for source in (event, inner if isinstance(inner, dict) else {}):
            for name in ("model", "modelVersion"):
                if source.get(name):
                    answer[name] = source[name]
            for name in ("usage", "meta"):
                if isinstance(source.get(name), dict):
                    answer.setdefault(name, {}).update(source[name])
            if source.get("usageMetadata"):
                answer["usageMetadata"] = source["usageMetadata"]
    return answer


def named(exchange: Exchange, answer: dict[str, Any]) -> str:
    """The model, as the answer, the request or the address says."""
    said = answer.get("model") or answer.get("modelVersion")
    if not said:
        found = re.search(r"/models?/([^/:]+(?::\d+)?)", unquote(exchange.endpoint))
        found = re.search(r"/models?/(.+?)(/|:[a-zA-Z]+$)", unquote(exchange.url)) or found
        said = found[1] if found else ""
    if not said and exchange.request.startswith(b"{"):
        said = json.loads(exchange.request).get("model")
    return said or ""


def read(exchange: Exchange, format_: str) -> Usage | None:
    """As the gateway reads it while it passes it on."""
    if not exchange.stream:
        return usages.reader(format_)(exchange.response)
    if format_ not in FORMATS:
        return None
    reader, fold = FORMATS[format_].reader(), Fold(format_)
    for event in reader.feed(exchange.response) + reader.end():
        fold.add(event)
    return fold.answer.usage


NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "cached_audio_tokens": "cache_audio_read_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "output_image_tokens": "output_image_tokens",
    "searches": "web_searches",
}


def theirs(provider, answer: dict[str, Any], format_: str, ours: Usage) -> tuple[Any, bool]:
    """Usage as genai-prices reads it; or ours in its words, and then False."""
    known = [extractor.api_flavor for extractor in provider.extractors or ()]
    for flavour in FLAVOURS[format_]:
        if flavour in known:
            try:
                return provider.extract_usage(answer, api_flavor=flavour)[1], True
            except ValueError:
                continue
    values = {name: getattr(ours, mine) for mine, name in NAMES.items()}
    return genai_prices.Usage(**values), False


def without_price(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    return prices.input is None and prices.output is None


def thoughts_in_total(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    usage = answer.get("usage") or {}
    known = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    return usage.get("total_tokens", 0) == known + (ours.reasoning_tokens or 0) > known


def cached_elsewhere(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    there = (answer.get("usage") or {}).get("num_cached_tokens")
    return bool(there) and there == ours.cached_tokens != theirs.cache_read_tokens


def searches(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    return bool(ours.searches) and not theirs.web_searches


def search_without_price(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    return bool(ours.searches) and prices.search is None


def read_and_written(answer: dict, theirs: Any, ours: Usage, prices: Prices) -> bool:
    return (ours.cached_tokens or 0) + (ours.cache_write_tokens or 0) > (ours.input_tokens or 0)


REASONS: dict[Callable[..., bool], str] = {
    without_price: "The library has no price: there it costs nothing, here it is unknown.",
    thoughts_in_total: "Gemini counts thoughts in chat's total alone, which is not read there.",
    cached_elsewhere: "Mistral's num_cached_tokens is not read there.",
    search_without_price: "Searches without a price cost nothing there, here the cost is unknown.",
    searches: "Searches in OpenAI's tool_usage and OpenRouter's details are not read there.",
    read_and_written: "Tokens both read from a cache and written to one are refused there. "
    "Here they cost what OpenRouter bills for them.",
}


def compare(exchange: Exchange, format_: str) -> str:
    """``agree``, or why not; what cannot be compared begins with ``not``."""
    ours, provider = read(exchange, format_), vendor(exchange)
    if ours is None:
        return "not compared: no usage"
    if provider is None:
        return "not compared: the library has not this provider"
    answer = whole(told(exchange))
    name = named(exchange, answer)
    model = provider.find_model(name, all_providers=get_snapshot().providers)
    if model is None:
        return "not compared: the library has not this model"
    counted, own = theirs(provider, answer, format_, ours)
    for moment in MOMENTS:
        prices = [p for p in library.dated(model) if p.since <= moment.timestamp()][-1]
        mine = exact(prices, ours)
        try:
            price = model.calc_price(counted, provider, genai_request_timestamp=moment)
        except ValueError:
            price = None
        if price is None or mine is None or price.total_price.scaleb(12) != mine:
            for known, reason in REASONS.items():
                if known(answer, counted, ours, prices):
                    return reason
            return f"{exchange!r} {name} {moment}: {mine}, {price}, {ours}, {counted}, {prices}"
    return "agree" if own else "agree, given the tokens that we read"


LEAST = {
    "anthropic": 366,
    "azure-openai": 11,
    "bedrock": 251,
    "cerebras": 12,
    "cohere": 29,
    "deepseek": 22,
    "gemini": 330,
    "groq": 110,
    "huggingface": 10,
    "mistral": 74,
    "openai": 895,
    "openrouter": 60,
    "together": 3,
    "vertex": 121,
    "voyageai": 7,
    "zai": 10,
}
"""How many can be compared with genai-prices 0.2.3; later ones know no fewer models."""


def test_costs_agree_to_the_last_digit():
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for format_, endpoint in ENDPOINTS.items():
        for exchange in exchanges(endpoint=endpoint):
            found[exchange.provider][compare(exchange, format_)] += 1
    lines, compared, agreed = [], Counter(), Counter()
    for provider, outcomes in sorted(found.items()):
        for outcome, count in sorted(outcomes.items()):
            compared[provider] += count * (not outcome.startswith("not"))
            agreed[provider] += count * outcome.startswith("agree")
        lines.append(f"{provider:14} {agreed[provider]} of {compared[provider]} agree\n")
        lines += [f"    {count:4} {outcome}\n" for outcome, count in sorted(outcomes.items())]
    lines.append(f"{'all':14} {agreed.total()} of {compared.total()} agree\n")
    Path(os.environ["HUBPO_VAR"], "costs.txt").write_text("".join(lines))
    print("".join(lines))
    known = {*REASONS.values(), "agree", "agree, given the tokens that we read"}
    outcomes = {one for each in found.values() for one in each}
    assert [one for one in outcomes if one not in known and not one.startswith("not")] == []
    assert {name: count for name, count in LEAST.items() if compared[name] < count} == {}


def test_what_is_cheaper_at_some_hours_is_never_counted_too_low():
    deepseek = next(one for one in get_snapshot().providers if one.id == "deepseek")
    tokens = genai_prices.Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    dear = cheap = 0
    for model in deepseek.models:
        for hour in range(24):
            at = datetime(2026, 11, 20, hour, 45, tzinfo=UTC)
            price = model.calc_price(tokens, deepseek, genai_request_timestamp=at)
            prices = [p for p in library.dated(model) if p.since <= at.timestamp()][-1]
            mine = exact(prices, Usage(1_000_000, 1_000_000))
            assert mine >= price.total_price.scaleb(12)
            dear += mine == price.total_price.scaleb(12)
            cheap += mine > price.total_price.scaleb(12)
    assert dear
    assert cheap


def billed() -> list[tuple[Exchange, Decimal, list[Decimal | None]]]:
    """What OpenRouter says an answer cost, and what it comes to at each of its prices over time."""
    found = []
    for exchange in exchanges("openrouter"):
        format_ = "responses" if "responses" in exchange.endpoint else "chat"
        answer = whole(told(exchange))
        bill = (answer.get("usage") or {}).get("cost")
        model = vendor(exchange).find_model(named(exchange, answer))
        usage = read(exchange, format_)
        if bill and model is not None and usage is not None:
            costs = [exact(prices, usage) for prices in library.dated(model)]
            ours = [None if cost is None else Decimal(cost).scaleb(-12) for cost in costs]
            found.append((exchange, Decimal(str(bill)), ours))
    return found


def test_openrouters_own_bills_are_met():
    """To a billionth of a dollar, since the library rounds prices. The others are at prices from
    before its history begins, or with searches that are not counted or have no price."""
    bills = billed()
    met = [
        exchange.id
        for exchange, cost, ours in bills
        if any(c is not None and abs(c - cost) < Decimal("1e-9") for c in ours)
    ]
    assert len(met) >= 38, f"{len(met)} of {len(bills)}"
    # Its tokens were both read from a cache and written to one.
    assert "5e3b283a931e" in met
