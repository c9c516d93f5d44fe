"""Limits as callers meet them: every measure, level and mode, through real gateways."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from typing import Any

import httpx
import msgspec
import pytest
from limits_cast import chat, counted, known, model, planned, with_ai
from proxy_servers import Call, GatewayProcess, answer

from contract import keys, snapshot
from contract.periods import period_at
from contract.policies import Limit
from contract.usage import encode

ESTIMATE = 39 + 50
"""Tokens: half the bytes of ``chat``'s request, and its max_tokens."""


@pytest.fixture
async def ai_site(alice_site: Any, upstream: Any) -> Any:
    """Alice's, with a model that reports 10 and 20 tokens."""
    upstream.script = model()
    known(alice_site)
    await alice_site.publish(**with_ai(alice_site, upstream.port))
    return alice_site


@pytest.fixture(scope="session")
def second(proxy_valkey: Any, proxy_dir: Any) -> Any:
    """A second worker on the same Valkey."""
    process = GatewayProcess(proxy_valkey.url, proxy_dir)
    process.wait_until_ready()
    yield process
    process.stop()


async def both(site: Any, second: GatewayProcess, sites: Any) -> Any:
    """The same site as the second worker serves it, once it does."""
    other = sites(second, "alice")
    other.snapshot, other.host, other.key = site.snapshot, site.host, site.key
    await other.publish()
    site.snapshot = other.snapshot
    return other


def set_on(thing: Any, *limits: Limit) -> Any:
    return msgspec.structs.replace(thing, policies=limits)


async def settled(site: Any, *counter: str) -> int:
    """What is used of a counter once nothing is reserved."""
    for _ in range(200):
        used, reserved = await counted(site, *counter)
        if not reserved:
            return used
        await asyncio.sleep(0.02)
    raise AssertionError(f"{reserved} are still reserved.")


# Exact over workers


async def test_of_200_calls_at_once_ten_are_under_way(
    alice_site: Any, second: Any, sites: Any, upstream: Any
) -> None:
    gate = asyncio.Event()

    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    site = alice_site
    patient = msgspec.structs.replace(
        site.snapshot.upstreams[0], timeouts=snapshot.Timeouts(first_byte=30.0)
    )
    await site.publish(upstreams=(patient,), **planned(site, Limit("concurrency", 10)))
    other = await both(site, second, sites)
    upstream.script = script
    for turn in (1, 2):
        gate.clear()
        calls = [
            asyncio.create_task(each.call("/orders/7"))
            for each in (site, other)
            for _ in range(100)
        ]
        refused = 0
        for call in asyncio.as_completed(calls, timeout=20):
            refused += (await call).status_code == 429
            if refused == 190:
                gate.set()
        assert Counter(call.result().status_code for call in calls) == {200: 10, 429: 190}
        assert len(upstream.calls) == 10 * turn
        subscription = site.snapshot.subscriptions[0].id
        assert await settled(site, "concurrency", f"subscription:{subscription}", "now") == 0


@pytest.mark.parametrize("mode", ["exact", "leased"])
@pytest.mark.parametrize("measure", ["calls", "tokens", "cost"])
async def test_of_200_concurrent_calls_with_ten_units_left_ten_reach_the_upstream(
    ai_site: Any, second: Any, sites: Any, upstream: Any, measure: Any, mode: Any
) -> None:
    """Units of tokens and cost are what one call is estimated at; all use as much in fact."""
    unit = {"calls": 1, "tokens": ESTIMATE, "cost": 39 + 2 * 50}[measure]
    upstream.script = model(input_tokens=39, output_tokens=50, seconds=0.2)
    limit = Limit(measure, 10 * unit, window=600, mode=mode)
    await ai_site.publish(**planned(ai_site, limit))
    other = await both(ai_site, second, sites)
    answers = await asyncio.gather(
        *(chat(site, max_tokens=50) for site in (ai_site, other) for _ in range(100))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 190}
    assert len(upstream.calls) == 10


# What is counted


