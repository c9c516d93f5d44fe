"""Changes take effect at once, and traffic flows without those who make them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from proxy_servers import GatewayProcess, wait_until

from contract import keys, snapshot
from proxy.runtime import TenantRuntime


async def test_a_change_is_in_effect_in_under_a_second(alice_site: Any) -> None:
    """One after the other: without an announcement, each would take two seconds."""
    took = []
    for number in range(4):
        changed = alice_site.api(listen_path=f"/renamed-{number}")
        began = time.monotonic()
        await alice_site.publish(apis=(changed,))
        assert (await alice_site.call(f"/renamed-{number}/7")).status_code == 200
        assert (await alice_site.call("/orders/7")).status_code == 404
        took.append(time.monotonic() - began)
    assert min(took[1:]) < 1


async def test_a_change_that_was_not_announced_is_found_all_the_same(
    alice_site: Any, proxy_valkey: Any
) -> None:
    changed = msgspec.structs.replace(alice_site.snapshot, version=99, suspended="Test")
    client = proxy_valkey.client()
    client.set(keys.snapshot_blob(changed.tenant_id), snapshot.encode(changed))
    client.hset(keys.SNAPSHOT_INDEX, changed.tenant_id, "99:x")
    deadline = time.monotonic() + 4
    while (await alice_site.call("/orders/7")).status_code != 403:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_deleted_tenant_is_gone_and_so_is_its_copy(
    alice_site: Any, proxy_valkey: Any, gateway: Any
) -> None:
    copy = gateway.var / "gateway" / f"{alice_site.snapshot.tenant_id}.snapshot"
    await asyncio.to_thread(wait_until, copy.exists, "the copy is kept")
    proxy_valkey.withdraw(alice_site.snapshot.tenant_id)
    deadline = time.monotonic() + 1
    while (await alice_site.call("/orders/7")).status_code != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await asyncio.to_thread(wait_until, lambda: not copy.exists(), "the copy is gone")


@pytest.mark.parametrize("fault", ["rubbish", "truncated", "dangling", "foreign", "template"])
async def test_a_snapshot_that_cannot_be_used_is_refused_and_the_old_one_stays(
    alice_site: Any, proxy_valkey: Any, gateway: Any, fault: str
) -> None:
    good = alice_site.snapshot
    routes = (snapshot.Route(id="r", path="/{a"),)
    blobs = {
        "rubbish": b"\xc1rubbish",
        "truncated": snapshot.encode(good)[:-20],
        "dangling": snapshot.encode(msgspec.structs.replace(good, upstreams=())),
        "foreign": snapshot.encode(msgspec.structs.replace(good, tenant_id="someone-else")),
        "template": snapshot.encode(
            msgspec.structs.replace(good, apis=(alice_site.api(routes=routes),))
        ),
    }
    proxy_valkey.publish_blob(good.tenant_id, blobs[fault], 99)
    await asyncio.sleep(0.3)
    assert (await alice_site.call("/orders/7")).status_code == 200
    assert f"Snapshot of tenant {good.tenant_id} refused" in gateway.log.read_text()


async def test_an_emptied_valkey_does_not_take_the_tenants_away(
    own_valkey: Any, start_gateway: Any, sites: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    own_valkey.client().flushall()
    await asyncio.sleep(2.5)
    assert (await site.call("/orders/7")).status_code == 200


async def test_traffic_flows_without_valkey_and_after_a_start_without_it(
    own_valkey: Any, start_gateway: Any, sites: Any, upstream: Any
) -> None:
    gateway = start_gateway(own_valkey.url)
    site = sites(gateway, "alice", own_valkey)
    await site.publish()
    own_valkey.stop()
    assert (await site.call("/orders/7")).status_code == 200
    gateway.stop()

    again = start_gateway(own_valkey.url)
    site.client = httpx.AsyncClient(base_url=again.url)
    assert (await site.call("/orders/7")).status_code == 200

    own_valkey.start()
    deadline = time.monotonic() + 5
    own_valkey.publish(msgspec.structs.replace(site.snapshot, version=50, suspended="Test"))
    while (await site.call("/orders/7")).status_code != 403:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_damaged_copy_is_refused_and_the_others_are_served(
    own_valkey: Any, start_gateway: Any, sites: Any, tmp_path: Path
) -> None:
    gateway = start_gateway(own_valkey.url)
    alice, charlie = sites(gateway, "alice", own_valkey), sites(gateway, "charlie", own_valkey)
    await alice.publish()
    await charlie.publish()
    gateway.stop()
    own_valkey.stop()
    copy = tmp_path / "gateway" / f"{alice.snapshot.tenant_id}.snapshot"
    copy.write_bytes(copy.read_bytes()[:100])

    again = start_gateway(own_valkey.url)
    for site in (alice, charlie):
        site.client = httpx.AsyncClient(base_url=again.url)
    assert (await charlie.call("/orders/7")).status_code == 200
    assert (await alice.call("/orders/7")).status_code == 401


async def test_health_and_readiness_answer_on_any_host(gateway: Any, alice_site: Any) -> None:
    for host in ("127.0.0.1", alice_site.host, "nobody.example"):
        for path in ("/healthz", "/readyz"):
            response = await alice_site.client.get(path, headers={"Host": host})
            assert response.status_code == 200


def test_a_gateway_that_never_had_a_snapshot_is_alive_but_not_ready(
    own_valkey: Any, tmp_path: Path
) -> None:
    own_valkey.stop()
    gateway = GatewayProcess(own_valkey.url, tmp_path)
    try:
        wait_until(
            lambda: httpx.get(f"{gateway.url}/healthz").status_code == 200,
            "the gateway is alive",
            on=httpx.HTTPError,
        )
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        own_valkey.start()
        gateway.wait_until_ready()
    finally:
        gateway.stop()


def test_every_tenant_of_a_thousand_costs_little_to_index() -> None:
    routes = tuple(
        snapshot.Route(id=f"r{n}", path=f"/things/{{id}}/part-{n}", methods=("GET", "POST"))
        for n in range(100)
    )
    api = snapshot.Api(id="a", name="a", kind="http", listen_path="/a", upstream_id="u",
                       routes=routes)  # fmt: skip
    up = snapshot.Upstream(id="u", name="u", targets=())
    made = snapshot.TenantSnapshot(
        format=1, tenant_id="t", slug="t", version=1, hosts=("t.localhost",), apis=(api,),
        upstreams=(up,),
    )  # fmt: skip
    blob = snapshot.encode(made)
    began = time.process_time()
    for _ in range(20):
        TenantRuntime(snapshot.decode(blob), None)
    assert (time.process_time() - began) / 20 < 0.02
