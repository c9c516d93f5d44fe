"""Metrics as Prometheus reads them, from two workers on one port."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from proxy_servers import (
    ROOT,
    SERVER,
    Call,
    Site,
    Upstream,
    Valkey,
    answer,
    wait_until,
)
from scraped_workers import Workers, labels_of, offer_model, value

from contract.snapshot import Retries
from contract.usage import UsageEvent
from proxy.metrics import collect, families, tally
from proxy.snapshot import Holder

OWN_SERVER = SERVER == "proxy.server:Protocol"
"""Another one does not tell us of connections, nor of what it could not read."""


@pytest.fixture(scope="module")
def workers(proxy_valkey: Valkey, tmp_path_factory: Any) -> Iterator[Workers]:
    two = Workers(proxy_valkey.url, tmp_path_factory.mktemp("metrics"))
    two.start()
    two.start()
    yield two
    two.stop()


@pytest.fixture
async def site(workers: Workers, sites: Any) -> AsyncIterator[Site]:
    """Alice's tenant, as the first worker serves it."""
    made = sites(workers.running[0], "alice")
    await made.publish()
    yield made
    await made.client.aclose()


async def test_calls_are_counted_by_tenant_api_and_status(workers: Workers, site: Site) -> None:
    body = b"x" * 1000
    for _ in range(3):
        assert (await site.call("/orders/1", "POST", content=body)).status_code == 200
    assert (await site.call("/orders/1", headers={"X-API-Key": None})).status_code == 401
    samples = workers.scrape()
    mine = {"tenant": site.snapshot.slug, "api": "Orders"}
    assert value(samples, "hubpo_calls_total", **mine, status="2xx") == 3
    assert value(samples, "hubpo_calls_total", **mine, status="4xx") == 1
    assert value(samples, "hubpo_request_bytes_total", **mine) == 3000
    assert value(samples, "hubpo_response_bytes_total", **mine) > 3000  # the echo tells headers
    assert value(samples, "hubpo_errors_total", code="api_key_missing") >= 1


async def test_calls_of_no_tenant_are_counted_too(workers: Workers, site: Site) -> None:
    before = workers.scrape()
    await site.client.get("/orders/1", headers={"Host": "nobody.example"})
    with socket.create_connection(("127.0.0.1", workers.running[0].port)) as client:
        client.sendall(b"This is not HTTP.\r\n\r\n")
        while client.recv(1024):
            pass
    after = workers.scrape()
    for code in ("tenant_unknown", "malformed_request")[: 2 if OWN_SERVER else 1]:
        grown = value(after, "hubpo_errors_total", code=code)
        assert grown == value(before, "hubpo_errors_total", code=code) + 1