async def test_each_level_counts_its_own(alice_site: Any) -> None:
    site = alice_site
    api = site.snapshot.apis[0]
    second = msgspec.structs.replace(api, id="second", listen_path="/second")
    sub = site.snapshot.subscriptions[0]
    both = (sub, msgspec.structs.replace(sub, id=f"{sub.id}-2", api_id="second"))
    totals = {"subscription": 4, "api": 4, "application": 2, "key": 2, "plan": 2, "tenant": 2}
    for window, (scope, total) in enumerate(totals.items(), 600):
        limit = Limit("calls", 2, window=window, scope=scope)
        changes: dict[str, Any] = {"apis": (api, second), "subscriptions": both, **planned(site)}
        if scope in ("application", "key"):
            field = "applications" if scope == "application" else "keys"
            changes[field] = (set_on(getattr(site.snapshot, field)[0], limit),)
        else:
            changes |= planned(site, limit)
        await site.publish(**changes)
        answers = [await site.call(path) for path in ["/orders/7", "/second/7"] * 3]
        assert sum(answer.status_code == 200 for answer in answers) == total, scope
        await site.publish(
            applications=(set_on(site.snapshot.applications[0]),),
            keys=(set_on(site.snapshot.keys[0]),),
        )


async def test_a_limit_of_a_plan_on_each_key_counts_keys_apart(alice_site: Any) -> None:
    site = alice_site
    more = snapshot.ApiKey(id="other", digest=keys.digest("hub_other"), application_id="app")
    await site.publish(
        keys=(site.snapshot.keys[0], more), **planned(site, Limit("calls", 2, 600, scope="key"))
    )
    for key in (site.key, "hub_other"):
        headers = {"X-API-Key": key}
        codes = [(await site.call("/orders/7", headers=headers)).status_code for _ in range(3)]
        assert codes == [200, 200, 429]


async def test_end_users_are_counted_apart_and_must_be_named(alice_site: Any) -> None:
    site = alice_site

    def token(**claims: Any) -> str:
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return f"Bearer e30.{body}.e30"

    limit = Limit("calls", 2, 600, scope="user")
    cases = {
        "header:x-user-id": [{"X-User-Id": "ann"}, {"X-User-Id": "b" * 3000}],
        "claim:sub": [{"Authorization": token(sub="ann1")}, {"Authorization": token(sub=17)}],
    }
    for user_from, users in cases.items():
        await site.publish(apis=(site.api(user_from=user_from),), **planned(site, limit))
        for headers in users:
            codes = [(await site.call("/orders/7", headers=headers)).status_code for _ in range(3)]
            assert codes == [200, 200, 429], headers.keys()
        unnamed = await site.call("/orders/7", headers={"Authorization": "Bearer none"})
        assert (unnamed.status_code, unnamed.json()["code"]) == (400, "user_required")
        assert user_from.partition(":")[2] in unnamed.json()["detail"]
    assert (await site.call("/orders/7")).json()["code"] == "user_required"
    await site.publish(**planned(site))
    assert (await site.call("/orders/7")).status_code == 200


async def test_records_know_end_users_by_a_digest_and_only_where_a_limit_counts_them(
    ai_site: Any,
) -> None:
    site = ai_site
    apis = tuple(
        msgspec.structs.replace(api, user_from="header:x-user-id") for api in site.snapshot.apis
    )
    ann = {"X-User-Id": "ann@example.com"}
    await site.publish(apis=apis, **planned(site, Limit("calls", 5, 600)))
    assert (await site.call("/orders/plain", headers=ann)).status_code == 200
    await site.publish(**planned(site, Limit("calls", 1, period="day", scope="user")))
    codes = [(await site.call("/orders/day", headers=ann)).status_code for _ in range(2)]
    assert codes == [200, 429]
    await site.publish(**planned(site, Limit("tokens", 5000, period="day", scope="user")))
    body = {"model": "gpt", "messages": [], "max_tokens": 5}
    answered = await site.call("/v1/chat/completions", "POST", json=body, headers=ann)
    assert answered.status_code == 200
    events = await site.events(4)
    digest = keys.user_digest("ann@example.com")
    assert sorted((event.path, event.status, event.end_user) for event in events) == [
        ("/orders/day", 200, digest),
        ("/orders/day", 429, digest),
        ("/orders/plain", 200, ""),
        ("/v1/chat/completions", 200, digest),
    ]
    assert b"ann" not in b"".join(map(encode, events))


