"""Limits on calls through gateways: what their callers are told, and whose calls they count."""

from __future__ import annotations

from typing import Any

from limits_cast import planned

from contract import snapshot
from contract.policies import Limit


async def test_the_caller_is_told_what_is_left_and_when_to_come_back(alice_site: Any) -> None:
    await alice_site.publish(**planned(alice_site, Limit("calls", 2, 60), Limit("calls", 9, 3600)))
    first = await alice_site.call("/orders/7")
    policy = '"subscription-60s";q=2;w=60, "subscription-3600s";q=9;w=3600'
    assert first.headers["ratelimit-policy"] == policy
    assert first.headers["ratelimit"] == '"subscription-60s";r=1, "subscription-3600s";r=8'
    await alice_site.call("/orders/7")
    refused = await alice_site.call("/orders/7")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
    wait = int(refused.headers["retry-after"])
    assert 55 <= wait <= 62
    assert refused.headers["ratelimit"] == f'"subscription-60s";r=0;t={wait}'
    assert refused.headers["ratelimit-policy"] == policy


async def test_a_routes_own_limit_counts_only_its_calls(alice_site: Any) -> None:
    narrow = snapshot.Route(id="n", path="/n", policies=(Limit("calls", 1, 600),))
    routes = (narrow, snapshot.Route(id="all", path="/{rest*}"))
    await alice_site.publish(apis=(alice_site.api(routes=routes),))
    assert (await alice_site.call("/orders/other")).status_code == 200
    assert (await alice_site.call("/orders/n")).status_code == 200
    assert (await alice_site.call("/orders/n")).status_code == 429
    assert (await alice_site.call("/orders/other")).status_code == 200