async def test_targets_that_are_left_out_are_told(workers: Workers, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    upstream = site.snapshot.upstreams[0]
    dead = msgspec.structs.replace(upstream.targets[0], port=closed)
    await site.publish(upstreams=(msgspec.structs.replace(upstream, targets=(dead,)),))
    mine = {"tenant": site.snapshot.slug}
    assert value(workers.scrape(), "hubpo_targets", **mine) == 0
    for _ in range(10):
        assert (await site.call("/orders/1")).status_code >= 500
    assert value(workers.scrape(), "hubpo_targets", **mine, state="open") == 1


async def test_retries_are_counted_by_upstream_and_by_model(
    workers: Workers, site: Site, upstream: Upstream
) -> None:
    rule = Retries(statuses=(503,))
    given = msgspec.structs.replace(site.snapshot.upstreams[0], retries=rule)
    await site.publish(upstreams=(given,))
    mine = {"tenant": site.snapshot.slug, "upstream": "Orders"}
    await site.call("/orders/1")
    assert value(workers.scrape(), "hubpo_upstream_retries_total", **mine) == 0
    left = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"] * 2

    async def busy_at_first(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop() if left else answer(b"{}"))

    upstream.script = busy_at_first
    assert (await site.call("/orders/1")).status_code == 200
    assert value(workers.scrape(), "hubpo_upstream_retries_total", **mine) == 2
    await offer_model(site, upstream, deployments=2)
    left.append(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    chat = {"model": "sage", "messages": []}
    assert (await site.call("/v1/chat/completions", "POST", json=chat)).status_code == 200
    model = {"tenant": site.snapshot.slug, "model": "sage"}
    assert value(workers.scrape(), "hubpo_model_retries_total", **model) == 1


async def test_durations_are_histograms_in_seconds(
    workers: Workers, site: Site, upstream: Upstream
) -> None:
    async def slow(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        writer.write(answer(b"slow"))

    upstream.script = slow
    before = workers.scrape()
    await site.call("/orders/1")
    after = workers.scrape()

    def grown(name: str, **labels: str) -> float:
        kind = {"kind": "http", "streamed": "false"}
        return value(after, name, **kind, **labels) - value(before, name, **kind, **labels)

    for name in ("hubpo_upstream_seconds", "hubpo_first_byte_seconds"):
        assert grown(f"{name}_count") == 1
        assert grown(f"{name}_bucket", le="+Inf") == 1
        assert grown(f"{name}_bucket", le="0.1") == 0
        assert grown(f"{name}_bucket", le="60") == 1
        assert 0.15 <= grown(f"{name}_sum") < 60
    assert grown("hubpo_gateway_seconds_count") == 1
    assert grown("hubpo_gateway_seconds_sum") < grown("hubpo_upstream_seconds_sum") + 60


async def test_tokens_and_cost_are_counted_by_model(
    workers: Workers, site: Site, upstream: Upstream
) -> None:
    async def complete(call: Call, writer: asyncio.StreamWriter) -> None:
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 60},
        }
        body = json.dumps({"choices": [], "usage": usage}).encode()
        writer.write(answer(body, "200 OK", "Content-Type: application/json"))

    upstream.script = complete
    await offer_model(site, upstream)
    chat = {"model": "sage", "messages": []}
    assert (await site.call("/v1/chat/completions", "POST", json=chat)).status_code == 200
    samples = workers.scrape()
    mine = {"tenant": site.snapshot.slug, "model": "sage"}
    assert value(samples, "hubpo_model_calls_total", **mine) == 1
    assert value(samples, "hubpo_tokens_total", **mine, type="input") == 100
    assert value(samples, "hubpo_tokens_total", **mine, type="output") == 20
    assert value(samples, "hubpo_tokens_total", **mine, type="cached") == 60
    assert value(samples, "hubpo_cost_total", **mine, currency="USD") == pytest.approx(0.0007)
    assert value(samples, "hubpo_upstream_seconds_count", kind="model", streamed="false") >= 1


async def test_what_is_open_now_is_told(workers: Workers, site: Site, upstream: Upstream) -> None:
    release = asyncio.Event()

    async def wait(call: Call, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(b"done"))

    upstream.script = wait
    call = asyncio.create_task(site.call("/orders/1"))
    while not upstream.calls:
        await asyncio.sleep(0.01)
    samples = workers.scrape()
    target = f"http://127.0.0.1:{upstream.port}"
    assert value(samples, "hubpo_calls_in_flight", tenant=site.snapshot.slug) == 1
    assert value(samples, "hubpo_client_connections") >= OWN_SERVER
    assert value(samples, "hubpo_upstream_connections", target=target, state="active") == 1
    release.set()
    assert (await call).text == "done"
    samples = workers.scrape()
    assert value(samples, "hubpo_calls_in_flight") == 0
    assert value(samples, "hubpo_upstream_connections", target=target, state="idle") == 1


def test_each_worker_tells_how_it_is(workers: Workers) -> None:
    def lag_was_looked_at() -> bool:
        found = workers.scrape()
        return all(
            value(found, "hubpo_event_loop_lag_seconds_count", worker=worker) >= 1
            for worker in ("1", "2")
        )

    wait_until(lag_was_looked_at, "the lag of both event loops was looked at")
    samples = workers.scrape()
    for worker in ("1", "2"):
        assert value(samples, "hubpo_worker_up", worker=worker) == 1
        assert 20e6 < value(samples, "process_resident_memory_bytes", worker=worker) < 500e6
        assert value(samples, "process_cpu_seconds_total", worker=worker) > 0
        assert value(samples, "process_start_time_seconds", worker=worker) > 1.7e9
        assert value(samples, "process_open_fds", worker=worker) > 5
        assert value(samples, "hubpo_snapshot_checked_timestamp_seconds", worker=worker) > 1.7e9
        assert value(samples, "hubpo_limiter_breaker_open", worker=worker) == 0
        assert ("hubpo_journal_waiting_bytes", frozenset({("worker", worker)})) in samples


async def test_neither_keys_nor_paths_are_told(workers: Workers, site: Site) -> None:
    await site.call("/orders/a-path-of-its-own?api-key=in-the-query")
    await site.client.get("/nowhere", headers={"Host": site.host})
    text = workers.text()
    assert site.snapshot.slug in text
    for secret in (site.key, "a-path-of-its-own", "in-the-query", "nowhere"):
        assert secret not in text


def test_the_guide_explains_every_metric(workers: Workers) -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    section = guide.split("## Metrics and traces")[1].split("\n## ")[0]
    served = re.findall(r"^# TYPE (\w+) ", workers.text(), re.MULTILINE)
    assert len(served) > 25
    assert [name for name in served if f"`{name}`" not in section] == []


def test_only_metrics_are_at_the_port(workers: Workers) -> None:
    root = workers.url.removesuffix("/metrics")
    assert httpx.get(f"{root}/orders").status_code == 404
    assert httpx.post(workers.url).status_code == 404
    assert httpx.head(workers.url).text == ""
    assert httpx.get(f"{workers.running[0].url}/metrics").status_code == 404
    with socket.create_connection(("127.0.0.1", httpx.URL(root).port or 0)) as client:
        client.sendall(b"GET /" + b"x" * 20_000)
        while client.recv(1024):
            pass
    assert workers.scrape()


async def test_a_worker_that_is_gone_takes_its_series_with_it_and_its_successor_its_number(
    proxy_valkey: Valkey, tmp_path: Path, sites: Any
) -> None:
    workers = Workers(proxy_valkey.url, tmp_path)
    try:
        first, second = workers.start(), workers.start()
        survivor = sites(second, "bob")
        await survivor.publish()
        for _ in range(2):
            await survivor.call("/orders/1")
        mine = {"tenant": survivor.snapshot.slug, "status": "2xx"}
        assert labels_of(workers.scrape(), "hubpo_worker_up", "worker") == {"1", "2"}
        first.kill()
        assert labels_of(workers.scrape(), "hubpo_worker_up", "worker") == {"2"}
        workers.start()
        samples = workers.scrape()
        assert labels_of(samples, "hubpo_worker_up", "worker") == {"1", "2"}
        assert value(samples, "hubpo_calls_total", **mine, worker="2") == 2
        assert value(samples, "hubpo_calls_total", **mine, worker="1") == 0
    finally:
        workers.stop()


def test_a_worker_that_hangs_is_told_and_keeps_nobody(workers: Workers) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        path = workers.sockets / "metrics-9.sock"
        silent.bind(str(path))
        silent.listen()
        try:
            samples = workers.scrape()
        finally:
            path.unlink()
    assert value(samples, "hubpo_worker_up", worker="9") == 0
    assert value(samples, "hubpo_worker_up") == 2


def test_a_port_in_use_costs_the_metrics_and_no_call(proxy_valkey: Valkey, tmp_path: Path) -> None:
    workers = Workers(proxy_valkey.url, tmp_path)
    with socket.create_server(("127.0.0.1", httpx.URL(workers.url).port or 0)):
        try:
            gateway = workers.start()  # which waits until it is ready
            assert "There are no metrics" in gateway.log.read_text()
        finally:
            workers.stop()


def test_a_gateway_without_metrics_and_traces_does_not_even_load_them(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from proxy.observe import Observer
from config import gateway
Observer(gateway._data_plane.settings)
print([name for name in sys.modules if name.startswith(("proxy.metrics", "proxy.traces"))])
"""
    environment = {
        "HUBPO_VAR": str(tmp_path),
        "HUBPO_SECRET_KEY": "k" * 40,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
    }
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


EVENT = UsageEvent(
    id="1", at=0, tenant_id="t", method="GET", path="/", status=200, model_id="m", model="sage"
)


def test_what_comes_in_parts_is_one_metric() -> None:
    counted = tally.Tally()
    for number in range(2 * collect.PIECE + 1):
        counted.count(msgspec.structs.replace(EVENT, api_id=f"api-{number}"))
    blocks = [family.block("1") for family in collect._calls(counted, Holder())]
    assert len(blocks) == 9
    text = families.exposition([blocks]).decode()
    found = list(text_string_to_metric_families(text))
    assert [family.name for family in found] == [
        "hubpo_calls", "hubpo_request_bytes", "hubpo_response_bytes"
    ]  # fmt: skip
    assert len(found[1].samples) == 2 * collect.PIECE + 1


def test_there_are_only_so_many_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_APIS", 10)
    monkeypatch.setattr(tally, "MOST_MODELS", 10)
    counted = tally.Tally()
    for number in range(50):
        event = msgspec.structs.replace(EVENT, api_id=f"api-{number}", model=f"model-{number}")
        counted.count(event)
        counted.count(event)
    assert len(counted.calls) == 11
    assert counted.calls[tally.OTHER, tally.OTHER, 2][0] == 80
    assert len(counted.models) == 11
    assert counted.models[tally.OTHER, tally.OTHER, ""].calls == 80
