"""Budgets that let another model be asked, once they are used up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from limits_cast import PRICES, chat, counted, known, model, planned, with_ai
from msgspec.structs import replace

from contract import snapshot
from contract.policies import Limit

BUDGET = Limit("cost", 150, 600, then="cheaper", fallback="small")
"""One call is estimated at 39 + 2 * 50, and costs 10 + 2 * 20."""
COUNTER = ("cost-USD", "subscription:sub-ai", "600")


@pytest.fixture
async def site(alice_site: Any, upstream: Any) -> Any:
    upstream.script = model()
    known(alice_site)
    site = alice_site
    changes = with_ai(site, upstream.port)
    (dear,) = changes["models"]
    cheap = snapshot.Prices(input=100_000, output=200_000)
    changes["models"] = (
        dear,
        replace(
            dear,
            id="small",
            name="small",
            api_ids=(),
            deployments=(snapshot.Deployment("s", "p", "small-real", prices=cheap),),
        ),
        replace(dear, id="deaf", name="deaf", abilities=("embeddings",)),
        replace(dear, id="off", name="off", deployments=()),
    )
    site.ai = changes
    return site


async def limited(site: Any, *limits: Limit) -> None:
    await site.publish(**site.ai | planned(site, *limits))


def asked(upstream: Any) -> list[str]:
    return [json.loads(call.body)["model"] for call in upstream.calls]


async def settled(site: Any, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await counted(site, *COUNTER) != (wanted, 0):
            await asyncio.sleep(0.01)


async def test_above_it_the_cheaper_model_answers_and_the_record_says_so(
    site: Any, upstream: Any
) -> None:
    await limited(site, BUDGET)
    for wanted in (50, 50, 50):
        assert (await chat(site, max_tokens=50)).status_code == 200
        await settled(site, wanted)
    assert asked(upstream) == ["real", "small-real", "small-real"]
    first, *others = await site.events(3)
    assert (first.routed, first.cost_micros, first.deployment_id) == (
        "the only deployment",
        50,
        "d",
    )
    for event in others:
        assert event.routed == "budget subscription-cost-600s is used up; the only deployment"
        assert (event.model, event.model_id, event.deployment_id) == ("gpt", "m", "s")
        assert (event.cost_micros, event.error_code, event.status) == (5, "", 200)


async def test_prompts_drop_to_it_too(site: Any, upstream: Any) -> None:
    await limited(site, replace(BUDGET, amount=20))
    answer = await site.call("/ask", "POST", json={"word": "it"})
    assert (answer.status_code, answer.json()["output"]) == (200, "Hi")
    assert asked(upstream) == ["small-real"]
    (event,) = await site.events(1)
    assert event.prompt_id == "ask"
    assert event.routed.startswith("budget ")


async def test_all_other_limits_hold_for_the_cheaper_model(site: Any, upstream: Any) -> None:
    hard = Limit("cost", 20, 600, scope="tenant")
    await limited(site, BUDGET, hard, Limit("tokens", 1000, 600))
    refused = await chat(site, max_tokens=50)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    await limited(site, replace(BUDGET, amount=1), replace(hard, amount=20))
    assert (await chat(site, max_tokens=50)).status_code == 200
    assert asked(upstream) == ["small-real"]
    async with asyncio.timeout(10):
        while await counted(site, "cost-USD", "tenant", "600") != (5, 0):
            await asyncio.sleep(0.01)
    refused = await chat(site, max_tokens=500)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert refused.headers["ratelimit"].startswith('"tenant-cost-600s"')


async def test_of_two_that_count_the_same_the_one_that_refuses_still_does(
    site: Any, upstream: Any
) -> None:
    soft = replace(BUDGET, amount=1)
    await limited(site, soft, replace(soft, amount=14, then="refuse", fallback=""))
    assert (await chat(site, max_tokens=50)).status_code == 200
    await settled(site, 5)
    refused = await chat(site, max_tokens=50)
    assert refused.status_code == 429
    assert asked(upstream) == ["small-real"]


async def test_each_key_drops_on_its_own(site: Any, upstream: Any) -> None:
    await limited(site, replace(BUDGET, scope="key"))
    assert [(await chat(site, max_tokens=50)).status_code for _ in range(2)] == [200, 200]
    assert asked(upstream) == ["real", "small-real"]


@pytest.mark.parametrize("fallback", ["deaf", "off", "gone"])
async def test_a_model_that_cannot_answer_is_no_way_out(
    site: Any, upstream: Any, fallback: str
) -> None:
    await limited(site, replace(BUDGET, amount=20, fallback=fallback))
    refused = await chat(site, max_tokens=50)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert not upstream.calls


async def test_who_names_the_cheaper_model_itself_gets_it(site: Any, upstream: Any) -> None:
    site.ai["models"] = tuple(
        replace(one, api_ids=("ai",)) if one.id == "small" else one for one in site.ai["models"]
    )
    await limited(site, replace(BUDGET, amount=1))
    assert (await chat(site, model="small", max_tokens=50)).status_code == 200
    assert asked(upstream) == ["small-real"]


async def test_a_cheaper_model_without_a_price_is_refused_under_other_budgets(
    site: Any, upstream: Any
) -> None:
    small = next(one for one in site.ai["models"] if one.id == "small")
    free = replace(small.deployments[0], prices=snapshot.Prices(currency=PRICES.currency))
    site.ai["models"] = (site.ai["models"][0], replace(small, deployments=(free,)))
    await limited(site, replace(BUDGET, amount=20), Limit("cost", 1000, 600, scope="tenant"))
    refused = await chat(site, max_tokens=50)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "price_unknown")
    assert not upstream.calls
