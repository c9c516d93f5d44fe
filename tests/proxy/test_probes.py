"""Probes: targets that do not answer them as they should get no calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from proxy_servers import Upstream, answer, tenant

from contract import keys, snapshot, target_states
from proxy.health import Health
from proxy.probe import Prober
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder

QUICK = snapshot.Probe("/well?deep=1", interval=0.05, timeout=0.5)


@pytest.fixture
async def probing() -> AsyncIterator[Callable[..., Awaitable[tuple[Holder, Health, Prober]]]]:
    started: list[Prober] = []

    async def start(*tenants: snapshot.TenantSnapshot) -> tuple[Holder, Health, Prober]:
        holder, health = Holder(), Health()
        for item in tenants:
            holder.tenants[item.tenant_id] = TenantRuntime(item, None)
        prober = Prober(holder, health)
        started.append(prober)
        return holder, health, prober

    yield start
    for prober in started:
        await prober.close()


def probed(port: int, **changes: Any) -> snapshot.TenantSnapshot:
    """A tenant whose one target is probed."""
    made = tenant("t", port, "key")
    options = {"probe": QUICK} | changes
    return replace(made, upstreams=(replace(made.upstreams[0], **options),))


async def until(condition: Callable[[], Any], what: str) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"Waited 20 s in vain until {what}.")


async def test_a_target_is_left_out_while_its_probes_fail(upstream: Upstream, probing: Any) -> None:
    status = "503 Not now"

    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"hello", status))

    upstream.script = script
    made = probed(upstream.port)
    target = replace(made.upstreams[0].targets[0], path="/base")
    made = replace(made, upstreams=(replace(made.upstreams[0], targets=(target,)),))
    _, health, _ = await probing(made)
    await until(lambda: not health.healthy(target.id), "it is left out")
    assert len(upstream.calls) >= 3
    call = upstream.calls[0]
    assert (call.method, call.target) == ("GET", "/base/well?deep=1")
    assert call.values("user-agent") == ["hubpo-probe"]
    status = "200 OK"
    await until(lambda: health.healthy(target.id), "it is used again")
    assert not health.circuits
    assert upstream.connections == 1, "probes keep their connection"


@pytest.mark.parametrize("fault", ["closed", "silent", "endless"])
async def test_a_target_that_does_not_answer_is_left_out(
    upstream: Upstream, probing: Any, fault: str
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if fault == "closed":
            writer.close()
        elif fault == "silent":
            await asyncio.sleep(30)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")
            with_room = b"x" * 65536
            for _ in range(100):
                writer.write(with_room)
                await writer.drain()

    upstream.script = script
    probe = replace(QUICK, timeout=0.1, unhealthy_after=2)
    _, health, _ = await probing(probed(upstream.port, probe=probe))
    await until(lambda: not health.healthy("t-target"), "it is left out")


async def test_no_probe_goes_where_the_tenant_may_not_call(
    upstream: Upstream, probing: Any
) -> None:
    _, health, _ = await probing(replace(probed(upstream.port), private_upstreams=False))
    await until(lambda: not health.healthy("t-target"), "it is left out")
    assert upstream.connections == 0


async def test_nobody_is_probed_who_did_not_ask_for_it_or_is_suspended(
    upstream: Upstream, probing: Any
) -> None:
    made = probed(upstream.port)
    suspended = replace(made, tenant_id="s", suspended="For a while.")
    plain = replace(tenant("p", upstream.port, "key"))
    _, _, prober = await probing(suspended, plain, made)
    await until(lambda: len(upstream.calls) >= 3, "there were probes")
    assert prober.probed() == {"t": ["t-target"]}


async def test_a_change_ends_the_probes_and_what_they_have_said(
    upstream: Upstream, probing: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "500 No"))

    upstream.script = script
    made = probed(upstream.port)
    holder, health, prober = await probing(made)
    await until(lambda: not health.healthy("t-target"), "it is left out")
    holder.tenants["t"] = TenantRuntime(probed(upstream.port, probe=None), None)
    await until(lambda: health.healthy("t-target"), "it is used again")
    assert prober.probed() == {}
    holder.tenants["t"] = TenantRuntime(made, None)
    await until(lambda: not health.healthy("t-target"), "it is left out again")
    del holder.tenants["t"]
    await until(lambda: health.healthy("t-target"), "it is gone")


async def test_workers_tell_what_they_hold_against_targets(
    alice_site: Any, upstream: Upstream
) -> None:
    """Of those that work nothing, unless they are probed. Takes as long as two tellings."""
    up = alice_site.snapshot.upstreams[0]
    fine = up.targets[0]
    dead = replace(fine, id=f"dead-{alice_site.host}", port=1)
    upstreams = (replace(up, targets=(fine, dead), probe=replace(QUICK, status=200)),)
    await alice_site.publish(upstreams=upstreams)
    client = alice_site.valkey.client()
    tenant_id = alice_site.snapshot.tenant_id

    def told() -> list[dict[str, str]]:
        workers = client.smembers(keys.target_tellers(tenant_id))
        blobs = [client.get(keys.target_states(tenant_id, name.decode())) for name in workers]
        return [target_states.decode(blob).states for blob in blobs if blob]

    await until(lambda: told() == [{fine.id: "healthy", dead.id: "down"}], "it is told")
    (worker,) = client.smembers(keys.target_tellers(tenant_id))
    assert 0 < client.ttl(keys.target_states(tenant_id, worker.decode())) <= target_states.EXPIRES
    assert client.ttl(keys.target_tellers(tenant_id)) > 0
