"""Budgets of calls that are billed otherwise than by the token."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from limits_cast import counted, known, planned, with_ai
from msgspec.structs import replace
from proxy_servers import Call, answer

from contract.periods import period_at
from contract.policies import Limit
from contract.snapshot import PicturePrice, Prices

DRAWN = (PicturePrice("1024x1024", "low", 10_000), PicturePrice("1024x1024", "high", 40_000))


def says(body: bytes, kind: str = "application/json") -> Any:
    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, "200 OK", f"Content-Type: {kind}"))

    return script


def pictures(count: int, **said: str) -> Any:
    return says(json.dumps({"data": [{"b64_json": "aGk="}] * count, **said}).encode())


@pytest.fixture
def budget(alice_site: Any, upstream: Any) -> Any:
    """Publishes a model that is billed so, under a budget of so much."""
    known(alice_site)

    async def publish(prices: Prices, ability: str, micros: int) -> None:
        changes = with_ai(alice_site, upstream.port, prices)
        (model,) = changes["models"]
        changes["models"] = (replace(model, abilities=(ability,)),)
        limit = Limit("cost", micros, period="month", currency="USD")
        await alice_site.publish(**changes | planned(alice_site, limit))

    return publish


async def spent(site: Any) -> int:
    """Of the budget, once nothing is reserved."""
    month = period_at("month", "UTC", time.time()).name
    for _ in range(200):
        used, reserved = await counted(site, "cost-USD", "subscription:sub-ai", month)
        if not reserved:
            return used
        await asyncio.sleep(0.01)
    raise AssertionError(f"{reserved} are still reserved.")


def status_and_code(response: Any) -> tuple[int, str]:
    said = response.json() if response.status_code != 200 else {}
    return response.status_code, said.get("error", {}).get("code", "")


async def draw(site: Any, **fields: Any) -> tuple[int, str]:
    body = {"model": "gpt", "prompt": "a", **fields}
    return status_and_code(await site.call("/v1/images/generations", "POST", json=body))


async def test_pictures_are_reserved_as_asked_for_and_settled_as_made(
    alice_site: Any, upstream: Any, budget: Any
) -> None:
    await budget(Prices(picture=40_000), "images", 150_000)
    upstream.script = pictures(2)
    assert await draw(alice_site, n=3) == (200, "")
    assert await spent(alice_site) == 80_000
    for count in (3, 10**9, 10**400, "3"):
        assert await draw(alice_site, n=count) == (429, "budget_exceeded")
    assert len(upstream.calls) == 1
    upstream.script = pictures(1)
    assert await draw(alice_site) == (200, "")
    assert await spent(alice_site) == 120_000


async def test_where_the_kind_is_left_to_the_provider_the_dearest_is_reserved(
    alice_site: Any, upstream: Any, budget: Any
) -> None:
    await budget(Prices(pictures=DRAWN), "images", 45_000)
    upstream.script = pictures(1, size="1024x1024", quality="low")
    assert await draw(alice_site) == (200, "")
    assert await spent(alice_site) == 10_000
    assert await draw(alice_site) == (429, "budget_exceeded")
    assert await draw(alice_site, size="1024x1024", quality="low") == (200, "")
    # Of a kind that has no price what was reserved stands.
    upstream.script = pictures(1, size="512x512", quality="low")
    assert await draw(alice_site, size="1024x1024", quality="low") == (200, "")
    assert await spent(alice_site) == 30_000


async def test_a_model_without_such_a_price_is_refused(
    alice_site: Any, upstream: Any, budget: Any
) -> None:
    await budget(Prices(heard_hour=1), "images", 1_000_000)
    assert await draw(alice_site) == (403, "price_unknown")
    assert not upstream.calls


async def test_speech_is_reserved_by_its_text(alice_site: Any, upstream: Any, budget: Any) -> None:
    await budget(Prices(characters=15_000_000), "speech", 200)
    upstream.script = says(b"sound", "audio/mpeg")
    body = {"model": "gpt", "input": "Hello you!", "voice": "alloy"}
    for expected in ((200, ""), (429, "budget_exceeded")):
        response = await alice_site.call("/v1/audio/speech", "POST", json=body)
        assert status_and_code(response) == expected
        assert await spent(alice_site) == 150


async def test_a_recording_is_reserved_by_its_size_and_settled_by_its_length(
    alice_site: Any, upstream: Any, budget: Any
) -> None:
    # 3,600 micro-units an hour are one a second; a thousand bytes may be a second.
    await budget(Prices(heard_hour=3_600), "transcription", 35)
    upstream.script = says(b'{"text":"Hi.","usage":{"type":"duration","seconds":10}}')

    async def hear(size: int) -> tuple[int, str]:
        files = {"model": (None, "gpt"), "file": ("a.mp3", bytes(size))}
        path = "/v1/audio/transcriptions"
        return status_and_code(await alice_site.call(path, "POST", files=files))

    assert await hear(30_000) == (200, "")
    assert await spent(alice_site) == 10
    assert await hear(30_000) == (429, "budget_exceeded")
    assert await hear(20_000) == (200, "")


async def test_a_rerankers_searches_are_reserved(
    alice_site: Any, upstream: Any, budget: Any
) -> None:
    await budget(Prices(search=2_000_000), "rerank", 5_000)
    ranked = {"results": [{"index": 0, "relevance_score": 0.5}]}
    upstream.script = says(json.dumps({**ranked, "usage": {"total_tokens": 9}}).encode())

    async def rank(count: int) -> tuple[int, str]:
        body = {"model": "gpt", "query": "q", "documents": ["a"] * count}
        return status_and_code(await alice_site.call("/v1/rerank", "POST", json=body))

    assert (await rank(300))[0] == 429
    assert (await rank(200))[0] == 200
