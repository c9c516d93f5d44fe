"""Trace context in and out, and spans as a collector receives them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from proxy_servers import Call, GatewayProcess, Site, Upstream, Valkey, answer, wait_until
from scraped_workers import Workers, offer_model, value

from contract import snapshot
from contract.usage import UsageEvent
from proxy.settings import Traces
from proxy.traces import context, export, spans, tracer

Span = dict[str, Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


class Collector:
    """Takes OTLP over HTTP on a port of its own, and answers with ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.asked += 1
                if collector.status == 200 and self.path == "/v1/traces":
                    collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                    collector.bodies.append(json.loads(body))
                self.send_response(collector.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> list[Span]:
        """Their attributes as a plain dict under ``attributes``."""
        found = []
        for body in list(self.bodies):
            for resource in body["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    found += [{**s, "attributes": plain(s["attributes"])} for s in scope["spans"]]
        return found

    async def of_call(self, request_id: str) -> tuple[Span, list[Span]]:
        """The server's span of a call, and the client's in their order."""
        for _ in range(500):
            found = self.spans()
            mine = [s for s in found if s["attributes"].get("hubpo.request_id") == request_id]
            if mine:
                children = [s for s in found if s.get("parentSpanId") == mine[0]["spanId"]]
                return mine[0], children
            await asyncio.sleep(0.02)
        raise AssertionError(f"The collector got no span of {request_id}.")

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        item["key"]: int(item["value"]["intValue"])
        if "intValue" in item["value"]
        else item["value"]["stringValue"]
        for item in attributes
    }


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared_collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def traced(
    proxy_valkey: Valkey, tmp_path_factory: Any, shared_collector: Collector
) -> Iterator[GatewayProcess]:
    """A gateway that traces every call whose caller does not say otherwise."""
    process = start(proxy_valkey.url, tmp_path_factory.mktemp("traces"), shared_collector.url)
    yield process
    process.stop()


def start(valkey_url: str, var: Path, endpoint: str, **settings: str) -> GatewayProcess:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBPO_OTLP_ENDPOINT", endpoint)
        for name, text in settings.items():
            patch.setenv(name, text)
        process = GatewayProcess(valkey_url, var)
    process.wait_until_ready()
    return process


@pytest.fixture
async def site(traced: GatewayProcess, sites: Any) -> AsyncIterator[Site]:
    made = sites(traced, "alice")
    await made.publish()
    yield made
    await made.client.aclose()


# Context


async def test_without_tracing_the_context_passes_through_untouched(
    alice_site: Site, upstream: Upstream
) -> None:
    headers = {"traceparent": SAMPLED, "tracestate": "a=1,b=2", "baggage": "user=7"}
    await alice_site.call("/orders/1", headers=headers)
    for name, sent in headers.items():
        assert upstream.calls[-1].values(name) == [sent]
    await alice_site.call("/orders/1")
    assert not upstream.calls[-1].values("traceparent")


async def test_a_call_that_its_caller_does_not_sample_passes_untouched(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    headers = {"traceparent": UNSAMPLED, "tracestate": "a=1"}
    await site.call("/orders/1")  # whose trace must not stick to the connection
    quiet = await site.call("/orders/1", headers=headers)
    assert upstream.calls[-1].values("traceparent") == [UNSAMPLED]
    assert upstream.calls[-1].values("tracestate") == ["a=1"]
    loud = await site.call("/orders/1")
    await shared_collector.of_call(loud.headers["x-request-id"])
    ids = {span["attributes"].get("hubpo.request_id") for span in shared_collector.spans()}
    assert quiet.headers["x-request-id"] not in ids


async def test_the_callers_trace_goes_on(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    headers = {"traceparent": SAMPLED, "tracestate": "a=1,b=2", "baggage": "user=7"}
    found = await site.call("/orders/1?api_key=hidden", "POST", headers=headers, content=b"12345")
    server, (client,) = await shared_collector.of_call(found.headers["x-request-id"])
    assert (server["traceId"], server["parentSpanId"]) == (TRACE, PARENT)
    assert (client["traceId"], client["parentSpanId"]) == (TRACE, server["spanId"])
    assert upstream.calls[-1].values("traceparent") == [f"00-{TRACE}-{client['spanId']}-01"]
    assert upstream.calls[-1].values("tracestate") == ["a=1,b=2"]
    assert upstream.calls[-1].values("baggage") == ["user=7"]
    assert server["traceState"] == client["traceState"] == "a=1,b=2"
    assert upstream.calls[-1].body == b"12345"
    assert "hidden" not in json.dumps([server, client])
    assert site.key not in json.dumps([server, client])


async def test_a_call_without_a_trace_begins_one(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    seen = set()
    given = (None, "nonsense", f"00-{'0' * 32}-{PARENT}-01")
    answers = [await site.call("/orders/1", headers={"traceparent": value}) for value in given]
    for found, call in zip(answers, upstream.calls[-3:], strict=True):
        server, (client,) = await shared_collector.of_call(found.headers["x-request-id"])
        assert "parentSpanId" not in server
        assert re.fullmatch("[0-9a-f]{32}", server["traceId"])
        (sent,) = call.values("traceparent")
        assert sent == f"00-{server['traceId']}-{client['spanId']}-01"
        seen.add(server["traceId"])
    assert len(seen) == 3
    assert TRACE not in seen


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (SAMPLED, True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes", True),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-{PARENT}-1", False),
        (f"00-{TRACE}-{PARENT}", False),
        ("", False),
    ],
)
def test_what_is_not_a_context_counts_as_none(value: str, valid: bool) -> None:
    parent = context.parse(value.encode())
    assert parent == (context.Parent(TRACE, PARENT, True) if valid else None)


# Spans


async def test_spans_follow_the_conventions_for_http(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    found = await site.call("/orders/7", "PUT", content=b"12345")
    server, (client,) = await shared_collector.of_call(found.headers["x-request-id"])
    assert (server["name"], server["kind"]) == ("PUT /orders/{rest*}", 2)
    assert (
        server["attributes"].items()
        >= {
            "http.request.method": "PUT",
            "http.response.status_code": 200,
            "http.route": "/orders/{rest*}",
            "http.request.body.size": 5,
            "url.scheme": "http",
            "url.path": "/orders/7",
            "server.address": site.host,
            "client.address": "127.0.0.1",
            "hubpo.tenant": site.snapshot.slug,
            "hubpo.application_id": "app",
        }.items()
    )
    assert (client["name"], client["kind"]) == ("PUT", 3)
    assert client["attributes"] == {
        "http.request.method": "PUT",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "url.full": f"http://127.0.0.1:{upstream.port}/7",
    }
    starts, ends = "startTimeUnixNano", "endTimeUnixNano"
    times = [int(s[t]) for s, t in ((server, starts), (client, starts), (client, ends))]
    assert [*times, int(server[ends])] == sorted([*times, int(server[ends])])
    assert times[0] > 1.7e18
    assert "status" not in server
    assert "status" not in client
    resource = plain(shared_collector.bodies[-1]["resourceSpans"][0]["resource"]["attributes"])
    assert resource["service.name"] == "hubpo-gateway"


async def test_each_attempt_at_an_upstream_has_a_span_of_its_own(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    (good,) = site.snapshot.upstreams[0].targets
    dead = msgspec.structs.replace(good, id="dead", port=closed)
    both = msgspec.structs.replace(site.snapshot.upstreams[0], targets=(dead, good))
    await site.publish(upstreams=(both,))
    answers = [await site.call("/orders/1") for _ in range(2)]
    sent = [call.values("traceparent") for call in upstream.calls[-2:]]
    told = [await shared_collector.of_call(found.headers["x-request-id"]) for found in answers]
    # At least one of the two calls began at the dead target.
    server, (failed, answered) = next(pair for pair in told if len(pair[1]) == 2)
    assert failed["attributes"]["server.port"] == closed
    assert failed["attributes"]["error.type"] == "upstream_unreachable"
    assert failed["status"] == {"code": 2}
    assert answered["attributes"]["http.request.resend_count"] == 1
    assert "status" not in answered
    assert [f"00-{server['traceId']}-{answered['spanId']}-01"] in sent


async def test_failures_are_errors_on_the_side_that_failed(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    async def missing(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "404 Not Found"))

    async def breaking(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.close()

    upstream.script = missing
    absent = await site.call("/orders/1")
    upstream.script = breaking
    broken = await site.call("/orders/1", "POST")
    refused = await site.call("/orders/1", headers={"X-API-Key": None})

    server, (client,) = await shared_collector.of_call(absent.headers["x-request-id"])
    assert "status" not in server
    assert (client["status"], client["attributes"]["error.type"]) == ({"code": 2}, "404")

    server, clients = await shared_collector.of_call(broken.headers["x-request-id"])
    for span in (server, clients[-1]):
        assert (span["status"], span["attributes"]["error.type"]) == (
            {"code": 2},
            "upstream_broken",
        )

    server, clients = await shared_collector.of_call(refused.headers["x-request-id"])
    assert server["attributes"]["hubpo.error_code"] == "api_key_missing"
    assert (clients, "status" in server) == ([], False)


async def test_a_call_to_a_model_follows_the_conventions_for_generative_ai(
    site: Site, upstream: Upstream, shared_collector: Collector
) -> None:
    async def complete(call: Call, writer: asyncio.StreamWriter) -> None:
        usage = {"prompt_tokens": 100, "completion_tokens": 20}
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + b'data: {"choices":[]}\n\n')
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode())
        writer.write(b"\n\ndata: [DONE]\n\n")
        writer.close()

    upstream.script = complete
    await offer_model(site, upstream)
    chat = {"model": "sage", "messages": [], "stream": True}
    found = await site.call("/v1/chat/completions", "POST", json=chat)
    server, (client,) = await shared_collector.of_call(found.headers["x-request-id"])
    assert server["name"] == "POST /v1"
    assert (client["name"], client["kind"]) == ("chat sage", 3)
    assert (
        client["attributes"].items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "sage",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "hubpo.cost_micros": 700,
        }.items()
    )
    took = int(client["endTimeUnixNano"]) - int(client["startTimeUnixNano"])
    assert took >= 0.2e9, "The span lasts as long as the stream."
    assert upstream.calls[-1].values("traceparent") == [
        f"00-{server['traceId']}-{client['spanId']}-01"
    ]


# Sampling and export


async def test_of_the_calls_without_a_trace_only_a_share_is_traced(
    proxy_valkey: Valkey, tmp_path: Path, sites: Any, upstream: Upstream, collector: Collector
) -> None:
    settings = {"HUBPO_TRACE_RATIO": "0", "HUBPO_OTLP_HEADERS": "X-Token=secret, b=c=d"}
    gateway = start(proxy_valkey.url, tmp_path, f"{collector.url}/", **settings)
    try:
        site = sites(gateway, "bob")
        await site.publish()
        for _ in range(20):
            await site.call("/orders/1")
            assert not upstream.calls[-1].values("traceparent")
        found = await site.call("/orders/1", headers={"traceparent": SAMPLED})
        server, _ = await collector.of_call(found.headers["x-request-id"])
        assert {span["traceId"] for span in collector.spans()} == {server["traceId"]}
        assert (collector.headers[0]["x-token"], collector.headers[0]["b"]) == ("secret", "c=d")
    finally:
        gateway.stop()


async def test_a_collector_that_is_away_hurts_no_call_and_gets_the_spans_later(
    proxy_valkey: Valkey, tmp_path: Path, sites: Any, collector: Collector
) -> None:
    workers = Workers(proxy_valkey.url, tmp_path)
    collector.status = 503
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBPO_OTLP_ENDPOINT", collector.url)
        gateway = workers.start()
    try:
        site = sites(gateway, "bob")
        await site.publish()
        found = await site.call("/orders/1")
        assert found.status_code == 200
        wait_until(lambda: collector.asked, "the collector was asked in vain")
        assert value(workers.scrape(), "hubpo_traces_exported_total") == 0
        collector.status = 200
        await collector.of_call(found.headers["x-request-id"])
        wait_until(
            lambda: value(workers.scrape(), "hubpo_traces_exported_total") >= 1,
            "the export is counted",
        )
        assert value(workers.scrape(), "hubpo_traces_dropped_total") == 0
        collector.status = 400
        await site.call("/orders/1")
        wait_until(
            lambda: value(workers.scrape(), "hubpo_traces_dropped_total") >= 1,
            "what is refused for good is given up and counted",
        )
    finally:
        workers.stop()
    collector.status = 200


EVENT = UsageEvent(id="1", at=0, tenant_id="t", method="GET", path="/", status=200)
TRACED = spans.Traced(
    trace_id=TRACE, span_id=PARENT, parent_id="", state="", event=EVENT, scheme="http", host="",
    client="", agent="", tenant=None, attempts=[],
)  # fmt: skip


async def test_only_so_many_calls_wait_for_the_collector_and_the_rest_is_counted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_WAITING", 300)
    exporter = export.Exporter(Traces(collector.url))
    for _ in range(310):
        exporter.take(TRACED)
    assert (exporter.waiting, exporter.dropped) == (300, 10)
    await exporter.close()  # which sends what it holds
    assert (exporter.waiting, exporter.exported, exporter.dropped) == (0, 300, 10)
    sizes = [len(body["resourceSpans"][0]["scopeSpans"][0]["spans"]) for body in collector.bodies]
    assert sizes == [128, 128, 44]


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("acme.example", "acme.example", None),
        ("acme.example:8080", "acme.example", 8080),
        ("[::1]:80", "::1", 80),
        ("[::1]", "::1", None),
        ("", None, None),
    ],
)
def test_the_address_that_was_called_is_told_in_two_parts(
    host: str, address: str | None, port: int | None
) -> None:
    (span,) = spans.spans_of(msgspec.structs.replace(TRACED, host=host))
    told = plain(span["attributes"])
    assert (told.get("server.address"), told.get("server.port")) == (address, port)


def test_an_endpoint_must_be_an_address() -> None:
    for endpoint in ("collector:4318", "ftp://collector", "http://"):
        with pytest.raises(ValueError, match="HUBPO_OTLP_ENDPOINT"):
            export._address(endpoint)
    target, path = export._address("https://collector.example/otlp/")
    assert target == snapshot.Target("collector", "https", "collector.example", 443)
    assert path == b"/otlp/v1/traces"


async def test_what_is_logged_of_a_traced_call_names_its_trace(caplog: Any) -> None:
    logger = logging.getLogger("proxy.gateway")
    before = list(logger.filters)
    tracer.name_traces_in_logs()
    try:
        logger.error("Request %s failed.", "7")
        trace = tracer.Trace(TRACE, "", "", 0)
        token = tracer._current.set(trace)
        logger.error("Request %s failed.", "8")
        tracer._current.reset(token)
    finally:
        logger.filters[:] = before
    assert caplog.messages == ["Request 7 failed.", f"Request 8 failed. Trace {TRACE}."]
