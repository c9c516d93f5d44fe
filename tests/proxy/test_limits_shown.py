"""``/v1/limits``: what an application is told of its own limits."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from limits_cast import chat, known, model, planned, with_ai

from contract import snapshot
from contract.periods import period_at
from contract.policies import Limit


async def shown(site: Any, **extra: Any) -> dict[str, Any]:
    answer = await site.call("/v1/limits", **extra)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return {limit["name"]: limit for limit in answer.json()["limits"]}


async def test_an_application_sees_what_is_used_and_left_of_each_limit(
    alice_site: Any, upstream: Any
) -> None:
    site = alice_site
    upstream.script = model()
    known(site)
    ai = with_ai(site, upstream.port)
    await site.publish(**ai | planned(
        site,
        Limit("calls", 5, 60),
        Limit("cost", 10_000, period="month", scope="tenant"),
        Limit("tokens", 1_000, 600, scope="key"),
    ))  # fmt: skip
    assert (await chat(site, max_tokens=50)).status_code == 200
    assert (await site.call("/orders/7")).status_code == 200
    limits = await shown(site)
    month = period_at("month", "UTC", time.time())
    cost = limits["tenant-cost-month"]
    assert (cost["used"], cost["reserved"], cost["remaining"]) == (50, 0, 9_950)
    assert (cost["unit"], cost["period"], cost["api"]) == ("micro-USD", "month", None)
    assert datetime.fromisoformat(cost["resets_at"]).timestamp() == month.end
    tokens = limits["key-tokens-600s"]
    assert (tokens["amount"], tokens["used"], tokens["window_seconds"]) == (1_000, 30, 600)
    assert 595 < datetime.fromisoformat(tokens["resets_at"]).timestamp() - time.time() <= 611
    calls = (await site.call("/v1/limits")).json()["limits"]
    calls = {limit["api"]: limit for limit in calls if limit["name"] == "subscription-60s"}
    assert {api: limit["used"] for api, limit in calls.items()} == {"Orders": 1, "AI": 1, "Ask": 0}
    assert calls["Ask"]["resets_at"] is None


async def test_it_counts_against_nothing_and_needs_a_key(alice_site: Any) -> None:
    site = alice_site
    await site.publish(**planned(site, Limit("calls", 1, 60, scope="tenant")))
    for _ in range(3):
        assert (await shown(site))["tenant-60s"]["used"] == 0
    for key, code in ((None, "api_key_missing"), ("hub_other", "api_key_unknown")):
        refused = await site.call("/v1/limits", headers={"X-API-Key": key})
        assert (refused.status_code, refused.json()["code"]) == (401, code)
    assert (await site.call("/v1/limits", "POST")).status_code == 405


async def test_another_tenants_key_and_limits_are_unknown(
    alice_site: Any, charlie_site: Any
) -> None:
    for site, most in ((alice_site, 3), (charlie_site, 4)):
        await site.publish(**planned(site, Limit("calls", most, 60, scope="tenant")))
    await charlie_site.call("/orders/7")
    assert (await shown(alice_site))["tenant-60s"]["used"] == 0
    refused = await alice_site.call("/v1/limits", headers={"X-API-Key": charlie_site.key})
    assert refused.json()["code"] == "api_key_unknown"


async def test_an_api_cannot_take_its_path(alice_site: Any) -> None:
    site = alice_site
    await site.publish(**planned(site, Limit("calls", 7, 60)))
    taken = snapshot.Api("x", "X", "http", "/v1/limits", upstream_id="up", key_required=False)
    version = site.snapshot.version + 1
    broken = snapshot.TenantSnapshot(
        **{field: getattr(site.snapshot, field) for field in site.snapshot.__struct_fields__}
        | {"version": version, "apis": (*site.snapshot.apis, taken)}
    )
    site.valkey.publish(broken)
    await site.publish(**planned(site, Limit("calls", 8, 60)))
    assert (await shown(site))["subscription-60s"]["amount"] == 8


async def test_end_users_see_their_own_where_they_are_named(alice_site: Any) -> None:
    site = alice_site
    api = site.api(user_from="header:x-user-id")
    await site.publish(apis=(api,), **planned(site, Limit("calls", 5, 60, scope="user")))
    assert (await site.call("/orders/7", headers={"X-User-Id": "ann"})).status_code == 200
    assert (await shown(site)) == {}
    assert (await shown(site, headers={"X-User-Id": "ann"}))["user-60s"]["used"] == 1
    assert (await shown(site, headers={"X-User-Id": "bob"}))["user-60s"]["used"] == 0
