"""A call to an ``http`` API: on to a target, and its answer back, as it comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import TYPE_CHECKING

from contract.snapshot import Target
from proxy.errors import NoHealthyTarget, UpstreamBroken, UpstreamError
from proxy.runtime import HOP_BY_HOP, ApiRuntime, UpstreamRuntime

if TYPE_CHECKING:
    from proxy.exchange import Exchange, Headers
    from proxy.gateway import Gateway
    from proxy.upstream.pool import Response

SMALL_BODY = 65536
"""A body declared to be no longer is read before it is sent: one write, and repeatable."""

_NOT_RETURNED = HOP_BY_HOP | {b"x-request-id"}
_BODILESS = (204, 304)
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.:_\[\]-]+")
_CACHED = 4096

_forwarded: dict[tuple[str, bytes, str], Headers] = {}


async def http(exchange: Exchange, gateway: Gateway, api: ApiRuntime) -> None:
    """Sends the whole answer. Raises UpstreamError and body errors before it has begun.

    An answer that breaks off after it has begun ends without its end: the server then
    closes the connection, which is how HTTP/1.1 says so.
    """
    upstream = api.upstream
    if upstream is None:
        raise NoHealthyTarget
    declared = exchange.declared_length()
    body: bytes | AsyncIterator[bytes]
    if exchange.body_done:
        body = b""
    elif declared is not None and declared <= SMALL_BODY:
        body = await exchange.read_body(declared)
    else:
        body = exchange.body()
    began = perf_counter_ns()
    try:
        response = await _send(exchange, gateway, api, upstream, body)
    finally:
        exchange.upstream_us = (perf_counter_ns() - began) // 1000
    try:
        headers = _answer_headers(response)
        exchange.streamed = _of_events(headers)
        if response.complete:
            await exchange.respond(response.status, headers, response.take())
        else:
            await _stream(exchange, response, headers)
    finally:
        response.close()


async def _stream(exchange: Exchange, response: Response, headers: Headers) -> None:
    await exchange.start(response.status, headers)
    waited = perf_counter_ns()
    async for chunk in response:
        exchange.upstream_us += (perf_counter_ns() - waited) // 1000
        if response.complete:
            await exchange.finish(chunk)
            return
        await exchange.write(chunk)
        waited = perf_counter_ns()
    await exchange.finish()


async def _send(
    exchange: Exchange,
    gateway: Gateway,
    api: ApiRuntime,
    upstream: UpstreamRuntime,
    body: bytes | AsyncIterator[bytes],
) -> Response:
    """The head of the first target's answer that can be had.

    The next target is tried as long as nothing was sent. Raises UpstreamError.
    """
    spec = upstream.upstream
    path = _path(exchange)
    headers = _request_headers(exchange, api, preserve_host=spec.preserve_host)
    private_ok = exchange.tenant is not None and exchange.tenant.private_ok
    tried: list[str] = []
    failure: UpstreamError | None = None
    while True:
        target: Target | None = gateway.balance.pick(upstream.id, upstream.order, tried)
        if target is None:
            raise failure or NoHealthyTarget
        try:
            response = await gateway.pool.send(
                target,
                exchange.method,
                target.path.encode() + path if target.path else path,
                headers,
                body,
                spec.timeouts,
                tls_verify=spec.tls_verify,
                private_ok=private_ok,
            )
        except UpstreamError as error:
            if isinstance(error, UpstreamBroken) or not error.sent:
                gateway.health.failed(target.id, spec.fail_threshold, spec.fail_seconds)
            if error.sent:
                raise
            tried.append(target.id)
            failure = error
            continue
        gateway.health.succeeded(target.id)
        return response


def _path(exchange: Exchange) -> bytes:
    """The path and query to send, below the target's own path."""
    route = exchange.route
    if route is not None and route.rewrite is not None:
        path = route.rewrite(exchange.params)
    else:
        path = exchange.rest
    if not path.startswith("/"):
        path = "/" + path
    raw = path.encode()
    return raw + b"?" + exchange.query if exchange.query else raw


def _request_headers(exchange: Exchange, api: ApiRuntime, *, preserve_host: bool) -> Headers:
    """The caller's headers without those that end here, and those that the gateway sets."""
    incoming = exchange.headers
    stop = api.not_forwarded
    named = incoming.get(b"connection")
    if named is not None:
        stop = stop | _named_by_connection(exchange.scope["headers"])
    if exchange.drop_authorization:
        stop = stop | {b"authorization"}
    headers = [pair for pair in exchange.scope["headers"] if pair[0] not in stop]
    if not exchange.body_done or b"content-length" in incoming:
        # Only looked at for a streamed body.
        length = incoming.get(b"content-length")
        if length is not None and b"transfer-encoding" not in incoming:
            headers.append((b"content-length", length))
    client = exchange.scope.get("client")
    key = (client[0] if client else "", incoming.get(b"host", b""), exchange.scope["scheme"])
    ours = _forwarded.get(key)
    if ours is None:
        if len(_forwarded) >= _CACHED:
            _forwarded.clear()
        ours = _forwarded[key] = _forwarded_headers(*key)
    headers += ours
    headers.append(exchange.id_header)
    if preserve_host:
        headers.append((b"host", key[1]))
    return headers


def _named_by_connection(headers: Headers) -> set[bytes]:
    """The header names that Connection fields make hop-by-hop."""
    fields = (value for name, value in headers if name == b"connection")
    return {token.strip().lower() for field in fields for token in field.split(b",")}


def _forwarded_headers(client: str, host: bytes, scheme: str) -> Headers:
    """X-Forwarded-* and, per RFC 7239, Forwarded."""
    node = f'"[{client}]"' if ":" in client else client or "unknown"
    forwarded = f"for={node};proto={scheme}".encode()
    headers = [(b"x-forwarded-for", client.encode())] if client else []
    headers.append((b"x-forwarded-proto", scheme.encode()))
    if _PLAIN_HOST.fullmatch(host):
        headers.append((b"x-forwarded-host", host))
        forwarded += b';host="' + host + b'"'
    headers.append((b"forwarded", forwarded))
    return headers


def _of_events(headers: Headers) -> bool:
    """A stream is what says it is one: how many pieces an answer comes in is chance."""
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


def _answer_headers(response: Response) -> Headers:
    stop = _NOT_RETURNED
    for name, _ in response.headers:
        if name == b"connection":
            stop = stop | _named_by_connection(response.headers)
            break
    if response.status in _BODILESS:
        stop = stop | {b"content-length"}
    return [pair for pair in response.headers if pair[0] not in stop]
