"""Many tenants in one worker: each has its own hosts, keys and changes, nothing of another's."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from proxy_servers import GatewayProcess, Upstream, Valkey, tenant

from contract import keys, snapshot
from contract.policies import BodyLimit
from proxy.copies import Copies
from proxy.route import Listen
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder, Watcher

COUNT = 50


class Many:
    """Fifty tenants, each of which has its upstream called at a path of its own."""

    def __init__(self, client: httpx.AsyncClient, valkey: Valkey, port: int) -> None:
        self.run = secrets.token_hex(4)
        self.client = client
        self.valkey = valkey
        self.port = port

    def key(self, number: int) -> str:
        return f"hub_{self.run}-{number}"

    def tenant(self, number: int, version: int = 1, path: str = "") -> snapshot.TenantSnapshot:
        one = tenant(f"t{number}-{self.run}", self.port, self.key(number))
        route = snapshot.Route(id="r", path="/{id}", rewrite=f"{path or f'/of-{number}'}/{{id}}")
        api = msgspec.structs.replace(one.apis[0], routes=(route,))
        return msgspec.structs.replace(one, version=version, apis=(api,))

    async def call(self, host: int | None, key: int) -> tuple[int, str]:
        """Status, and the path that the upstream saw or the code of the error."""
        headers = {"X-API-Key": self.key(key)}
        if host is not None:
            headers["Host"] = f"t{host}-{self.run}.localhost"
        response = await self.client.get("/orders/7", headers=headers)
        said = response.json()
        return response.status_code, said["target" if response.is_success else "code"]

    async def until(self, number: int, expected: tuple[int, str]) -> None:
        async with asyncio.timeout(20):
            while await self.call(number, number) != expected:
                await asyncio.sleep(0.01)


@pytest.fixture
async def many(
    gateway: GatewayProcess, proxy_valkey: Valkey, upstream: Upstream
) -> AsyncIterator[Many]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as client:
        made = Many(client, proxy_valkey, upstream.port)
        for number in range(COUNT):
            proxy_valkey.publish(made.tenant(number))
        for number in range(COUNT):
            await made.until(number, (200, f"/of-{number}/7"))
        yield made
    for number in range(COUNT):
        proxy_valkey.withdraw(made.tenant(number).tenant_id)


async def test_hosts_and_keys_lead_to_their_own_tenant(many: Many) -> None:
    for number in range(COUNT):
        assert await many.call(None, number) == (200, f"/of-{number}/7")
        assert await many.call(number, (number + 1) % COUNT) == (401, "api_key_unknown")


async def test_a_change_a_refusal_and_a_deletion_touch_no_other_tenant(many: Many) -> None:
    many.valkey.publish(many.tenant(3, 2, "/changed"))
    many.valkey.publish(many.tenant(4, 2, "/{lacking}"))
    many.valkey.withdraw(many.tenant(5).tenant_id)
    await many.until(5, (401, "api_key_unknown"))
    await many.until(3, (200, "/changed/7"))
    for number in set(range(COUNT)) - {3, 5}:
        assert await many.call(number, number) == (200, f"/of-{number}/7")
        assert await many.call(None, number) == (200, f"/of-{number}/7")


# In this process


def large(routes: int, **changes: Any) -> snapshot.TenantSnapshot:
    """With one API of so many routes, the last of which has a policy of its own."""
    own = (BodyLimit(max_bytes=10),)
    paths = [snapshot.Route(id=f"r{n}", path=f"/{n}/{{id}}") for n in range(routes - 1)]
    one = tenant("large", 1, "hub_large")
    last = snapshot.Route(id="last", path="/last", policies=own)
    api = msgspec.structs.replace(one.apis[0], routes=(*paths, last))
    return msgspec.structs.replace(one, **{"apis": (api,), **changes})


async def longest_stall(work: Callable[[], Awaitable[None]]) -> float:
    """Seconds for which the loop let nothing else run while ``work`` went on."""
    longest, last, done = 0.0, time.thread_time(), False

    async def watch() -> None:
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await work()
    done = True
    await watching
    return longest


async def test_calls_wait_for_no_large_tenant_that_loads(tmp_path: Path) -> None:
    (tmp_path / "large.snapshot").write_bytes(snapshot.encode(large(10_000)))
    holder = Holder()
    watcher = Watcher(holder, "unix:///nowhere", tmp_path, None)
    gc.disable()
    try:
        began = time.thread_time()
        stall = await longest_stall(watcher.start)
        took = time.thread_time() - began
    finally:
        gc.enable()
        await watcher.close()
    assert "large" in holder.tenants
    assert stall < took / 2


@pytest.mark.parametrize(
    "fault",
    [
        {"upstreams": ()},
        {"plans": ()},
        {"apis": (msgspec.structs.replace(large(2).apis[0], routes=(
            snapshot.Route(id="r", path="/a", rewrite="/{b}"),)),)},
        {"apis": (large(2).apis[0], msgspec.structs.replace(large(2).apis[0], id="again"))},
    ],
    ids=["upstream", "plan", "rewrite", "listen path"],
)  # fmt: skip
def test_what_is_broken_is_refused_whole_and_before_any_call(fault: dict[str, Any]) -> None:
    with pytest.raises(snapshot.SnapshotError):
        TenantRuntime(large(2, **fault), None)


def test_routes_without_policies_share_their_steps_and_others_have_their_own() -> None:
    runtime = TenantRuntime(large(3), None)
    caller = runtime.keys[keys.digest("hub_large")]
    subscribed = caller.uses["orders"]
    table = runtime.apis["orders"].routes
    found = [table.find(path, "GET", set()) for path in (["0", "x"], ["1", "x"], ["last"])]
    first, second, last = (subscribed.steps(match[0], caller) for match in found if match)
    assert first is second
    assert (len(first), len(last)) == (0, 1)


def test_routes_that_need_no_key_have_their_steps_at_once() -> None:
    api = msgspec.structs.replace(large(3).apis[0], key_required=False)
    table = TenantRuntime(large(3, apis=(api,)), None).apis["orders"].routes
    found = [table.find(path, "GET", set()) for path in (["0", "x"], ["last"])]
    assert [len(match[0].open_steps) for match in found if match] == [0, 1]


def test_a_replaced_tenant_is_freed_without_the_cycle_collector() -> None:
    holder, blob = Holder(), snapshot.encode(large(300))

    def replace() -> int:
        """Bytes in use after a tenant was replaced and called."""
        holder.put(TenantRuntime(snapshot.decode(blob), None))
        runtime = holder.tenants["large"]
        api = runtime.apis["orders"]
        caller = runtime.keys[keys.digest("hub_large")]
        subscribed = caller.uses["orders"]
        subscribed.steps(api.base, caller)
        runtime.listen.remember("GET", b"/orders", (api, api.base, "", b"/"))
        return tracemalloc.get_traced_memory()[0]

    gc.disable()
    tracemalloc.start()
    try:
        at_first = [replace() for _ in range(3)][-1]
        assert at_first > 100_000
        assert [replace() for _ in range(20)][-1] < at_first * 1.5
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_host_that_moves_is_served_by_its_new_tenant_whichever_is_published_first() -> None:
    def published(name: str, *hosts: str) -> TenantRuntime:
        one = tenant(name, 1, f"hub_{name}")
        one = msgspec.structs.replace(one, hosts=hosts)
        return TenantRuntime(one, None)

    def serves(host: bytes) -> str | None:
        site = holder.site(host)
        return site[0].slug if site is not None else None

    holder = Holder()
    holder.put(published("a", "moves.test", "a.test"))
    assert serves(b"moves.test") == "a"
    holder.put(published("b", "moves.test", "b.test"))
    holder.put(published("a", "moves.test", "a.test"))
    assert serves(b"moves.test") == "a", "two claim it: the first keeps it"
    holder.put(published("a", "a.test"))
    assert [serves(host) for host in (b"a.test", b"b.test", b"moves.test")] == ["a", "b", "b"]
    holder.put(published("a", "moves.test"))
    assert [serves(host) for host in (b"a.test", b"moves.test")] == [None, "b"]
    holder.remove(published("b").id)
    assert [serves(host) for host in (b"b.test", b"moves.test")] == [None, "a"]
    holder.put(published("a"))
    assert serves(b"moves.test") is None


def test_no_name_of_a_key_header_takes_long_to_load() -> None:
    api = msgspec.structs.replace(large(2).apis[0], key_header="x" + "-x" * 29)
    loaded = TenantRuntime(large(2, apis=(api,)), None).apis["orders"]
    assert {b"x" + b"-x" * 29, b"x" + b"_x" * 29} < loaded.not_forwarded
    assert len(loaded.not_forwarded) < 1000


def test_remembered_paths_are_bounded() -> None:
    listen: Listen[str, int] = Listen(routes=1000)
    for number in range(20_000):
        listen.remember("GET", b"/%d" % number, number)
        assert listen.remembered["GET", b"/%d" % number] == number
        assert len(listen.remembered) <= 4000


async def test_the_last_word_on_a_copy_holds(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "new")
    assert list(copies.read()) == []
    for number in range(100):
        copies.keep("a", b"%d" % number)
        copies.keep("b", b"b")
        copies.forget("b")
        if number % 10 == 0:
            await asyncio.sleep(0.001)
    await copies.close()
    assert list(copies.read()) == [("a", b"99")]
    copies.keep("b", b"again")
    await copies.close()
    assert list(copies.read()) == [("a", b"99"), ("b", b"again")]
    assert len(list((tmp_path / "new").iterdir())) == 2
