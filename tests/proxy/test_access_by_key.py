"""Who may call what: tenants, keys and subscriptions."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec
import pytest

from contract import keys


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code, after a look at the form that every refusal has."""
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["type"].endswith(problem["code"])
    assert problem["title"]
    assert problem["detail"].endswith(".")
    return response.status_code, problem["code"]


async def test_a_key_is_taken_from_header_bearer_token_or_parameter(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.publish(apis=(alice_site.api(key_header="x-orders-key", key_query="key"),))
    none = {"X-API-Key": None}
    for headers, query in (
        ({"X-Orders-Key": alice_site.key}, ""),
        ({"Authorization": f"Bearer {alice_site.key}"}, ""),
        ({"Authorization": f"bearer  {alice_site.key}"}, ""),
        ({}, f"?a=1&key={alice_site.key}&b=2"),
    ):
        response = await alice_site.call(f"/orders/7{query}", headers=none | headers)
        assert response.status_code == 200, response.text


async def test_the_key_is_never_handed_on(alice_site: Any, upstream: Any) -> None:
    await alice_site.publish(apis=(alice_site.api(key_query="key"),))
    key = alice_site.key
    await alice_site.call("/orders/7?a=1", headers={"X_API_Key": key})
    await alice_site.call(
        "/orders/7", headers={"X-API-Key": None, "Authorization": f"Bearer {key}"}
    )
    await alice_site.call(f"/orders/7?a=1&k%65y={key}&b=2", headers={"X-API-Key": None})
    assert [call.target for call in upstream.calls] == ["/7?a=1", "/7", "/7?a=1&b=2"]
    assert not any(key in str(call.headers) for call in upstream.calls)


async def test_a_bearer_token_beside_a_key_is_the_upstreams_own(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.call("/orders/7", headers={"Authorization": "Bearer theirs"})
    assert upstream.calls[0].values("authorization") == ["Bearer theirs"]


async def test_without_a_key_the_caller_is_told_how_to_send_one(alice_site: Any) -> None:
    response = await alice_site.call("/orders/7", headers={"X-API-Key": None})
    assert refusal(response) == (401, "api_key_missing")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_another_tenants_key_is_answered_exactly_as_an_unknown_one(
    alice_site: Any, charlie_site: Any, upstream: Any
) -> None:
    own = await charlie_site.call("/orders/7")
    assert own.status_code == 200
    foreign = await alice_site.call("/orders/7", headers={"X-API-Key": charlie_site.key})
    unknown = await alice_site.call("/orders/7", headers={"X-API-Key": "hub_nobody"})
    assert refusal(foreign) == refusal(unknown) == (401, "api_key_unknown")
    told = [response.json() | {"request_id": ""} for response in (foreign, unknown)]
    assert told[0] == told[1]
    assert len(upstream.calls) == 1


async def test_a_key_alone_names_its_tenant(alice_site: Any, charlie_site: Any) -> None:
    alone = await alice_site.call("/orders/7", headers={"Host": "127.0.0.1:8080"})
    assert alone.status_code == 200
    events = await alice_site.events(1)
    assert events[-1].tenant_id == alice_site.snapshot.tenant_id


async def test_a_host_in_any_spelling_names_its_tenant(alice_site: Any) -> None:
    for host in (alice_site.host.upper(), f"{alice_site.host}:8080", f"{alice_site.host}."):
        response = await alice_site.call("/orders/7", headers={"Host": host})
        assert response.status_code == 200, host


async def test_a_host_of_nobody_without_a_key_is_unknown(alice_site: Any) -> None:
    nobody = {"Host": "nobody.localhost"}
    response = await alice_site.call("/orders/7", headers=nobody | {"X-API-Key": None})
    assert refusal(response) == (404, "tenant_unknown")
    response = await alice_site.call("/orders/7", headers=nobody | {"X-API-Key": "hub_nobody"})
    assert refusal(response) == (401, "api_key_unknown")


async def test_an_expired_key_is_refused(alice_site: Any) -> None:
    old = msgspec.structs.replace(alice_site.snapshot.keys[0], expires_at=time.time() - 1)
    await alice_site.publish(keys=(old,))
    assert refusal(await alice_site.call("/orders/7")) == (401, "api_key_expired")
    coming = msgspec.structs.replace(old, expires_at=time.time() + 60)
    await alice_site.publish(keys=(coming,))
    assert (await alice_site.call("/orders/7")).status_code == 200


@pytest.mark.parametrize("status", ["pending", "rejected", "revoked"])
async def test_only_an_approved_subscription_opens_the_door(
    alice_site: Any, upstream: Any, status: str
) -> None:
    changed = msgspec.structs.replace(alice_site.snapshot.subscriptions[0], status=status)
    await alice_site.publish(subscriptions=(changed,))
    assert refusal(await alice_site.call("/orders/7")) == (403, f"subscription_{status}")
    assert upstream.calls == []


async def test_no_subscription_at_all_is_refused(alice_site: Any) -> None:
    await alice_site.publish(subscriptions=())
    assert refusal(await alice_site.call("/orders/7")) == (403, "subscription_missing")


async def test_an_open_api_answers_anybody_and_overlooks_a_wrong_key(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.publish(apis=(alice_site.api(key_required=False),))
    for key in (None, "hub_nobody", alice_site.key):
        response = await alice_site.call("/orders/7", headers={"X-API-Key": key})
        assert response.status_code == 200
    assert not any(call.values("x-api-key") for call in upstream.calls)


async def test_a_suspended_tenant_is_refused_with_the_reason(
    alice_site: Any, upstream: Any
) -> None:
    await alice_site.publish(suspended="The invoice of May is open")
    response = await alice_site.call("/orders/7")
    assert refusal(response) == (403, "tenant_suspended")
    assert "The invoice of May is open." in response.json()["detail"]
    assert upstream.calls == []


async def test_an_api_with_hosts_of_its_own_answers_only_there(alice_site: Any) -> None:
    extra = f"orders.{alice_site.host}"
    await alice_site.publish(apis=(alice_site.api(hosts=(extra,)),))
    assert (await alice_site.call("/orders/7", headers={"Host": extra})).status_code == 200
    assert refusal(await alice_site.call("/orders/7")) == (404, "route_not_found")


async def test_a_refused_call_is_recorded_with_its_code(alice_site: Any) -> None:
    await alice_site.call("/orders/7", headers={"X-API-Key": "hub_nobody"})
    event = (await alice_site.events(1))[-1]
    assert (event.status, event.error_code, event.key_id) == (401, "api_key_unknown", "")
    assert keys.digest("hub_nobody").hex() not in str(event)
