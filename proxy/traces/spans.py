"""A traced call as spans: the server's, and the client's for each attempt at an upstream.

Source: OpenTelemetry's semantic conventions for HTTP and for generative AI, and the JSON
form of OTLP 1.x, in which ids are hexadecimal and 64-bit numbers are strings. Addresses
are told without their query, which may hold a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from contract.snapshot import Target
from contract.usage import UsageEvent

if TYPE_CHECKING:
    from proxy.runtime import TenantRuntime

_SERVER, _CLIENT = 2, 3
_FAILED = {"code": 2}

Value = str | int | bool
Span = dict[str, Any]


class Attempt(Struct):
    """One request upstream. Times are microseconds since the call's head arrived."""

    span_id: str
    target: Target
    method: str
    path: str
    started_us: int
    ended_us: int = 0
    status: int = 0
    """0 where there was no answer."""
    error: str = ""


class Traced(Struct):
    """A sampled call that is over."""

    trace_id: str
    span_id: str
    parent_id: str
    state: str
    event: UsageEvent
    scheme: str
    host: str
    client: str
    agent: str
    tenant: TenantRuntime | None
    attempts: list[Attempt]


def request(calls: Sequence[Traced], resource: dict[str, str]) -> dict[str, Any]:
    """The body of an ExportTraceServiceRequest."""
    spans = [span for call in calls for span in spans_of(call)]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "hubpo.proxy"}, "spans": spans}],
            }
        ]
    }


def spans_of(call: Traced) -> list[Span]:
    spans = [_server(call)]
    last = call.attempts[-1] if call.attempts else None
    for number, attempt in enumerate(call.attempts):
        if attempt is last and attempt.status:
            # Its answer was read for as long as the call went on.
            attempt.ended_us = call.event.total_us
        spans.append(_client(call, attempt, number, last=attempt is last))
    return spans


def _server(call: Traced) -> Span:
    event = call.event
    route = _route(call)
    name, port = _authority(call.host)
    attributes: dict[str, Value] = {
        "http.request.method": event.method,
        "http.response.status_code": event.status,
        "url.scheme": call.scheme,
        "url.path": event.path,
        "http.route": route,
        "server.address": name,
        "server.port": port,
        "client.address": call.client,
        "user_agent.original": call.agent,
        "network.protocol.version": "1.1",
        "http.request.body.size": event.request_bytes,
        "http.response.body.size": event.response_bytes,
        "hubpo.request_id": event.id,
        "hubpo.tenant": call.tenant.slug if call.tenant is not None else "",
        "hubpo.api_id": event.api_id,
        "hubpo.application_id": event.application_id,
        "hubpo.plan_id": event.plan_id,
        "hubpo.prompt_id": event.prompt_id,
        "hubpo.error_code": event.error_code,
    }
    failed = event.status >= 500
    if failed:
        attributes["error.type"] = event.error_code or str(event.status)
    span = _span(call, call.span_id, call.parent_id, _SERVER, 0, event.total_us)
    span["name"] = f"{event.method} {route}" if route else event.method
    span["attributes"] = _attributes(attributes)
    if failed:
        span["status"] = _FAILED
    return span


def _client(call: Traced, attempt: Attempt, number: int, *, last: bool) -> Span:
    target = attempt.target
    attributes: dict[str, Value] = {
        "http.request.method": attempt.method,
        "server.address": target.host,
        "server.port": target.port,
        "url.full": f"{target.scheme}://{target.host}:{target.port}{attempt.path}",
    }
    name = attempt.method
    if attempt.status:
        attributes["http.response.status_code"] = attempt.status
    if number:
        attributes["http.request.resend_count"] = number
    if last and call.event.model_id:
        inference = _inference(call, attempt)
        attributes |= inference
        name = f"{inference['gen_ai.operation.name']} {inference['gen_ai.request.model']}"
    failure = attempt.error or (str(attempt.status) if attempt.status >= 400 else "")
    failure = failure or ("" if attempt.status else "cancelled")
    if failure:
        attributes["error.type"] = failure
    span = _span(call, attempt.span_id, call.span_id, _CLIENT, attempt.started_us, attempt.ended_us)
    span["name"] = name
    span["attributes"] = _attributes(attributes)
    if failure:
        span["status"] = _FAILED
    return span


def _inference(call: Traced, attempt: Attempt) -> dict[str, Value]:
    """What is known of a call to a model, as far as the provider reported it."""
    event = call.event
    embeddings = attempt.path.endswith("/embeddings")
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "embeddings" if embeddings else "chat",
        "gen_ai.request.model": event.model,
        "hubpo.provider_id": event.provider_id,
        "hubpo.deployment_id": event.deployment_id,
    }
    provider = call.tenant.providers.get(event.provider_id) if call.tenant is not None else None
    if provider is not None:
        attributes["gen_ai.provider.name"] = provider.provider.wire_format
    numbers = {
        "gen_ai.usage.input_tokens": event.input_tokens,
        "gen_ai.usage.output_tokens": event.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": event.cached_tokens,
        "hubpo.cost_micros": event.cost_micros,
    }
    return attributes | {name: value for name, value in numbers.items() if value is not None}


def _authority(host: str) -> tuple[str, int | str]:
    """Name and port of a Host field; an empty text where it names no port."""
    name, _, port = host.rpartition(":")
    if name and port.isdecimal():
        return name.strip("[]"), int(port)
    return host.strip("[]"), ""


def _route(call: Traced) -> str:
    """The API's listen path with the route's template, or empty."""
    event = call.event
    api = call.tenant.apis.get(event.api_id) if call.tenant is not None else None
    if api is None:
        return ""
    path = next((route.path for route in api.api.routes if route.id == event.route_id), "")
    return api.api.listen_path + path or "/"


def _span(call: Traced, span_id: str, parent_id: str, kind: int, start: int, end: int) -> Span:
    """``start`` and ``end`` are microseconds since the call's head arrived."""
    span = {
        "traceId": call.trace_id,
        "spanId": span_id,
        "kind": kind,
        "startTimeUnixNano": f"{call.event.at + start}000",
        "endTimeUnixNano": f"{call.event.at + max(start, end)}000",
    }
    if parent_id:
        span["parentSpanId"] = parent_id
    if call.state:
        span["traceState"] = call.state
    return span


def _attributes(values: dict[str, Value] | dict[str, str]) -> list[dict[str, Any]]:
    """Empty texts are left out."""
    return [
        {"key": key, "value": {"stringValue": value}}
        if isinstance(value, str)
        else {"key": key, "value": {"intValue": str(value)}}
        for key, value in values.items()
        if value != ""
    ]
