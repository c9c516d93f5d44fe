"""What a worker remembers of calls to answer the next ones faster has an end, whoever calls, and
what is over is freed at once: the cycle collector looks at what is older once in millions of calls.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from http_loopless import Application, settle
from proxy_servers import Call, Upstream, Valkey, answer, tenant

from contract import keys, snapshot
from contract.policies import Limit
from contract.snapshot import Retries
from proxy import pages
from proxy.ai.limit_headers import read
from proxy.ai.track import Track
from proxy.asgi import AsgiCall
from proxy.errors import UpstreamBroken
from proxy.exchange import Exchange, RequestHead
from proxy.gateway import Gateway
from proxy.health import Health
from proxy.limits import Limiter
from proxy.limits.errors import RateLimitExceeded
from proxy.policies import limits
from proxy.route import Listen
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal

APPLICATIONS = ("first", "second")


def of_users(name: str) -> TenantRuntime:
    """Two applications whose users may each call once a minute."""
    one = tenant(name, 9, "hub_key")
    plan = msgspec.structs.replace(one.plans[0], policies=(Limit("calls", 1, scope="user"),))
    api = msgspec.structs.replace(one.apis[0], user_from="header:x-user")
    subscription = one.subscriptions[0]
    changed = msgspec.structs.replace(
        one,
        plans=(plan,),
        apis=(api,),
        applications=tuple(snapshot.Application(name, name) for name in APPLICATIONS),
        keys=tuple(snapshot.ApiKey(name, keys.digest(name), name) for name in APPLICATIONS),
        subscriptions=tuple(
            msgspec.structs.replace(subscription, id=name, application_id=name)
            for name in APPLICATIONS
        ),
    )
    return TenantRuntime(changed, None)


async def passes(runtime: TenantRuntime, limiter: Limiter, application: str, user: str) -> bool:
    exchange = Exchange("id", "GET", b"/orders/1", b"", RequestHead([(b"x-user", user.encode())]))
    caller = runtime.keys[keys.digest(application)]
    exchange.tenant, exchange.caller = runtime, caller
    (step,) = caller.uses["orders"].steps(runtime.apis["orders"].base, caller)
    gateway: Any = SimpleNamespace(limiter=limiter)
    try:
        waiting = step(exchange, gateway)
        if waiting is not None:
            await waiting
    except RateLimitExceeded:
        return False
    return True


async def test_end_users_of_all_applications_have_one_bound_and_are_counted_beyond_it(
    proxy_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_BOUND", 10)
    limiter, runtime = Limiter(proxy_valkey.url), of_users("users-come-and-go")
    await limiter.start()
    try:
        for user in (*map(str, range(30)), "long" * 100):
            for application in APPLICATIONS:
                assert await passes(runtime, limiter, application, user)
                assert len(runtime.bound) <= 10
        assert len(runtime.bound) == 10
        for user in ("29", "0", "long" * 100):
            for application in APPLICATIONS:
                assert not await passes(runtime, limiter, application, user)
    finally:
        await limiter.close()


async def test_an_end_user_takes_little_memory(
    proxy_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, runtime = Limiter(proxy_valkey.url), of_users("users-are-light")
    await limiter.start()
    try:
        await passes(runtime, limiter, "first", "before")
        tracemalloc.start()
        for user in range(200):
            await passes(runtime, limiter, "first", str(user))
        taken = tracemalloc.get_traced_memory()[0]
        runtime.bound.clear()
        freed = taken - tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert freed / 200 < 2500
    finally:
        await limiter.close()


def test_long_paths_are_matched_and_not_remembered() -> None:
    listen: Listen[str, str] = Listen()
    listen.remember("GET", b"/" + b"a" * 511, "short")
    listen.remember("GET", b"/" + b"a" * 512, "long")
    assert list(listen.remembered.values()) == ["short"]


def test_spellings_of_a_host_may_be_long_and_are_then_not_remembered() -> None:
    holder, runtime = Holder(), TenantRuntime(tenant("spelled", 9, "hub_key"), None)
    holder.put(runtime)
    for spelling in (b"SPELLED.localhost:80", b"spelled.localhost:" + b"0" * 400):
        assert holder.site(spelling) == (runtime, runtime.listen)
    assert list(holder._spelled) == [b"SPELLED.localhost:80"]


def test_header_names_for_keys_are_forgotten_with_the_last_api_that_uses_them() -> None:
    holder, one = Holder(), tenant("named", 9, "hub_key")
    for number in range(20):
        api = msgspec.structs.replace(
            one.apis[0], key_header=f"x-key-{number}", key_query=f"key-{number}"
        )
        holder.put(TenantRuntime(msgspec.structs.replace(one, apis=(api,)), None))
    assert set(holder.key_headers) == {b"x-api-key", b"x-key-19"}
    assert holder.key_queries == (b"key-19",)
    assert set(holder._header_uses) == {b"x-key-19"}
    holder.remove("named")
    assert not holder._header_uses
    assert not holder._query_uses


def test_turns_and_budgets_of_upstreams_begin_anew_when_there_were_very_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.health.MOST_UPSTREAMS", 10)
    health = Health()
    for number in range(35):
        assert [health.turn(f"u{number}") for _ in range(3)] == [0, 1, 2]
        assert health.budget(f"u{number}").take(Retries(), health.clock())
    assert len(health._turns) <= 10
    assert len(health.budgets) <= 10
    assert health.budget("u34") is health.budget("u34")


SPENT = [
    (b"x-ratelimit-remaining-requests", b"1"),
    (b"x-ratelimit-limit-requests", b"100"),
    (b"x-ratelimit-reset-requests", b"1h0m0s"),
]


def test_deployments_begin_anew_when_there_were_very_many_but_for_calls_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.ai.track.MOST_SEEN", 10)
    track = Track(clock=lambda: 9.0)
    slow = track.began("one:slow", 5)
    track.answered(slow, SPENT)
    for number in range(35):
        seen = track.began(f"one:{number}", 5)
        track.answered(seen, SPENT)
        seen.in_flight -= 1
        assert track.headroom(f"one:{number}") == 0.01
        track.heard(f"another:{number}", read(SPENT))
        assert max(map(len, (track._seen, track.low, track.news))) <= 10
    assert track.of("one:slow") is track.low["one:slow"] is slow
    assert slow.in_flight == 1
    slow.in_flight -= 1
    for number in range(10):
        track.of(f"other:{number}")
    assert track.of("one:slow") is not slow


@contextmanager
def left_to_the_collector() -> Iterator[Counter[str]]:
    """The types of what was not freed in the block, though nothing refers to it, by name."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(thing).__name__ for thing in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