async def test_a_call_that_is_lost_with_its_worker_still_knows_its_end_user(
    proxy_valkey: Any, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    """It was counted, so whoever counts the records must find it."""

    async def silent(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    gateway = start_gateway(proxy_valkey.url)
    site = sites(gateway, "alice")
    api = site.api(user_from="header:x-user-id")
    await site.publish(apis=(api,), **planned(site, Limit("calls", 5, period="day", scope="user")))
    upstream.script = silent
    calling = asyncio.create_task(site.call("/orders/7", headers={"X-User-Id": "ann"}))
    while not upstream.calls:
        await asyncio.sleep(0.01)
    gateway.kill()
    with pytest.raises(httpx.HTTPError):
        await calling
    start_gateway(proxy_valkey.url)
    (event,) = await site.events(1)
    lost = (event.error_code, event.end_user, event.attempts, event.plan_id)
    assert lost == ("gateway_lost", keys.user_digest("ann"), None, "gold")


async def test_another_tenant_is_not_touched(alice_site: Any, charlie_site: Any) -> None:
    limits = [Limit("calls", 1, 600, scope=scope) for scope in ("tenant", "plan", "application")]
    for site in (alice_site, charlie_site):
        await site.publish(**planned(site, *limits))
        codes = [(await site.call("/orders/7")).status_code for _ in range(2)]
        assert codes == [200, 429]


# What callers are told


async def test_every_kind_of_refusal_says_what_and_until_when(ai_site: Any, upstream: Any) -> None:
    now = time.time()
    month = period_at("month", "UTC", now).end - now
    cases: list[tuple[Limit, str, str, float]] = [
        (Limit("calls", 1, 60), "rate_limit_exceeded", '"subscription-60s";q=1;w=60', 60),
        (
            Limit("calls", 1, period="month"),
            "quota_exceeded",
            '"subscription-month";q=1;w=2592000',
            month,
        ),
        (
            Limit("tokens", 100, 60),
            "token_limit_exceeded",
            '"subscription-tokens-60s";q=100;qu="tokens";w=60',
            60,
        ),
        (
            Limit("cost", 160, period="month"),
            "budget_exceeded",
            '"subscription-cost-month";q=160;qu="micro-usd";w=2592000',
            month,
        ),
    ]
    for limit, code, policy, wait in cases:
        await ai_site.publish(**planned(ai_site, limit))
        first = await chat(ai_site, max_tokens=50)
        assert (first.status_code, first.headers["ratelimit-policy"]) == (200, policy)
        name = policy.split(";")[0]
        assert first.headers["ratelimit"].startswith(f"{name};r=")
        await asyncio.sleep(0.05)
        refused = await chat(ai_site, max_tokens=50)
        assert refused.status_code == 429, code
        error = refused.json()["error"]
        assert (error["code"], error["type"]) == (code, "rate_limit_error")
        seconds = int(refused.headers["retry-after"])
        assert seconds == pytest.approx(wait, abs=3), code
        assert refused.headers["ratelimit"].startswith(f"{name};r=")
        assert refused.headers["ratelimit"].endswith(f";t={seconds}")
        assert refused.headers["ratelimit-policy"] == policy


async def test_a_call_that_can_never_fit_is_told_to_ask_for_less(ai_site: Any) -> None:
    await ai_site.publish(**planned(ai_site, Limit("tokens", 100, 60)))
    refused = await chat(ai_site)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "token_limit_exceeded")
    assert "max_tokens" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


async def test_calls_at_once_are_refused_with_their_own_code(
    alice_site: Any, upstream: Any
) -> None:
    upstream.script = model(seconds=0.3)
    await alice_site.publish(**planned(alice_site, Limit("concurrency", 1)))
    answers = await asyncio.gather(*(alice_site.call("/orders/7") for _ in range(2)))
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "concurrency_limited"
    assert refused.headers["retry-after"] == "1"
    policy = '"subscription-concurrency";q=1;qu="concurrent-requests"'
    assert refused.headers["ratelimit-policy"] == policy


# Settlement


async def test_tokens_and_cost_are_settled_to_what_was_reported(ai_site: Any) -> None:
    limits = (Limit("tokens", 10_000, 600), Limit("cost", 10_000, period="month", scope="tenant"))
    await ai_site.publish(**planned(ai_site, *limits))
    assert (await chat(ai_site)).status_code == 200
    assert await settled(ai_site, "tokens", "subscription:sub-ai", "600") == 30
    month = period_at("month", "UTC", time.time()).name
    assert await settled(ai_site, "cost-USD", "tenant", month) == 50
    streamed = await ai_site.call("/ask", "POST", json={"word": "it"})
    assert streamed.status_code == 200
    assert await settled(ai_site, "cost-USD", "tenant", month) == 100


async def test_a_stream_is_settled_to_what_its_last_event_reports(
    ai_site: Any, upstream: Any
) -> None:
    usage = b'{"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 31}}'
    events = b"data: {}\n\ndata: " + usage + b"\n\ndata: [DONE]\n\n"

    async def streams(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(events, "200 OK", "Content-Type: text/event-stream"))

    upstream.script = streams
    await ai_site.publish(**planned(ai_site, Limit("tokens", 10_000, 600)))
    assert (await chat(ai_site, stream=True)).status_code == 200
    assert await settled(ai_site, "tokens", "subscription:sub-ai", "600") == 42


async def test_a_provider_that_reports_nothing_is_settled_at_the_estimate(
    ai_site: Any, upstream: Any
) -> None:
    upstream.script = model(input_tokens=None)
    await ai_site.publish(**planned(ai_site, Limit("tokens", 10_000, 600)))
    assert (await chat(ai_site, max_tokens=50)).status_code == 200
    assert await settled(ai_site, "tokens", "subscription:sub-ai", "600") == ESTIMATE


async def test_a_failed_call_gives_back_what_it_reserved(ai_site: Any, upstream: Any) -> None:
    async def fails(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    upstream.script = fails
    limits = (Limit("tokens", 10_000, 600), Limit("concurrency", 3))
    await ai_site.publish(**planned(ai_site, *limits))
    for _ in range(5):
        assert (await chat(ai_site)).status_code == 500
    assert await settled(ai_site, "tokens", "subscription:sub-ai", "600") == 0
    assert await settled(ai_site, "concurrency", "subscription:sub-ai", "now") == 0


async def test_a_client_that_leaves_in_mid_stream_pays_the_estimate(
    ai_site: Any, upstream: Any
) -> None:
    async def endless(call: Call, writer: asyncio.StreamWriter) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        writer.write(f"{head}\r\n\r\n".encode())
        while True:
            writer.write(b'13\r\ndata: {"a": "bc"}\n\n\r\n')
            await writer.drain()
            await asyncio.sleep(0.01)

    upstream.script = endless
    limits = (Limit("tokens", 10_000, 600), Limit("concurrency", 3))
    await ai_site.publish(**planned(ai_site, *limits))
    body = {"model": "gpt", "stream": True, "max_tokens": 50, "messages": []}
    headers = {"Host": ai_site.host, "X-API-Key": ai_site.key}
    async with ai_site.client.stream(
        "POST", "/v1/chat/completions", json=body, headers=headers
    ) as response:
        assert response.status_code == 200
        async for _ in response.aiter_bytes():
            break
        assert (await counted(ai_site, "concurrency", "subscription:sub-ai", "now"))[1] == 1
    size = len(json.dumps(body, separators=(",", ":")))
    used = await settled(ai_site, "tokens", "subscription:sub-ai", "600")
    assert used == -(-size // 2) + 50
    assert await settled(ai_site, "concurrency", "subscription:sub-ai", "now") == 0


@pytest.mark.parametrize(
    "prices", [snapshot.Prices(), snapshot.Prices(1_000_000, 1_000_000, currency="EUR")]
)
async def test_a_model_without_a_price_is_refused_under_a_budget(
    ai_site: Any, upstream: Any, prices: Any
) -> None:
    budget = Limit("cost", 1_000_000, period="month", currency="USD")
    await ai_site.publish(**with_ai(ai_site, upstream.port, prices) | planned(ai_site, budget))
    refused = await chat(ai_site)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "price_unknown")
    assert not upstream.calls
    assert (await ai_site.call("/orders/7")).status_code == 200
