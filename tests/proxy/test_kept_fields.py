"""Calls with the same header fields on a kept connection: what is remembered of them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec

from contract import keys


class Client:
    """One connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, gateway: Any) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", gateway.port))

    async def call(self, path: str, *fields: str, method: str = "GET", body: str = "") -> Any:
        """Status and JSON of the answer. The fields go out as they are."""
        lines = [f"{method} {path} HTTP/1.1", *fields]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        answer = json.loads(await self.reader.readexactly(length))
        return int(head.split(" ")[1]), answer


async def test_each_call_is_its_own_whatever_is_repeated(
    gateway: Any, alice_site: Any, upstream: Any
) -> None:
    client = await Client.connect(gateway)
    fields = (f"Host: {alice_site.host}", f"X-API-Key: {alice_site.key}", "X-Same: 1")
    for path in ("/orders/1", "/orders/2?q=a", "/orders/3", "/nowhere", "/orders/4"):
        status, told = await client.call(path, *fields)
        if path == "/nowhere":
            assert status == 404
        else:
            assert told["target"] == path.removeprefix("/orders")
    for method, body in (("POST", "one"), ("POST", "another"), ("PUT", ""), ("POST", "x" * 5000)):
        _, told = await client.call(
            "/orders/5", *fields, f"Content-Length: {len(body)}", method=method, body=body
        )
        assert (told["method"], told["body"]) == (method, body)
    ids = [call.values("x-request-id")[0] for call in upstream.calls]
    assert len(set(ids)) == len(ids) == 8


async def test_a_key_in_the_query_names_the_tenant_call_by_call(
    gateway: Any, alice_site: Any, charlie_site: Any, upstream: Any
) -> None:
    for site in (alice_site, charlie_site):
        await site.publish(apis=(site.api(key_query="key"),))
    client = await Client.connect(gateway)
    for _ in range(3):
        for site in (alice_site, charlie_site):
            status, _ = await client.call(f"/orders/7?key={site.key}", "Host: 127.0.0.1", "X: y")
            assert status == 200
        status, told = await client.call("/orders/7", "Host: 127.0.0.1", "X: y")
        assert (status, told["code"]) == (404, "tenant_unknown")
    for site in (alice_site, charlie_site):
        assert len(await site.events(3)) == 3


async def test_a_key_that_is_taken_back_is_refused_in_the_next_call(
    gateway: Any, alice_site: Any
) -> None:
    client = await Client.connect(gateway)
    fields = (f"Host: {alice_site.host}", f"X-API-Key: {alice_site.key}")
    for _ in range(3):
        assert (await client.call("/orders/7", *fields))[0] == 200
    other = msgspec.structs.replace(alice_site.snapshot.keys[0], digest=keys.digest("another"))
    await alice_site.publish(keys=(other,))
    status, told = await client.call("/orders/7", *fields)
    assert (status, told["code"]) == (401, "api_key_unknown")


async def test_a_key_that_expires_is_refused_though_it_was_good_before(
    gateway: Any, alice_site: Any
) -> None:
    key = alice_site.snapshot.keys[0]
    soon = time.time() + 3
    await alice_site.publish(keys=(msgspec.structs.replace(key, expires_at=soon),))
    client = await Client.connect(gateway)
    fields = (f"Host: {alice_site.host}", f"X-API-Key: {alice_site.key}")
    codes = []
    while time.time() < soon + 20:
        status, told = await client.call("/orders/7", *fields)
        codes.append(status)
        if status != 200:
            break
        await asyncio.sleep(0.1)
    assert codes.count(200) > 1
    assert (status, told["code"]) == (401, "api_key_expired")