WHOLE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
BROKEN = b"GET / HTTP/1.1\r\nno field\r\n\r\n"


@pytest.mark.parametrize("reads", [[WHOLE, WHOLE], [WHOLE[:-1]], [WHOLE[:9]], [BROKEN]])
async def test_a_clients_connection_is_freed_when_it_is_closed(reads: list[bytes]) -> None:
    application = Application()
    with left_to_the_collector() as left:
        connection = application.connect()
        for read in reads:
            connection.data_received(read)
            await settle()
        connection.connection_lost(None)
        await settle()
        del connection
    assert not {"Protocol", "HttpRequestParser", "Call", "Task"} & left.keys()


def test_looking_for_large_pages_leaves_nothing() -> None:
    pages.enlarge(Event())
    with left_to_the_collector() as left:
        pages.enlarge(Event())
    assert not left


@pytest.mark.parametrize("what", ["answered", "cut short", "silent"])
async def test_a_connection_to_an_upstream_is_freed_when_it_is_closed(
    upstream: Upstream, what: str
) -> None:
    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        if what != "silent":
            writer.write(answer(b"ok")[: -1 if what == "cut short" else None])
        writer.close()

    upstream.script = script
    target = snapshot.Target("t", "http", "127.0.0.1", upstream.port)
    with left_to_the_collector() as left:
        pool = Pool()
        with suppress(UpstreamBroken):
            response = await pool.send(
                target, "GET", b"/", [], b"", snapshot.Timeouts(), private_ok=True
            )
            try:
                await response.read(100)
            finally:
                response.close()
                del response
        pool.close()
        await asyncio.sleep(0.1)
        del pool
    assert not {"Connection", "HttpResponseParser"} & left.keys()


async def test_a_call_whose_upstream_fails_is_freed_when_it_is_over(
    upstream: Upstream, proxy_valkey: Valkey, tmp_path: Path
) -> None:
    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"ok")[:-1])
        writer.close()

    async def send(message: dict[str, Any]) -> None:
        pass

    upstream.script = script
    holder, journal = Holder(), Journal(tmp_path, 1 << 20)
    holder.put(TenantRuntime(tenant("failing", upstream.port, "hub_key"), None))
    gateway = Gateway(
        holder=holder, limiter=Limiter(proxy_valkey.url), pool=Pool(), journal=journal
    )
    scope = {"method": "GET", "raw_path": b"/orders/1", "query_string": b"", "scheme": "http"}
    scope["headers"] = [(b"host", b"failing.localhost"), (b"x-api-key", b"hub_key")]
    with left_to_the_collector() as left:
        for _ in range(3):
            call = AsgiCall(scope, asyncio.Event().wait, send, "id")
            await gateway.handle(call)
            assert call.error_code == "upstream_broken"
        del call
    gateway.close()
    gateway.pool.close()
    journal.close()
    assert not {"AsgiCall", "UpstreamBroken", "frame"} & left.keys()
