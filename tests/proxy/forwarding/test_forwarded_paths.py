"""Paths and methods: which route takes a call, and what of its path reaches the upstream."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from contract import snapshot
from contract.policies import BodyLimit


def route(path: str, *methods: str, rewrite: str | None = None, **extra: Any) -> snapshot.Route:
    return snapshot.Route(id=path, path=path, methods=methods, rewrite=rewrite, **extra)


async def test_the_listen_path_is_taken_off_and_the_rest_handed_on_raw(
    alice_site: Any, upstream: Any
) -> None:
    for path in ("/orders", "/orders/", "/orders/a%20b/c%2Fd?x=%2F&y", "/orders/7/?q=1"):
        assert (await alice_site.call(path)).status_code == 200
    targets = [call.target for call in upstream.calls]
    assert targets == ["/", "/", "/a%20b/c%2Fd?x=%2F&y", "/7/?q=1"]


async def test_a_rewrite_takes_the_parameters_and_a_target_its_own_prefix(
    alice_site: Any, upstream: Any
) -> None:
    up = alice_site.snapshot.upstreams[0]
    target = msgspec.structs.replace(up.targets[0], path="/base")
    routes = (
        route("/{id}/lines/{line}", rewrite="/v2/lines/{line}/of/{id}"),
        route("/files/{rest*}", rewrite="/store/{rest}"),
    )
    await alice_site.publish(
        apis=(alice_site.api(routes=routes),),
        upstreams=(msgspec.structs.replace(up, targets=(target,)),),
    )
    await alice_site.call("/orders/a%20b/lines/3?x=1")
    await alice_site.call("/orders/files/a/b/")
    targets = [call.target for call in upstream.calls]
    assert targets == ["/base/v2/lines/3/of/a%20b?x=1", "/base/store/a/b/"]


async def test_a_path_that_no_route_matches_is_not_found(alice_site: Any, upstream: Any) -> None:
    await alice_site.publish(apis=(alice_site.api(routes=(route("/{id}", "GET"),)),))
    for path in ("/other", "/orders/7/lines", "/ordersx", "/"):
        response = await alice_site.call(path)
        assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
    assert upstream.calls == []


async def test_a_method_that_no_route_takes_is_refused_with_those_that_one_does(
    alice_site: Any,
) -> None:
    await alice_site.publish(apis=(alice_site.api(routes=(route("/{id}", "GET", "PUT"),)),))
    response = await alice_site.call("/orders/7", "DELETE")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"])
async def test_every_method_passes_where_the_route_names_none(
    alice_site: Any, upstream: Any, method: str
) -> None:
    assert (await alice_site.call("/orders/7", method)).json()["method"] == method


@pytest.mark.parametrize(
    "path",
    [
        "/orders/../admin",
        "/orders/%2e%2e/admin",
        "/orders/..%2fadmin",
        "/orders/%2e%2e%2fadmin",
        "/orders/..%5cadmin",
        "/orders/..;/admin",
        "/orders%2f..%2fadmin",
        "/orders/%252e%252e/admin",
    ],
)
async def test_no_spelling_of_a_path_escapes_the_listen_path(
    gateway: Any, alice_site: Any, upstream: Any, path: str
) -> None:
    head = await raw(gateway, f"GET {path} HTTP/1.1", alice_site)
    assert head.startswith(b"HTTP/1.1 404")
    assert upstream.calls == []


@pytest.mark.parametrize("path", ["/%73ecret/7", "/x%2F../secret/7", "//secret/7", "/%2Fsecret/7"])
async def test_no_spelling_of_a_path_slips_past_a_stricter_route(
    gateway: Any, alice_site: Any, upstream: Any, path: str
) -> None:
    strict = route("/secret/{id}", policies=(BodyLimit(max_bytes=0),))
    routes = (strict, route("/{rest*}"))
    await alice_site.publish(apis=(alice_site.api(routes=routes),))
    head = await raw(gateway, f"POST /orders{path} HTTP/1.1", alice_site, "Content-Length: 1", "x")
    assert head.split(b" ")[1] in (b"404", b"413")
    assert upstream.calls == []


async def raw(gateway: Any, first: str, site: Any, header: str = "X: y", body: str = "") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    lines = [first, f"Host: {site.host}", f"X-API-Key: {site.key}", header, "", body]
    writer.write("\r\n".join(lines).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    return head
