"""Connections to upstreams: kept, used again, taken in turn."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from contract import snapshot


async def test_connections_are_kept_and_used_again(alice_site: Any, upstream: Any) -> None:
    for _ in range(5):
        assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    assert upstream.connections == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_costs_no_call(
    alice_site: Any, upstream: Any
) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if call.connection == 1 and len(upstream.calls) == 2:
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.script = script
    for _ in range(2):
        assert (await alice_site.call("/orders/7")).status_code == 200
    assert upstream.connections == 2


async def test_a_post_is_never_sent_twice(alice_site: Any, upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        if len(upstream.calls) == 2:
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream.script = script
    assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    second = await alice_site.call("/orders/7", "POST", content=b"x")
    assert (second.status_code, second.json()["code"]) == (502, "upstream_broken")
    assert len(upstream.calls) == 2


async def test_targets_take_turns_and_a_dead_one_is_passed_over(
    alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    dead = snapshot.Target(id="dead", scheme="http", host="127.0.0.1", port=1)
    both = msgspec.structs.replace(
        up, targets=(dead, up.targets[0]), breaker=snapshot.Breaker(failures=2)
    )
    await alice_site.publish(upstreams=(both,))
    for _ in range(6):
        assert (await alice_site.call("/orders/7", "POST", content=b"x")).status_code == 200
    assert len(upstream.calls) == 6
