"""A call to an ``http`` API: on to a target, and its answer back, as it comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import TYPE_CHECKING

from contract.snapshot import Target
from proxy import retry
from proxy.errors import NoHealthyTarget, UpstreamError
from proxy.runtime import ApiRuntime, UpstreamRuntime

if TYPE_CHECKING:
    from proxy.exchange import Exchange, Headers
    from proxy.gateway import Gateway
    from proxy.upstream.pool import Lane, Pool, Response

SMALL_BODY = 65536
"""A body declared to be no longer is read before it is sent: one write, and repeatable."""

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.:_\[\]-]+")


async def http(exchange: Exchange, gateway: Gateway, api: ApiRuntime) -> None:
    """Sends the whole answer. Raises UpstreamError and body errors before it has begun.

    An answer that breaks off after it has begun ends without its end: the server then
    closes the connection, which is how HTTP/1.1 says so.
    """
    upstream = api.upstream
    if upstream is None:
        raise NoHealthyTarget
    body: bytes | AsyncIterator[bytes] = b""
    if not exchange.body_done:
        if exchange.length is not None and exchange.length <= SMALL_BODY:
            body = await exchange.read_body(exchange.length)
        else:
            body = exchange.body()
    exchange.begin()
    began = perf_counter_ns()
    try:
        response = await _send(exchange, gateway, api, upstream, body)
    finally:
        exchange.upstream_us = (perf_counter_ns() - began) // 1000
    try:
        exchange.streamed = response.length is None and _of_events(response)
        status, length = response.status, response.length
        if exchange.method == "HEAD":
            await exchange.start(status, response.headers, length)
            await exchange.finish()
        elif response.complete:
            await exchange.respond(status, response.headers, response.take())
        else:
            await exchange.start(status, response.headers, length)
            began = perf_counter_ns()
            last = await exchange.pour(response, None)
            exchange.upstream_us += (perf_counter_ns() - began) // 1000
            await exchange.finish(last)
    finally:
        response.close()


async def _send(
    exchange: Exchange,
    gateway: Gateway,
    api: ApiRuntime,
    upstream: UpstreamRuntime,
    body: bytes | AsyncIterator[bytes],
) -> Response:
    """The head of the first answer that can be had and passed on. Raises UpstreamError."""
    route, health = exchange.route, gateway.health
    timeouts = upstream.timeouts
    if route is not None and route.timeouts is not None:
        timeouts = route.timeouts
    until = 0.0
    if timeouts.total is not None:
        until = asyncio.get_running_loop().time() + timeouts.total
    query = exchange.query
    path = exchange.onward + b"?" + query if query else exchange.onward
    fields, length = _fields(exchange, api, body)
    method = exchange.method
    budget = upstream.budget
    if budget is None:
        name = f"{api.tenant_id}:{upstream.id}"
        budget = upstream.budget = health.budget(name)
    lane = upstream.lane
    if lane is not None and not health.circuits:
        target: Target | None = lane.target  # The only one, and nothing is held against any.
    else:
        target = gateway.balance.pick(upstream.id, upstream.order)
    if target is None:
        raise NoHealthyTarget
    tried: list[str] = []
    while True:
        budget.calls += 1
        lane = upstream.lane or upstream.lanes.get(target.id)
        if lane is None or lane.dropped:
            lane = _lane(exchange, gateway.pool, upstream, target)
        host = exchange.headers.get(b"host", lane.host) if upstream.preserve_host else lane.host
        where = target.path.encode() + path if target.path else path
        head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (method.encode(), where, host, fields)
        failure: UpstreamError | int
        try:
            response = await gateway.pool.call(
                lane, method, head, body, length, timeouts, until, exchange
            )
        except UpstreamError as error:
            failure = error.with_traceback(None)
            failed = retry.is_failure(error, upstream.upstream.breaker)
        else:
            failure = response.status
            if failure < 500:
                if health.circuits:
                    health.succeeded(target.id)
                return response
            failed = upstream.upstream.breaker.on_status
            if not failed:
                health.succeeded(target.id)
        if failed:
            health.failed(target.id, upstream.upstream.breaker, api.tenant_id)
        tried.append(target.id)
        following = None
        if not until or asyncio.get_running_loop().time() < until:
            following = _following(exchange, gateway, upstream, tried, body, failure)
        if following is None:
            if isinstance(failure, UpstreamError):
                raise failure
            return response
        if isinstance(failure, int):
            response.close()
        if following.id == target.id:
            await asyncio.sleep(retry.pause(len(tried)))
        target = following


def _following(
    exchange: Exchange,
    gateway: Gateway,
    upstream: UpstreamRuntime,
    tried: list[str],
    body: bytes | AsyncIterator[bytes],
    failure: UpstreamError | int,
) -> Target | None:
    """Where a call that failed is tried again, or None where it is not."""
    rule, most = upstream.upstream.retries, upstream.upstream.retries.most
    if exchange.route is not None and exchange.route.retries is not None:
        most = exchange.route.retries
    whole = isinstance(body, bytes)
    if len(tried) > most or not retry.may_repeat(exchange, whole=whole, rule=rule, failure=failure):
        return None
    target: Target | None = gateway.balance.pick(upstream.id, upstream.order, tried)
    if target is None and not retry.elsewhere_only(failure):
        target = gateway.balance.pick(upstream.id, upstream.order)
    if target is None or upstream.budget is None:
        return None
    return target if upstream.budget.take(rule, gateway.health.clock()) else None


def _lane(exchange: Exchange, pool: Pool, upstream: UpstreamRuntime, target: Target) -> Lane:
    spec, private_ok = upstream.upstream, exchange.tenant is not None and exchange.tenant.private_ok
    lane = pool.lane(target, spec.tls_verify, private_ok, spec.max_connections, spec.max_waiting)
    upstream.lanes[target.id] = lane
    if len(upstream.order) == 1:
        upstream.lane = lane
    return lane


def _fields(
    exchange: Exchange, api: ApiRuntime, body: bytes | AsyncIterator[bytes]
) -> tuple[bytes, int | None]:
    """All header fields but Host, to the empty line, and the length of a streamed body."""
    known = exchange.known
    if known is None or known.api is not api:
        passed = _passed(exchange, api)
    elif known.passed is None:
        passed = known.passed = _passed(exchange, api)
    else:
        passed = known.passed
    length = None
    if isinstance(body, bytes):
        if body or exchange.method in _BODY_METHODS:
            # A method that usually has a body says so when it has none.
            passed += b"content-length: %d\r\n" % len(body)
    elif (length := exchange.length) is not None:
        passed += b"content-length: %d\r\n" % length
    else:
        passed += b"transfer-encoding: chunked\r\n"
    return b"%bx-request-id: %b\r\n\r\n" % (passed, exchange.id.encode()), length


def _passed(exchange: Exchange, api: ApiRuntime) -> bytes:
    """The caller's fields without those that end here, and those that the gateway sets."""
    stop = api.not_forwarded
    if b"connection" in exchange.headers:
        stop = stop | _named_by_connection(exchange.head.pairs)
    if exchange.drop_authorization:
        stop = stop | {b"authorization"}
    pairs = [pair for pair in exchange.head.pairs if pair[0] not in stop]
    host = exchange.headers.get(b"host", b"")
    pairs += _forwarded_headers(exchange.client, host, exchange.scheme)
    passed = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
    if passed.count(b"\n") != len(pairs) or passed.count(b"\r") != len(pairs):
        raise ValueError("A header to the upstream holds a line break.")
    return passed


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


def _of_events(response: Response) -> bool:
    """A stream is what says it is one: how many pieces an answer comes in is chance."""
    for name, value in response.headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False
