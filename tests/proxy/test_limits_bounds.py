"""What providers report and clients ask for may be absurd: it ends nobody's counting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from time import time_ns
from typing import Any

import msgspec
import pytest
from limits_cast import chat, counted, known, model, planned, with_ai
from msgspec.structs import replace
from proxy_servers import Call, answer

from contract.keys import limits_rebuilt
from contract.policies import Limit
from contract.routing import Routing
from contract.snapshot import Deployment, Prices, PromptVariable
from proxy.limits import Held, Item, Limiter, Limits

_numbers = count(time_ns())


@pytest.fixture
async def limiter(proxy_valkey: Any) -> AsyncIterator[Limiter]:
    limiter = Limiter(proxy_valkey.url)
    await limiter.start()
    yield limiter
    await limiter.close()


@pytest.fixture
async def ai_site(alice_site: Any, upstream: Any) -> Any:
    upstream.script = model()
    known(alice_site)
    await alice_site.publish(**with_ai(alice_site, upstream.port))
    return alice_site


def tokens(amount: int, **rest: Any) -> Limits:
    """Of a tenant of its own."""
    return Limits((Item(f"bounds-{next(_numbers)}", "tokens", "s", amount, **rest),))


async def spend(limiter: Limiter, wanted: Limits, unit: int, used: int) -> bool | None:
    """Whether a call of so many units passed, which then used others. None: not counted."""
    held = Held(wanted, (unit,))
    answer = limiter.hold(held, alike=False)
    verdict = await answer if isinstance(answer, asyncio.Future) else answer
    held.close((used,))
    return None if verdict is None else verdict.allowed


async def used(limiter: Limiter, wanted: Limits) -> int:
    (reading,) = await limiter.readings(wanted)
    return reading.used


@pytest.mark.parametrize("rest", [{"window": 60}, {"period": "month"}])
async def test_a_counter_is_full_when_more_was_used_than_it_can_count(
    limiter: Limiter, proxy_valkey: Any, rest: Any
) -> None:
    wanted, other = tokens(1000, **rest), tokens(1000)
    proxy_valkey.client().set(limits_rebuilt(wanted.tenant_id), 1)
    first = Held(wanted, (1,))
    second = Held(wanted, (1,))
    for held in (first, second):
        await limiter.hold(held, alike=False)
    first.close((1 << 62,))
    while not await used(limiter, wanted):
        await asyncio.sleep(0.01)
    second.close((10**30,))
    assert await spend(limiter, wanted, 1, 0) is False
    assert await spend(limiter, other, 1, 7) is True
    async with asyncio.timeout(10):
        while await used(limiter, other) != 7:
            await asyncio.sleep(0.01)
    assert limiter.counts.breaks == 0
    assert await used(limiter, wanted) == 1 << 53


async def test_a_limit_that_is_larger_than_can_be_counted_is_as_large_as_can_be(
    limiter: Limiter,
) -> None:
    wanted = tokens(1 << 63)
    assert await spend(limiter, wanted, 1 << 62, 0) is False
    assert await spend(limiter, wanted, 10**30, 0) is False
    assert await spend(limiter, wanted, 1 << 52, 5) is True
    assert limiter.counts.breaks == 0


@pytest.mark.parametrize("said", [-1_000_000, 1 << 62, 10**30])
async def test_a_number_of_tokens_that_cannot_be_true_is_none(
    ai_site: Any, upstream: Any, said: int
) -> None:
    """The estimate stands, and the call is recorded without it."""
    await ai_site.publish(**planned(ai_site, Limit("tokens", 10_000, 600)))
    upstream.script = model(input_tokens=said)
    assert (await chat(ai_site, max_tokens=50)).status_code == 200
    (event,) = await ai_site.events(1)
    assert (event.status, event.input_tokens, event.cost_micros) == (200, None, None)
    async with asyncio.timeout(10):
        while (await counted(ai_site, "tokens", "subscription:sub-ai", "600"))[0] < 50:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("most", "status"), [(10**30, 429), (10**4000, 200)], ids=["large", "of 4,000 digits"]
)
async def test_an_absurd_number_asked_for_holds_nobody_up(
    ai_site: Any, most: int, status: int
) -> None:
    await ai_site.publish(**planned(ai_site, Limit("tokens", 10_000, 600)))
    absurd = {"max_tokens": most, "n": most}
    async with asyncio.timeout(10):
        answers = await asyncio.gather(
            chat(ai_site, **absurd), *(chat(ai_site, max_tokens=10) for _ in range(4))
        )
    assert [answer.status_code for answer in answers] == [status, *[200] * 4]


async def test_a_fallback_in_a_currency_without_a_budget_is_not_free(
    ai_site: Any, upstream: Any
) -> None:
    answers = model()

    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        if json.loads(call.body)["model"] == "real":
            writer.write(answer(b"{}", "503 Busy", "Content-Type: application/json"))
        else:
            await answers(call, writer)

    upstream.script = script
    (dear,) = ai_site.snapshot.models
    euros = Deployment("e", "p", "euros", prices=Prices(1_000_000, 2_000_000, currency="EUR"))
    other = replace(dear, id="other", name="other", api_ids=(), deployments=(euros,))
    models = (replace(dear, routing=Routing(fallbacks=("other",))), other)
    await ai_site.publish(models=models, **planned(ai_site, Limit("cost", 10_000, 600)))
    assert (await chat(ai_site, max_tokens=50)).status_code == 200
    (event,) = await ai_site.events(1)
    assert (event.currency, event.cost_micros) == ("EUR", 50)
    async with asyncio.timeout(10):
        while (await counted(ai_site, "cost-USD", "subscription:sub-ai", "600"))[0] < 100:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("budget", "status"), [(10_000, 429), (100_000, 200)])
@pytest.mark.parametrize("steps", [1, 2])
async def test_what_a_dearer_fallback_may_cost_is_reserved(
    ai_site: Any, budget: int, status: int, steps: int
) -> None:
    (named,) = ai_site.snapshot.models
    dear = Deployment("d", "p", "dear", prices=Prices(100_000_000, 200_000_000))
    chain = ["other", "dear"][-steps:]
    models = [replace(named, routing=Routing(fallbacks=(chain[0],)))]
    for name, following in zip(chain, [*chain[1:], ""], strict=True):
        model = replace(named, id=name, name=name, api_ids=())
        if following:
            model = replace(model, routing=Routing(fallbacks=(following,)))
        else:
            model = replace(model, deployments=(dear,))
        models.append(model)
    if steps == 2:
        models[1] = replace(models[1], deployments=(replace(named.deployments[0], id="o"),))
    await ai_site.publish(models=tuple(models), **planned(ai_site, Limit("cost", budget, 600)))
    assert (await chat(ai_site, max_tokens=50)).status_code == status


async def test_a_prompt_is_estimated_by_its_own_length_on_a_kept_connection(ai_site: Any) -> None:
    await ai_site.publish(**planned(ai_site, Limit("tokens", 1000, 600)))
    for _ in range(3):
        assert (await ai_site.call("/ask", "POST", json={"word": "it"})).status_code == 200
    refused = await ai_site.call("/ask", "POST", json={"word": "it " * 5000})
    assert (refused.status_code, refused.json()["code"]) == (429, "token_limit_exceeded")


async def test_what_a_prompt_fills_in_itself_is_estimated_too(ai_site: Any) -> None:
    (prompt,) = ai_site.snapshot.prompts
    long = PromptVariable("word", required=False, default="it " * 5000)
    changed = msgspec.structs.replace(prompt, variables=(long,))
    limits = planned(ai_site, Limit("tokens", 1000, 600))
    await ai_site.publish(prompts=(changed,), **limits)
    refused = await ai_site.call("/ask", "POST", json={})
    assert (refused.status_code, refused.json()["code"]) == (429, "token_limit_exceeded")
